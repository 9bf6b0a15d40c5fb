"""Whether a smaller network runs, and gives what the masked one gives."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.func import functional_call
from torch.utils._pytree import tree_map_only

from prunevis.errors import ModelError
from prunevis.graph.examples import tensors_in
from prunevis.graph.layers import ModelGraph
from prunevis.graph.state import untouched
from prunevis.pruning.zeroing import zeroed

#: Largest difference between masked and removed outputs, as a share of the largest output, that
#: sums in another order explain.
TOLERANCE = 1e-3


def _noise(model: nn.Module, graph: ModelGraph) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return two random examples like the one that was traced."""
    device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    assert graph.example is not None  # every traced graph has one
    return graph.example.noise(device)


def masked_output(
    model: nn.Module,
    graph: ModelGraph,
    positions: Mapping[tuple[str, int], Tensor],
    mended: Mapping[str, Tensor],
) -> Any:
    """Return what the masked network gives for two random examples."""
    tensors, lazily = zeroed(model, positions, mended)
    with untouched(model), lazily:
        torch.manual_seed(0)
        return functional_call(model, {**_buffers(model), **tensors}, *_noise(model, graph))


def check_evaluation(smaller: nn.Module, graph: ModelGraph, expected: Any) -> None:
    """Raise `ModelError` unless the smaller network gives the `masked_output`."""
    results = tensors_in(_run(smaller, graph, training=False))
    for got, wanted in zip(results, tensors_in(expected), strict=True):
        _compare(got, wanted)


def _compare(got: Tensor, expected: Tensor) -> None:
    if got.shape != expected.shape or not bool(torch.isfinite(expected).all()):
        return
    got, expected = got.double(), expected.double()
    difference = float((got - expected).abs().max()) if got.numel() else 0.0
    scale = float(expected.abs().max()) if got.numel() else 0.0
    if not difference <= TOLERANCE * max(scale, 1e-6):
        raise ModelError(
            "After removal the network gives other outputs than with zeros in place.",
            expected=f"a difference of at most {TOLERANCE:g} of the largest output, {scale:.3g}",
            got=f"{difference:.3g}",
            fix="Its forward uses a number of channels in its arithmetic; prune other layers.",
        )


def check_training(smaller: nn.Module, graph: ModelGraph, model: nn.Module) -> None:
    """Raise `ModelError` unless a forward in training mode runs; nothing is learnt from it.

    It runs on tensors without data where that is possible. What the whole network cannot do either
    (a picture too small for a head that only runs in training) is no fault of the smaller one.
    """
    try:
        try:
            _run(smaller, graph, training=True, mode=FakeTensorMode(allow_non_fake_inputs=True))
        except _NeedsData:
            _run(smaller, graph, training=True)
    except ModelError:
        try:
            _run(model, graph, training=True)
        except ModelError:
            return
        raise


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    """Return copies, for a forward to write into."""
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def _run(
    model: nn.Module,
    graph: ModelGraph,
    *,
    training: bool,
    mode: FakeTensorMode | None = None,
) -> Any:
    """Run on two random examples; under `mode`, without their data and the network's."""
    try:
        with untouched(model, training=training), torch.no_grad():
            torch.manual_seed(0)
            args, named = _noise(model, graph)
            if mode is None:
                return functional_call(model, _buffers(model), args, named)
            tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            own: dict[str, Tensor] = {
                name: mode.from_tensor(tensor) for name, tensor in tensors.items()
            }
            args, named = tree_map_only(Tensor, mode.from_tensor, (args, named))
            with mode:
                return functional_call(model, own, args, named)
    except _NEEDS_DATA as error:
        raise _NeedsData from error
    except Exception as error:
        names = {id(module): name for name, module in model.named_modules()}
        where = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            where = names.get(id(frame.f_locals.get("self"))) or where
        way = "training" if training else "evaluation"
        if where in graph.untraced:
            fix = f"`{where}` was not reached when the network was traced, so it kept its size."
        else:
            fix = (
                "A size is hard-coded in a forward (such as view(-1, 400)): take it from the "
                "tensor (flatten(1)), or leave the layers before it whole."
            )
        raise ModelError(
            f"The smaller network does not run in {way} mode: {type(error).__name__}: {error}",
            where=f"`{where}`" if where else "the model's own forward",
            fix=fix,
        ) from error


class _NeedsData(Exception):
    """A forward reads numbers, and cannot run without data."""


_NEEDS_DATA = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
