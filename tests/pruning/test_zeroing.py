"""Zeros in the place of positions, made only where they are read."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from prunevis.pruning import zeroing
from prunevis.pruning.zeroing import with_zeros, zeroed


def test_zeros_stand_where_nothing_stays_whatever_stood_there() -> None:
    tensor = torch.tensor([[1.0, 2.0], [float("inf"), float("nan")], [5.0, 6.0]])
    axes = {0: torch.tensor([True, False, True]), 1: torch.tensor([True, False])}
    assert with_zeros(tensor, axes).tolist() == [[1, 0], [0, 0], [5, 0]]
    assert with_zeros(torch.tensor([3, 4]), {0: axes[1]}).tolist() == [3, 0]
    assert tensor[2, 1] == 6


class _Reader(nn.Module):
    """A forward that reads another module's weight, as attention does, and one weight twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(nn.functional.linear(x, self.one.weight)) @ self.one.weight


@pytest.mark.parametrize("kept", [0, zeroing.KEPT])
def test_a_network_runs_as_if_positions_were_zero(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroing, "KEPT", kept)
    torch.manual_seed(0)
    model = _Reader().eval()
    along = torch.tensor([True, False, True, True])
    positions = {
        (name, 0): along
        for name in ("one.weight", "norm.bias", "norm.running_mean", "norm.running_var")
    }
    mended = {"norm.bias": torch.full((4,), 2.0), "norm.weight": torch.full((4,), 3.0)}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(5, 3)
    tensors, mode = zeroed(model, positions, mended)
    with torch.no_grad():
        with mode:
            got = functional_call(model, tensors, (x,))
        weight = model.one.weight * along[:, None]
        variance = (model.norm.running_var + model.norm.eps).sqrt()
        expected = (x @ weight.T / variance * 3 + 2.0 * along) @ weight
    torch.testing.assert_close(got, expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
