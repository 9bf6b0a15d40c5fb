"""Whether a smaller network runs, and gives what the masked one gives."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError
from prunevis.graph.layers import ModelGraph
from prunevis.graph.state import untouched

#: Largest difference between masked and removed outputs, as a share of the largest output, that
#: sums in another order explain.
TOLERANCE = 1e-3


def masked_copy(model: nn.Module, positions: Mapping[tuple[str, int], Tensor]) -> nn.Module:
    """Return a copy of `model` with zeros wherever a position goes."""
    copied = copy.deepcopy(model)
    tensors = {**dict(copied.named_parameters()), **dict(copied.named_buffers())}
    for (name, axis), along in positions.items():
        if name.rpartition(".")[2] == "running_var":
            continue
        tensor = tensors[name]
        view = [1] * tensor.dim()
        view[axis] = -1
        tensor.detach().mul_(along.view(view).to(tensor.device))
    return copied


def _inputs(model: nn.Module, graph: ModelGraph) -> Tensor:
    """Return two random examples of the traced shape."""
    device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    shape = list(graph.input_shape)
    shape.insert(graph.batch_axis, 2)
    if graph.input_dtype.is_floating_point:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(shape, generator=generator).to(device, graph.input_dtype)
    return torch.zeros(shape, dtype=graph.input_dtype, device=device)


def check_evaluation(
    model: nn.Module,
    smaller: nn.Module,
    graph: ModelGraph,
    positions: Mapping[tuple[str, int], Tensor],
) -> None:
    """Raise `ModelError` unless the smaller network gives what the masked one gives."""
    inputs = _inputs(model, graph)
    trial = copy.deepcopy(smaller)
    got = _run(trial, lambda: trial(inputs), training=False)
    masked = masked_copy(model, positions)
    with untouched(masked):
        torch.manual_seed(0)
        expected = masked(inputs)
    if not isinstance(got, Tensor) or not isinstance(expected, Tensor):
        return
    if got.shape != expected.shape or not bool(torch.isfinite(expected).all()):
        return
    difference = float((got - expected).abs().max()) if got.numel() else 0.0
    scale = float(expected.abs().max()) if got.numel() else 0.0
    if not difference <= TOLERANCE * max(scale, 1e-6):
        raise ModelError(
            "After removal the network gives other outputs than with zeros in place.",
            expected=f"a difference of at most {TOLERANCE:g} of the largest output, {scale:.3g}",
            got=f"{difference:.3g}",
            fix="Its forward uses a number of channels in its arithmetic; prune other layers.",
        )


def check_training(smaller: nn.Module, graph: ModelGraph) -> None:
    """Raise `ModelError` unless a forward in training mode runs; on a copy, which may learn."""
    trial = copy.deepcopy(smaller)
    inputs = _inputs(trial, graph)
    _run(trial, lambda: trial(inputs), training=True)


def _run(model: nn.Module, forward: Callable[[], Any], *, training: bool) -> Any:
    mode = "training" if training else "evaluation"
    try:
        with untouched(model, training=training):
            torch.manual_seed(0)
            return forward()
    except Exception as error:
        names = {id(module): name for name, module in model.named_modules()}
        where = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            name = names.get(id(frame.f_locals.get("self")))
            where = name or where
        raise ModelError(
            f"The smaller network does not run in {mode} mode: {type(error).__name__}: {error}",
            where=f"`{where}`" if where else "the model's own forward",
            fix="A size is hard-coded in forward (such as view(-1, 400)): take it from the tensor "
            "(flatten(1)), or leave the layers before it whole.",
        ) from error
