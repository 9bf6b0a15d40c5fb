"""Networks that make running several candidates at once hard, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from small_networks import Net, Residual, conv, settle
from tiny_networks import TinyMLP, TinyResidual, labelled
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from prunevis.data import Examples

IMAGE, ROW, WORDS = (3, 8, 8), (12,), (6, 8)
Case = tuple[Callable[[], nn.Module], tuple[int, ...]]


def images(forward: Callable, channels: int = 6, **modules: Callable[[], nn.Module]) -> Case:
    """Return a network that begins with `c`, a convolution, and ends with `fc`."""

    def make() -> nn.Module:
        own = {name: maker() for name, maker in modules.items()}
        return Net(forward, c=conv(3, 6), **own, fc=nn.Linear(channels, 4))

    return make, IMAGE


def rows(forward: Callable, width: int = 8, **modules: Callable[[], nn.Module]) -> Case:
    """Return a network that begins with `a`, 12 to 8, and ends with `fc`."""

    def make() -> nn.Module:
        own = {name: maker() for name, maker in modules.items()}
        return Net(forward, a=nn.Linear(12, 8), **own, fc=nn.Linear(width, 4))

    return make, ROW


def words(forward: Callable, **modules: Callable[[], nn.Module]) -> Case:
    """Return a network of sequences that ends with `b`, 8 to 9, and `fc`."""

    def make() -> nn.Module:
        own = {name: maker() for name, maker in modules.items()}
        return Net(forward, **own, b=nn.Linear(8, 9), fc=nn.Linear(9, 4))

    return make, WORDS


def head(s: nn.Module, y: Tensor) -> Tensor:
    return s.fc(y.mean((2, 3)))


def in_place(s: nn.Module, x: Tensor) -> Tensor:
    y = F.relu(s.c(x), inplace=True)
    y += s.d(F.relu(y))
    return head(s, F.relu_(y))


def view_read_later(s: nn.Module, x: Tensor) -> Tensor:
    y = s.c(x)
    seen = y.flatten(2)
    return head(s, torch.relu(y)) + s.f2(seen.mean(2))


def view_written(s: nn.Module, x: Tensor) -> Tensor:
    y = s.c(x).clone()
    y[:, 0] = 0
    return head(s, y)


def project_first(s: nn.Module, x: Tensor) -> Tensor:
    y = torch.relu(s.c(x))
    return head(s, torch.relu(s.p(y) + s.d(y)))


def norm_and_others(s: nn.Module, x: Tensor) -> Tensor:
    y = s.c(x)
    return head(s, torch.relu(s.n(y)) + y)


def chunks(s: nn.Module, x: Tensor) -> Tensor:
    left, right = s.w(x).chunk(2, 1)
    return s.fc(s.e(torch.relu(left) * right) + s.a(x))


def without_grad(s: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = torch.relu(s.a(x))
    with torch.enable_grad():
        return s.fc(y)


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x * x.sigmoid()


#: Networks that can be recorded.
RECORDED: dict[str, Case] = {
    "mlp": (TinyMLP, (12,)),
    "residual": (TinyResidual, (1, 8, 8)),
    "projection": (Residual, IMAGE),
    "dropout": images(lambda s, x: head(s, F.dropout(torch.relu(s.c(x)), 0.5, s.training))),
    "in place": images(in_place, d=lambda: conv(6, 6)),
    "view read later": images(view_read_later, f2=lambda: nn.Linear(6, 4)),
    "project first": images(project_first, p=lambda: conv(6, 6), d=lambda: conv(6, 6)),
    "transposed": images(
        lambda s, x: head(s, torch.relu(s.n(s.t(torch.relu(s.c(x)))))),
        5,
        t=lambda: nn.ConvTranspose2d(6, 5, 2, 2),
        n=lambda: nn.BatchNorm2d(5),
    ),
    "depthwise": images(
        lambda s, x: head(s, torch.relu(s.p(torch.relu(s.n(s.d(torch.relu(s.c(x)))))))),
        7,
        d=lambda: conv(6, 6, groups=6),
        n=lambda: nn.BatchNorm2d(6),
        p=lambda: conv(6, 7, 1),
    ),
    "norms": images(
        lambda s, x: head(s, s.g(torch.relu(s.i(s.c(x))))),
        i=lambda: nn.InstanceNorm2d(6),
        g=lambda: nn.GroupNorm(2, 6),
    ),
    "one norm twice": images(
        lambda s, x: head(s, torch.relu(s.n(s.d(torch.relu(s.n(s.c(x))))))),
        d=lambda: conv(6, 6),
        n=lambda: nn.BatchNorm2d(6),
    ),
    "norm and others": images(norm_and_others, n=lambda: nn.BatchNorm2d(6)),
    "norm of places": (
        # as many places as features: a BatchNorm of dimension 1, which are not the units
        lambda: Net(
            lambda s, x: s.fc(torch.relu(s.n(s.a(x))).mean(1)),
            a=nn.Linear(8, 6),
            n=nn.BatchNorm1d(6),
            fc=nn.Linear(6, 4),
        ),
        WORDS,
    ),
    "layer norm": rows(lambda s, x: s.fc(s.n(torch.relu(s.a(x)))), n=lambda: nn.LayerNorm(8)),
    "tied": rows(lambda s, x: s.fc(torch.relu(F.linear(s.a(x), s.a.weight.t()))), 12),
    "constants": rows(
        lambda s, x: s.fc(torch.relu(s.a(x)) + torch.arange(8) * torch.tensor([0.5]))
    ),
    "stacked": rows(
        lambda s, x: s.fc(
            torch.einsum("nkc->nc", torch.stack([torch.relu(s.a(x)), torch.relu(s.b(x))], 1))
        ),
        b=lambda: nn.Linear(12, 8),
    ),
    "chunks": rows(chunks, w=lambda: nn.Linear(12, 16), e=lambda: nn.Linear(8, 8)),
    "without grad": rows(without_grad),
    "custom function": rows(lambda s, x: s.fc(Swish.apply(s.a(x)))),
    "checkpoint": rows(
        lambda s, x: s.fc(checkpoint(lambda y: torch.relu(s.a(y)), x, use_reentrant=False))
    ),
    "view of logits": (
        lambda: Net(
            lambda s, x: s.fc(torch.relu(s.a(x)))[:, :4], a=nn.Linear(12, 8), fc=nn.Linear(8, 6)
        ),
        ROW,
    ),
    "equal logits": rows(lambda s, x: s.fc(torch.relu(s.a(x))) * 0),
    "tied logits": rows(lambda s, x: s.fc(torch.relu(s.a(x)))[:, [0, 0, 1, 1]]),
    "attention": words(
        lambda s, x: s.fc(torch.relu(s.b(s.m(x, x, x)[0].mean(1)))),
        m=lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    ),
    "encoder": words(
        lambda s, x: s.fc(torch.relu(s.b(s.m(x).mean(1)))),
        m=lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    ),
    "batch second": words(
        lambda s, x: s.fc(torch.relu(s.b(s.m(x.transpose(0, 1)))).mean(0)),
        m=lambda: nn.Linear(8, 8),
    ),
    "lstm": words(
        lambda s, x: s.fc(torch.relu(s.b(s.m(x.transpose(0, 1))[0][-1]))), m=lambda: nn.LSTM(8, 8)
    ),
    "conv1d": (
        lambda: Net(
            lambda s, x: s.fc(torch.relu(s.n(s.c(x))).mean(2)),
            c=nn.Conv1d(6, 7, 3),
            n=nn.BatchNorm1d(7),
            fc=nn.Linear(7, 4),
        ),
        WORDS,
    ),
    "conv3d": (
        lambda: Net(
            lambda s, x: s.fc(torch.relu(s.n(s.c(x))).mean((2, 3, 4))),
            c=nn.Conv3d(2, 6, 3),
            n=nn.BatchNorm3d(6),
            fc=nn.Linear(6, 4),
        ),
        (2, 4, 4, 4),
    ),
}


class Remembers(nn.Module):
    """What the subclasses share."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = nn.Linear(12, 8), nn.Linear(8, 4)
        self.register_buffer("count", torch.zeros(()))
        self.calls, self.seen = 0, []

    def forward(self, x: Tensor) -> Tensor:
        self.note(x)
        return self.fc(torch.relu(self.a(x)))


