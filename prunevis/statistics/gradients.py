"""Gradients of the loss, example by example: of weights, and of gates on units.

A *gate* is a factor of 1 on a unit; the derivative of the loss by it is what a first-order
criterion knows of the unit's removal. No hooks are needed for it:

- the gate *after* the activation, where the next layers read the unit. They read it in products
  with the columns ``V[:, u]`` alone, so by the chain rule ``∂L/∂gate = Σₖ V[k, u] · ∂L/∂V[k, u]``,
  summed over all consumers: exactly, through pooling, flatten and additions;
- the gate *before* it, on what the layer's normalisation gives: ``γ ∂L/∂γ + β ∂L/∂β`` (Molchanov
  et al. 2019), or without one on the row of the layer itself: ``Σ w ∂L/∂w + b ∂L/∂b``.

Absolute values and squares are taken for each example before they are averaged. Sums are float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from prunevis.errors import NonFiniteError, PrunevisError
from prunevis.graph.layers import ChannelGroup, LayerInfo, ModelGraph
from prunevis.statistics.losses import Loss
from prunevis.statistics.weights import unit_rows

#: Most examples, bytes of their gradients and multiply-adds at once. Small networks gain threefold
#: by eight together; where gradients outgrow the cache, one by one is faster (LeNet-5: 9 ms an
#: example against 27).
AT_ONCE, AT_ONCE_BYTES, AT_ONCE_MACS = 8, 2**22, 200_000_000


@dataclass(frozen=True, eq=False, slots=True)
class GateStatistics:
    """Derivatives gₙ of example n's loss by a gate on each unit of a layer.

    Attributes
    ----------
    mean, magnitude, square
        float64, shape (units,): mean of g, of abs(g) and of g² over examples, in nats (squared).
    where
        "consumers", "norm" or "rows": which tensors it was computed from.
    """

    mean: Tensor
    magnitude: Tensor
    square: Tensor
    where: str


@dataclass(frozen=True, eq=False, slots=True)
class GradientStatistics:
    """Gradients of the loss by the weights of one layer and by gates on its units.

    The loss of an example is the cross-entropy of its label; the network is in evaluation mode.

    Attributes
    ----------
    layer
        Dotted name.
    mean, magnitude, square
        float64, shape of the weight: mean of g, of abs(g) and of g² over examples, ``g = ∂L/∂w``
        of one example. `mean` is the gradient of the mean loss, `square` the diagonal of the
        empirical Fisher information.
    after, before
        Gates on the units after and before the activation; `after` is None where no layer reads
        the units.
    num_examples
        How many.
    """

    layer: str
    mean: Tensor = field(repr=False)
    magnitude: Tensor = field(repr=False)
    square: Tensor = field(repr=False)
    after: GateStatistics | None = field(repr=False)
    before: GateStatistics = field(repr=False)
    num_examples: int

    @property
    def gate(self) -> GateStatistics:
        """`after` where there is one, else `before`."""
        return self.after or self.before


class _Sums:
    """Sums of g, abs(g) and g² over examples."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[Tensor] | None = None

    def add(self, g: Tensor) -> None:
        """Add (examples, ...)."""
        if self.sums is None:
            self.sums = [torch.zeros(g.shape[1:], dtype=torch.float64) for _ in range(3)]
        mean, magnitude, square = self.sums
        for one in g:
            # in double before squaring: squares of small gradients vanish in single precision
            wide = one.to("cpu", torch.float64, copy=True)
            mean += wide
            square.addcmul_(wide, wide)
            magnitude += wide.abs_()
        self.count += len(g)

    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        assert self.sums is not None
        a, b, c = (own / self.count for own in self.sums)
        return a, b, c


