"""Networks and data that many tests share: small enough that a whole session takes a second.

Fixtures around them stand in `conftest.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunevis.data import Examples


class TinyMLP(nn.Module):
    """12 → 8 → 6 → 4, 96 + 48 + 24 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 8)
        self.fc2 = nn.Linear(8, 6)
        self.fc3 = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class TinyResidual(nn.Module):
    """A stem and a block added to it channel by channel, BatchNorm, pooled, 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.conv2 = nn.Conv2d(5, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn0(self.stem(x)))
        y = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(y)) + x)
        return self.fc(x.mean((2, 3)))


def settle_norms(model: nn.Module, seed: int = 1) -> nn.Module:
    """Give BatchNorm statistics and scales that are not neutral, so that mistakes show."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = (module.num_features,)
            module.running_mean.copy_(torch.randn(shape, generator=generator))
            module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(shape, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(shape, generator=generator))
    return model


def seeded(make, seed: int = 0) -> nn.Module:
    """Return ``make()`` with weights of a fixed seed, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return settle_norms(make()).eval()


def labelled(shape: tuple[int, ...], count: int, classes: int, seed: int = 0) -> Examples:
    """Return random inputs; every class occurs."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, *shape, generator=generator)
    targets = torch.arange(count) % classes
    return Examples(inputs, targets[torch.randperm(count, generator=generator)])


def answered(model: nn.Module, examples: Examples) -> Examples:
    """Return the same inputs, two thirds of them labelled as `model` answers."""
    with torch.no_grad():
        answers = model(examples.inputs).argmax(1)
    agree = torch.arange(examples.count) % 3 > 0
    return Examples(examples.inputs, torch.where(agree, answers, examples.targets))


def snapshot(model: nn.Module) -> dict[str, object]:
    """Return all that must stay as it was: tensors, their identity and gradients, flags, hooks."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "values": {n: t.detach().clone() for n, t in tensors.items()},
        "identity": {n: (id(t), t.data_ptr()) for n, t in tensors.items()},
        "requires_grad": {n: t.requires_grad for n, t in tensors.items()},
        "grad": {n: None if t.grad is None else t.grad.clone() for n, t in tensors.items()},
        "training": {n: m.training for n, m in model.named_modules()},
        "attributes": {n: sorted(m.__dict__) for n, m in model.named_modules()},
        "hooks": {
            n: (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for n, m in model.named_modules()
        },
    }


def assert_same(before: dict[str, object], after: dict[str, object]) -> None:
    """Compare two snapshots, tensors bit for bit."""
    assert before.keys() == after.keys()
    for part in before:
        old, new = before[part], after[part]
        assert old.keys() == new.keys(), part
        for name, value in old.items():
            if isinstance(value, Tensor):
                # bytes, so that NaN equals itself and −0 is not 0
                same = value.numpy().tobytes() == new[name].numpy().tobytes()
                assert same, (part, name)
            else:
                assert value == new[name], (part, name)