class CountsInBuffer(Remembers):
    def note(self, x: Tensor) -> None:
        self.count += 1


class CountsInPython(Remembers):
    def note(self, x: Tensor) -> None:
        self.calls += 1


class CountsInClass(Remembers):
    passes = 0

    def note(self, x: Tensor) -> None:
        CountsInClass.passes += 1


class Caches(Remembers):
    def note(self, x: Tensor) -> None:
        self.last = x * 2


class Lists(Remembers):
    def note(self, x: Tensor) -> None:
        self.seen.append(len(x))


def hooked() -> nn.Module:
    model = TinyMLP()
    model.fc1.register_forward_hook(lambda module, args, out: None)
    return model


def half_inside(s: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        y = s.a(x)
    return s.fc(torch.relu(y.float()))


#: Networks that are run as they are, and a word of the reason.
REFUSED: dict[str, tuple[Case, str]] = {
    "view written": (images(view_written), "seen elsewhere"),
    "noise": (rows(lambda s, x: s.fc(torch.relu(s.a(x)) + 0 * torch.randn(8))), "random"),
    "noise in place": (
        rows(lambda s, x: s.fc(torch.relu(s.a(x)) + 0 * torch.empty(8).uniform_())),
        "writes into|random",
    ),
    "counts in a buffer": ((CountsInBuffer, ROW), "seen elsewhere"),
    "counts in Python": ((CountsInPython, ROW), "remembers"),
    "counts in the class": ((CountsInClass, ROW), "remembers"),
    "caches a tensor": ((Caches, ROW), "remembers"),
    "appends to a list": ((Lists, ROW), "remembers"),
    "hook": ((hooked, ROW), "hook"),
    "half": (rows(half_inside), "half precision"),
    "writes into the input": (
        rows(lambda s, x: s.fc(torch.relu(s.a(x.mul_(2))))),
        "seen elsewhere",
    ),
}

#: Networks whose forward looks at values; they cannot be traced, so only recorded.
LOOKS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "item": (lambda x: x * 2 if x.sum() > 0 else x * 3, "Python code can depend on"),
    "numpy": (lambda x: x * float(x.numpy().sum()), "reads values"),
    "tolist": (lambda x: x * x.tolist()[0][0], "reads values"),
    "mask": (lambda x: x * x[x > 0].shape[0], "shape"),
    "nonzero": (lambda x: x * len(torch.where(x > 0)[0]), "shape"),
    "strides": (lambda x: torch.as_strided(x + 1, (2, 3), (3, 1)), "as_strided"),
    "training norm": (
        lambda x: F.batch_norm(x, None, None, training=True),
        "mixes the examples",
    ),
    "resized": (lambda x: (x + 1).unsqueeze_(0)[0], "writes into"),
    "another type": (lambda x: (x * 2).add_(torch.ones(3, dtype=torch.float64)), "another type"),
    "generator": (
        lambda x: x + torch.rand(3, generator=torch.Generator().manual_seed(0)),
        "Generator",
    ),
    "the input": (lambda x: x, "not one tensor"),
    "two results": (lambda x: (x * 2, x), "not one tensor"),
}


def made(case: Case, count: int = 45, dtype: torch.dtype = torch.float32):
    """Return the network with weights of a fixed seed, and labelled examples."""
    make, shape = case
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = settle(make()).eval().to(dtype)
    examples = labelled(shape, count, 4)
    return model, Examples(examples.inputs.to(dtype), examples.targets)
