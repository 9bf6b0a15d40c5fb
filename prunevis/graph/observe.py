"""What the units of each layer answer to real inputs.

`prunevis.graph.points` says after which operator of the trace a layer's units are looked at. A real
run meets the same operators in the same order; those that only move numbers (views and copies) may
differ with the number of examples and are left out of the count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from prunevis.errors import DataError, PrunevisError, SpecError, TraceError
from prunevis.graph.layers import ModelGraph
from prunevis.graph.operators import MOVES
from prunevis.graph.recorder import counts, decompose
from prunevis.graph.state import untouched


class _Observer(TorchDispatchMode):
    """Check that the run follows the trace, and keep the results that are wanted.

    `expected` are the operators of the trace without moves, `wanted` maps a place in that list to
    the layers observed there.
    """

    def __init__(self, expected: list[str], wanted: dict[int, list[str]]) -> None:
        super().__init__()
        self.expected, self.wanted = expected, wanted
        self.found: dict[str, Tensor] = {}
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: a wrapper round each call would cost time and an import of the compiler."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:
            decomposed = decompose(func, args, kwargs)
        if decomposed is not NotImplemented:
            return decomposed
        result = func(*args, **kwargs)
        name = str(func)
        if counts(func) and not is_move(name):
            expected = self.expected[self.count] if self.count < len(self.expected) else "the end"
            if name != expected:
                raise TraceError(
                    "The forward took another path than when it was traced.",
                    expected=f"`{expected}` as operator {self.count}",
                    got=f"`{name}`",
                    fix="Trace the model with an input like these.",
                )
            for layer in self.wanted.get(self.count, ()):
                own = result if isinstance(result, Tensor) else result[0]
                # a later operator may write into it
                self.found[layer] = own.detach().clone()
            self.count += 1
        return result


def is_move(operator: str) -> bool:
    """Whether an operator ("aten.view.default") only moves numbers."""
    return operator.split(".")[1] in MOVES


def observe(
    model: nn.Module,
    graph: ModelGraph,
    inputs: Tensor,
    layers: Iterable[str] | None = None,
) -> dict[str, Tensor]:
    """Run `model` once and return what the units of its layers answer.

    Units are looked at behind the normalisation, addition and activation that directly follow their
    layer; a layer that is called several times is looked at in its first call.

    Parameters
    ----------
    model
        The network that `graph` is of; it is not changed.
    graph
        From `prunevis.trace`.
    inputs
        Shape (N, \\*input_shape), on any device.
    layers
        Names; None for every layer in ``graph.points``.

    Returns
    -------
    dict
        Layer name -> tensor of shape (N, units, P), P the positions an example (1 for a linear
        layer on vectors), on the device of the model.

    Raises
    ------
    SpecError
        If a layer is not in the graph, or cannot be observed.
    DataError
        If the inputs have another shape than the example that was traced.
    TraceError
        If the forward raises, or takes another path than when it was traced.
    """
    names = _names(graph, layers)
    if inputs.dim() != len(graph.input_shape) + 1 or not len(inputs):
        raise DataError(
            "These inputs do not fit the traced network.",
            expected=f"(N, {', '.join(map(str, graph.input_shape))})",
            got=tuple(inputs.shape),
        )
    places = {}
    for number, operator in enumerate(graph.operators):
        if not is_move(operator):
            places[number] = len(places)
    wanted: dict[int, list[str]] = {}
    for name in names:
        wanted.setdefault(places[graph.points[name][0]], []).append(name)
    observer = _Observer([graph.operators[number] for number in places], wanted)
    device = next((t.device for t in (*model.parameters(), *model.buffers())), inputs.device)
    # a forward may write into buffers: let it write into copies
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.inference_mode(False), torch.no_grad(), untouched(model):
        own = inputs.detach().to(device)
        own = own.clone() if own.is_inference() else own
        try:
            with observer:
                functional_call(model, buffers, (own,))
        except PrunevisError:
            raise
        except Exception as error:
            raise TraceError(
                f"The forward pass raised {type(error).__name__}: {error}",
                got=f"inputs of shape {tuple(inputs.shape)}",
            ) from error
    return {
        name: _arranged(observer.found[name], graph.points[name][1], len(inputs)) for name in names
    }


def _names(graph: ModelGraph, layers: Iterable[str] | None) -> list[str]:
    if layers is None:
        return list(graph.points)
    names = list(layers)
    for name in names:
        if name not in graph.layers:
            raise SpecError(f"There is no layer `{name}`.", expected=", ".join(graph.layers))
        if name not in graph.points:
            raise SpecError(
                f"The units of `{name}` cannot be observed.",
                expected=", ".join(graph.points) or "no layer can",
            )
    return names


def _arranged(values: Tensor, axis: int, count: int) -> Tensor:
    """Return ``(N, units, P)`` from a result with units on `axis` and examples first on axis 0."""
    units = values.shape[axis]
    values = values.movedim(axis, -1)
    # axis 0 may hold several rows an example (tokens, windows), the rows of one example together
    return values.reshape(count, -1, units).movedim(2, 1)