class GradientSums:
    """Running sums of gradients of single examples; `add` batches, then read the `result`.

    Parameters
    ----------
    model, graph
        As for `collect_statistics`.

    Raises
    ------
    ModelError
        If the model has weights that are not floating point.
    """

    def __init__(self, model: nn.Module, graph: ModelGraph) -> None:
        self.loss, self._graph = Loss(model), graph
        wanted = {tensor for layer in graph.layers.values() for tensor in _own(layer)}
        wanted |= {m.tensor for g in graph.groups.values() for m in g.members}
        self._tensors = {n: t for n, t in self.loss.parameters.items() if n in wanted}
        self._weights: dict[str, _Sums] = {}
        self._before: dict[str, _Sums] = {}
        self._after: dict[str, _Sums] = {}
        self._where: dict[str, str] = {}
        size = sum(t.nbytes for t in self._tensors.values())
        at_once = min(AT_ONCE_BYTES // max(1, size), AT_ONCE_MACS // max(1, 3 * graph.macs))
        #: Examples of a piece; a few together are not worth it.
        self.at_once = 1 if at_once < AT_ONCE // 2 else min(AT_ONCE, at_once)
        #: Examples that were taken in.
        self.count = 0
        #: Whether several examples go through at once; False after that has failed.
        self.together = self.at_once > 1

    def add(self, inputs: Tensor, targets: Tensor) -> Iterator[None]:
        """Take in labelled examples, yielding between pieces.

        Raises
        ------
        DataError
            If the labels do not fit the model's outputs.
        ModelError
            If no gradient can be taken.
        NonFiniteError
            If a gradient is NaN or infinite.
        """
        if not self._weights:
            self.loss.check_labels(inputs, targets)
        start = 0
        while start < len(inputs):
            stop = start + (self.at_once if self.together else 1)
            gradients = self._gradients(inputs[start:stop], targets[start:stop])
            if gradients is None:
                self.together = False
                continue
            self._add(gradients)
            start = stop
            self.count += len(gradients[next(iter(gradients))])
            yield

    def _gradients(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor] | None:
        """Return the gradient of each example, stacked; None if `vmap` cannot do it."""
        with self.loss.running():
            inputs, targets = inputs.detach().clone(), targets.detach().clone()
            if not self.together:
                return self._one(inputs, targets)

            def of_one(tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
                return self.loss(tensors, x[None], y[None])

            every = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))
            try:
                return every(self._tensors, inputs, targets)
            except (PrunevisError, RuntimeError, ValueError, TypeError):
                # a forward that branches on a size, writes in place or calls its own kernels
                return None

    def _one(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        tensors = {n: t.detach().requires_grad_() for n, t in self._tensors.items()}
        loss = self.loss(tensors, inputs, targets)
        if not loss.requires_grad:
            # a forward under no_grad: nothing in it can be learned from
            return {n: torch.zeros_like(t)[None] for n, t in tensors.items()}
        found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
        return {
            name: (torch.zeros_like(tensor) if g is None else g)[None]
            for (name, tensor), g in zip(tensors.items(), found, strict=True)
        }

    def _add(self, gradients: dict[str, Tensor]) -> None:
        graph = self._graph
        for layer in graph.layers.values():
            if layer.weight not in gradients:
                continue
            g = gradients[layer.weight]
            if not bool(torch.isfinite(g.sum())):
                raise NonFiniteError(
                    f"The gradient of `{layer.weight}` is NaN or infinite.",
                    where=layer.name,
                    fix="Check the model's weights and that the inputs are scaled as in training.",
                )
            self._weights.setdefault(layer.name, _Sums()).add(g)
            gate, self._where[layer.name] = self._gate_before(layer, gradients)
            self._before.setdefault(layer.name, _Sums()).add(gate)
        for group in graph.groups.values():
            gate = self._gate_after(group, gradients)
            if gate is not None:
                self._after.setdefault(group.name, _Sums()).add(gate)

    def _product(self, name: str, gradients: dict[str, Tensor]) -> Tensor:
        """Return tensor × gradient, shape (examples, \\*shape)."""
        return gradients[name] * self.loss.parameters[name]

    def _gate_before(self, layer: LayerInfo, gradients: dict[str, Tensor]) -> tuple[Tensor, str]:
        """Return (examples, units), and what it was computed from."""
        graph = self._graph
        group = graph.groups.get(layer.group) if layer.group else None
        total = None
        for member in group.members if group is not None else ():
            if member.role != "norm" or member.module not in layer.norms:
                continue
            if member.tensor not in gradients:
                continue
            own = self._product(member.tensor, gradients).double()
            inside = member.units >= 0
            part = own.new_zeros(len(own), group.size)  # type: ignore[union-attr]
            part.index_add_(1, member.units[inside].to(own.device), own[:, inside.to(own.device)])
            total = part if total is None else total + part
        if total is not None:
            return total[:, _units(graph, layer).to(total.device)], "norm"
        own = self._product(layer.weight, gradients)
        every = (unit_rows(graph, layer, one).sum(1, dtype=torch.float64) for one in own)
        rows = torch.stack(list(every))
        if layer.bias is not None and layer.bias in gradients:
            rows = rows + self._product(layer.bias, gradients)
        return rows, "rows"

    def _gate_after(self, group: ChannelGroup, gradients: dict[str, Tensor]) -> Tensor | None:
        """Return (examples, group.size), or None if no layer reads the units."""
        total = None
        for member in group.members:
            if member.role != "consumer" or member.tensor not in gradients:
                continue
            own = self._product(member.tensor, gradients).movedim(1 + member.axis, 1)
            sums = own.flatten(2).sum(2, dtype=torch.float64)
            inside = (member.units >= 0).to(own.device)
            if total is None:
                total = sums.new_zeros(len(own), group.size)
            total.index_add_(1, member.units.to(own.device)[inside], sums[:, inside])
        return total

    def result(self) -> dict[str, GradientStatistics]:
        """Return what has been found, by layer; at least one batch must have been added."""
        found = {}
        for name, sums in self._weights.items():
            layer = self._graph.layers[name]
            after = None
            if layer.group in self._after:
                units = _units(self._graph, layer)
                mean, magnitude, square = self._after[layer.group].means()
                after = GateStatistics(mean[units], magnitude[units], square[units], "consumers")
            before = GateStatistics(*self._before[name].means(), self._where[name])
            found[name] = GradientStatistics(name, *sums.means(), after, before, sums.count)
        return found


def _own(layer: LayerInfo) -> list[str]:
    return [layer.weight] if layer.bias is None else [layer.weight, layer.bias]


def _units(graph: ModelGraph, layer: LayerInfo) -> Tensor:
    """Return int64 (num_units,): the unit of its group that each output of the layer is."""
    for member in graph.groups[str(layer.group)].members:
        if member.tensor == layer.weight and member.role == "producer":
            return member.units
    return torch.arange(layer.num_units)
