"""What the units of each layer answer to real inputs, and what each layer reads.

`prunevis.graph.points` says after which operator of the trace a layer's units are looked at, and
`ModelGraph.calls` which operator is the layer itself. A real run meets the same operators in the
same order; those that only move numbers (views and copies) may differ with the number of examples
and are left out of the count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunevis.errors import DataError, PrunevisError, SpecError, TraceError
from prunevis.graph.calls import Watch, counts
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.graph.operators import MOVES
from prunevis.graph.placement import Point
from prunevis.graph.state import untouched

#: Operators whose input can be laid out as rows of numbers, one for each column of the weight.
READABLE = ("convolution", "addmm", "mm", "bmm")


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """How a convolution moves over its input, one number for each axis of space.

    Attributes
    ----------
    kernel, stride, padding, dilation
        In positions; zeros are padded on both sides.
    groups
        Of input channels.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, eq=False, slots=True)
class LayerRead:
    """What a layer reads in its first call.

    Attributes
    ----------
    values
        For a convolution shape (N, channels, \\*space), otherwise (rows, columns of the weight)
        with the rows of one example together.
    window
        Of a convolution, else None.
    """

    values: Tensor
    window: Window | None


@dataclass(frozen=True, eq=False, slots=True)
class Observed:
    """What one run showed.

    Attributes
    ----------
    answers
        Layer name -> tensor of shape (N, units, positions), see `observe`.
    reads
        Layer name -> what it reads.
    space
        Layer name -> shape of its positions, e.g. height and width of a feature map; for rows of
        tokens a single number.
    """

    answers: dict[str, Tensor]
    reads: dict[str, LayerRead]
    space: dict[str, tuple[int, ...]]


class _Observer(Watch):
    """Check that the run follows the trace, and keep the results and inputs that are wanted.

    `expected` are the operators of the trace without moves; `wanted` maps a place in that list to
    the layers observed there, `read` to the layers called there, each with its weight.
    """

    def __init__(
        self,
        expected: list[str],
        wanted: Mapping[int, list[str]],
        read: Mapping[int, list[tuple[str, Tensor]]],
    ) -> None:
        super().__init__()
        self.expected, self.wanted, self.read = expected, wanted, read
        self.found: dict[str, Tensor] = {}
        self.reads: dict[str, LayerRead] = {}
        self.count = 0

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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
            for layer, weight in self.read.get(self.count, ()):
                self.reads[layer] = _read(layer, name, args, weight)
            self.count += 1
        return result


def _read(layer: str, operator: str, args: tuple[Any, ...], weight: Tensor) -> LayerRead:
    """Return a copy of what an operator of `READABLE` multiplies by the weight."""
    if "convolution" in operator:
        values, kernel, _, stride, padding, dilation, _, _, groups = args[:9]
        sizes = (tuple(kernel.shape[2:]), tuple(stride), tuple(padding), tuple(dilation))
        return LayerRead(values.detach().clone(), Window(*sizes, groups))
    first, second = args[-2:]
    own = weight.untyped_storage().data_ptr()
    if second.untyped_storage().data_ptr() == own:
        values = first
    elif first.untyped_storage().data_ptr() == own:
        values = second.mT
    else:
        raise TraceError(
            f"What `{layer}` reads cannot be told from its weight.",
            where=layer,
            fix="Leave it out of `inputs`.",
        )
    return LayerRead(values.detach().reshape(-1, values.shape[-1]).clone(), None)


def unreadable(graph: ModelGraph, layer: LayerInfo) -> str | None:
    """Return why what a layer reads cannot be laid out as columns of its weight, or None."""
    number = graph.calls.get(layer.name)
    operator = "" if number is None else graph.operators[number].split(".")[1]
    if operator not in READABLE:
        said = f"it multiplies by `{operator}`" if operator else "its call was not traced"
        return f"What `{layer.name}` reads cannot be collected: {said}."
    if "Transpose" in layer.kind:
        return (
            f"What `{layer.name}` reads cannot be collected: "
            "a transposed convolution spreads its inputs instead of gathering them."
        )
    if layer.weight_reason is not None:
        return layer.weight_reason
    if operator != "convolution" and len(layer.weight_shape) != 2:
        return f"What `{layer.name}` reads cannot be collected: its weight is no matrix."
    return None


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
    return observe_all(model, graph, inputs, layers).answers


def observe_all(
    model: nn.Module,
    graph: ModelGraph,
    inputs: Tensor,
    layers: Iterable[str] | None = None,
    reads: Iterable[str] = (),
) -> Observed:
    """Do the same, and keep what the layers named in `reads` read in their first call.

    Parameters, answers and errors as for `observe`; layers that `unreadable` gives a reason for
    may not be among `reads`.
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
    read: dict[int, list[tuple[str, Tensor]]] = {}
    weights = dict(model.named_parameters(remove_duplicate=False))
    for name in reads:
        weight = weights[graph.layers[name].weight]
        read.setdefault(places[graph.calls[name]], []).append((name, weight))
    observer = _Observer([graph.operators[number] for number in places], wanted, read)
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
    answers: dict[str, Tensor] = {}
    space: dict[str, tuple[int, ...]] = {}
    for name in names:
        values, point = observer.found[name], graph.points[name]
        answers[name] = _arranged(values, point, len(inputs))
        plain = point.axis == 1 and point.examples.first and len(values) == len(inputs)
        own = tuple(values.shape[2:]) if plain else ()
        space[name] = own or (answers[name].shape[2],)
    return Observed(answers, observer.reads, space)


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


def _arranged(values: Tensor, point: Point, count: int) -> Tensor:
    """Return ``(N, units, P)`` from a result of `count` examples, whose units lie at `point`."""
    where, units = point.examples, point.axis
    # how many positions there are may differ from the traced example's on one side only
    inner = values.shape[where.axis] // count if where.outer == 1 else where.inner
    values = values.unflatten(where.axis, (-1, count, inner))
    units += 2 if units > where.axis else 0
    return values.movedim((where.axis + 1, units), (0, 1)).flatten(2)
