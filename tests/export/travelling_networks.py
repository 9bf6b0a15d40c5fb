"""Networks that are saved and rebuilt in another process: every kind that removal knows.

Also that other process: ``python travelling_networks.py FOLDER`` rebuilds all files of a folder and
says for each whether it gives what it gave before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from attention_networks import (
    Biased,
    Chunked,
    Einsum,
    Encoder,
    Grouped,
    HeadsFirst,
    Indexed,
    Multihead,
    Unbound,
)
from odd_networks import RECORDED
from safetensors.torch import load_file
from small_networks import Net
from torch import Tensor, nn

import prunevis as pv

TOKENS, STEPS = (2, 5, 12), (2, 6, 8)
Made = tuple[Callable[[], nn.Module], Callable[[], Tensor]]


def drawn(*shape: int) -> Callable[[], Tensor]:
    def draw() -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))

    return draw


def recurrent(kind: type[nn.Module], **options: object) -> Callable[[], nn.Module]:
    width = 14 if options.get("bidirectional") else options.get("proj_size", 7)
    return lambda: Net(
        lambda m, x: m.out(m.layer(m.first(x))[0].mean(1)),
        first=nn.Linear(8, 8),
        layer=kind(8, 7, batch_first=True, **options),
        out=nn.Linear(width, 3),
    )


def cell(kind: type[nn.Module]) -> Callable[[], nn.Module]:
    def forward(m: nn.Module, x: Tensor) -> Tensor:
        state = m.cell(x[:, 1], m.cell(x[:, 0]))
        return m.out(state[0] if isinstance(state, tuple) else state)

    return lambda: Net(forward, cell=kind(8, 7), out=nn.Linear(7, 3))


def line() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 10, 3, dilation=2), nn.BatchNorm1d(10), nn.ReLU(),
        nn.Conv1d(10, 8, 1, groups=2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def space() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 10, 3), nn.BatchNorm3d(10), nn.ReLU(), nn.ConvTranspose3d(10, 6, 2, stride=2),
        nn.Conv3d(6, 4, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def plane() -> nn.Module:
    """Depthwise with a multiplier, norms of all kinds, PReLU, channels last."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.PReLU(6),
        nn.Conv2d(6, 12, 3, groups=6), nn.BatchNorm2d(12), nn.SiLU(),
        nn.ConvTranspose2d(12, 8, 2), nn.GroupNorm(8, 8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 3),
    ).to(memory_format=torch.channels_last)  # fmt: skip


def tied() -> nn.Module:
    model = nn.Sequential(
        nn.Linear(4, 6), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2)
    )
    model[3].weight = model[1].weight
    return model


def zoo(name: str) -> Made:
    return pv.MODELS[name].build, drawn(4, 1, 28, 28)


#: By name: what makes the network, and what makes its input.
NETWORKS: dict[str, Made] = {
    **{name: zoo(name) for name in ("lenet-300-100", "lenet5", "resnet8", "mobile")},
    "conv1d, grouped": (line, drawn(3, 6, 8)),
    "conv3d, transposed": (space, drawn(2, 1, 6, 6, 6)),
    "depthwise, norms, channels last": (plane, drawn(3, 3, 8, 8)),
    "tied weights": (tied, drawn(5, 4)),
    "grouped queries": (Grouped, lambda: torch.arange(12).reshape(2, 6) % 11),
    "lstm": (recurrent(nn.LSTM), drawn(*STEPS)),
    "lstm of two layers": (recurrent(nn.LSTM, num_layers=2), drawn(*STEPS)),
    "lstm both ways": (recurrent(nn.LSTM, bidirectional=True), drawn(*STEPS)),
    "lstm with projection": (recurrent(nn.LSTM, proj_size=4), drawn(*STEPS)),
    "gru": (recurrent(nn.GRU, num_layers=2), drawn(*STEPS)),
    "rnn": (recurrent(nn.RNN), drawn(*STEPS)),
    "lstm cell": (cell(nn.LSTMCell), drawn(*STEPS)),
    "gru cell": (cell(nn.GRUCell), drawn(*STEPS)),
    "attention, unbound": (Unbound, drawn(*TOKENS)),
    "attention, chunked": (Chunked, drawn(*TOKENS)),
    "attention, indexed": (Indexed, drawn(*TOKENS)),
    "attention, heads first": (HeadsFirst, drawn(*TOKENS)),
    "attention, einsum": (Einsum, drawn(*TOKENS)),
    "attention, position table": (Biased, drawn(*TOKENS)),
    "nn.MultiheadAttention": (Multihead, drawn(*TOKENS)),
    "separate projections": (lambda: Multihead(kdim=12, vdim=12), drawn(*TOKENS)),
    "appended key": (lambda: Multihead(add_bias_kv=True), drawn(*TOKENS)),
    "encoder": (Encoder, drawn(*TOKENS)),
    **{f"recorded: {name}": (make, drawn(3, *shape)) for name, (make, shape) in RECORDED.items()},
}


def fresh(name: str) -> nn.Module:
    """Return a new, untrained network."""
    return NETWORKS[name][0]()


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    answers = load_file(folder / "answers.safetensors")
    for number, name in enumerate(NETWORKS):
        torch.manual_seed(7)
        base = None if name in pv.MODELS else fresh(name)
        model = pv.load(folder / f"{number}.safetensors", base=base)
        with torch.no_grad():
            same = torch.equal(model(NETWORKS[name][1]()), answers[name])
        sys.stdout.write(f"{name}: {'same' if same else 'different'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
