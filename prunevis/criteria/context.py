"""What a criterion may look at: weights, the traced network, and what was collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.statistics.weights import unit_axis, unit_rows

if TYPE_CHECKING:
    from prunevis.statistics.gradients import GradientStatistics
    from prunevis.statistics.inputs import InputStatistics
    from prunevis.statistics.records import ActivationStatistics, Statistics
    from prunevis.statistics.responses import ResponseStatistics


@dataclass(frozen=True, eq=False, slots=True)
class ScoreContext:
    """All that a criterion may look at besides the layer itself.

    Attributes
    ----------
    graph
        From `prunevis.trace`.
    tensors
        Every parameter and buffer by dotted name, detached; not to be changed.
    statistics
        From `prunevis.collect_statistics`; None if not collected.
    granularity
        "weight" or "unit".
    seed
        For criteria that draw at random.
    model
        The network itself, for criteria that run it (`prunevis.statistics.losses.Loss`); it is to
        stay as it is. None where there is none at hand.
    layers
        Names of the layers that are ranked; None for all.
    prepared
        What the criterion's own `prepare` returned, else None.
    """

    graph: ModelGraph
    tensors: Mapping[str, Tensor] = field(repr=False)
    statistics: Statistics | None
    granularity: str
    seed: int = 0
    model: nn.Module | None = field(default=None, repr=False)
    layers: tuple[str, ...] | None = None
    prepared: Any = field(default=None, repr=False)

    def weight(self, layer: LayerInfo) -> Tensor:
        """Return the layer's weight, shape ``layer.weight_shape``."""
        return self.tensors[layer.weight]

    def rows(self, layer: LayerInfo) -> Tensor:
        """Return the layer's weight, a row a unit: shape (num_units, weights of a unit)."""
        return unit_rows(self.graph, layer, self.weight(layer))

    def from_rows(self, layer: LayerInfo, rows: Tensor) -> Tensor:
        """Return numbers in the layout of `rows`, laid out as the layer's weight."""
        axis = unit_axis(self.graph, layer)
        shape = list(layer.weight_shape)
        units = shape.pop(axis)
        if units == layer.num_units:
            return rows.reshape(units, *shape).movedim(0, axis)
        # a grouped transposed convolution, see `unit_rows`
        groups = layer.num_units // units
        blocks = rows.reshape(groups, units, -1).transpose(0, 1)
        return blocks.reshape(units, *shape).movedim(0, axis)

    def activations(self, layer: LayerInfo) -> ActivationStatistics:
        """Return what the layer's units answer.

        Raises
        ------
        SpecError
            If no statistics were collected or the layer was not observed.
        """
        return self._statistics(layer, "what the units answer")[layer.name]

    def correlation(self, layer: LayerInfo) -> Tensor:
        """Return float32, shape (num_units, num_units): correlation of the layer's units.

        Raises
        ------
        SpecError
            If no statistics were collected, or none of this layer, or it has too many units.
        """
        return self._statistics(layer, "what the units answer").correlation(layer.name)

    def responses(self, layer: LayerInfo) -> ResponseStatistics:
        """Return what the layer's units answer, example by example; SpecError if not collected."""
        what = "what the units answer to each example"
        return self._statistics(layer, what, "responses=True").response(layer.name)

    def inputs(self, layer: LayerInfo | str) -> InputStatistics:
        """Return moments of what a layer reads; SpecError if not collected."""
        name = layer if isinstance(layer, str) else layer.name
        return self._statistics(layer, "what the layer reads", "inputs=True").input(name)

    def gradients(self, layer: LayerInfo) -> GradientStatistics:
        """Return gradients of the loss by the layer's weights and by gates on its units.

        Raises
        ------
        SpecError
            If they were not collected.
        """
        return self._statistics(layer, "gradients", "gradients=True").gradient(layer.name)

    def labels(self, layer: LayerInfo) -> Tensor:
        """Return int64, shape (examples,): the class of each example; SpecError if unknown."""
        labels = self._statistics(layer, "the classes of examples").labels
        if labels is None:
            raise SpecError(
                "This criterion needs labels, and the data are inputs alone.",
                where=layer.name,
                fix="Collect statistics from pairs of inputs and class indices.",
            )
        return labels

    def network(self) -> nn.Module:
        """Return `model`; SpecError if there is none."""
        if self.model is None:
            raise SpecError(
                "This criterion runs the network, and only its weights are at hand.",
                fix="Pass the network itself: prunevis.rank(model, spec, ...).",
            )
        return self.model

    def examples(self, most: int) -> tuple[Tensor, Tensor]:
        """Return inputs (n, ...) and labels (n,) of the first calibration examples.

        Raises
        ------
        SpecError
            If there are none, or they have no labels.
        """
        return self._statistics("", "labelled examples").examples(most)

    def group_columns(self, layer: LayerInfo) -> dict[str, Tensor]:
        """Return which unit of the layer each column of the layers that read it belongs to.

        Returns
        -------
        dict
            Name of a consuming layer -> int64, shape (columns of its weight,) in the layout of
            `InputStatistics`: the layer's unit, -1 where the column reads something else.

        Raises
        ------
        SpecError
            If no layer reads the units.
        """
        group = self.graph.groups.get(layer.group) if layer.group else None
        mine = None
        for member in group.members if group is not None else ():
            if member.tensor == layer.weight and member.role == "producer":
                mine = member.units
        if group is None or mine is None or not group.consumers:
            raise SpecError(f"No layer reads the units of `{layer.name}`.", where=layer.name)
        # first output of the layer that is each unit of the group
        place = torch.full((group.size,), -1)
        known = (mine >= 0).nonzero().flatten().flip(0)
        place[mine[known]] = known
        found: dict[str, Tensor] = {}
        by_weight = {info.weight: name for name, info in self.graph.layers.items()}
        for member in group.members:
            name = by_weight.get(member.tensor)
            if member.role != "consumer" or name is None:
                continue
            units = torch.where(member.units >= 0, place[member.units.clamp(min=0)], -1)
            shape = self.graph.layers[name].weight_shape
            each = 1
            for size in shape[2:]:
                each *= size
            found[name] = units.repeat_interleave(each)
        return found

    def _statistics(
        self, layer: LayerInfo | str, what: str, option: str | None = None
    ) -> Statistics:
        if self.statistics is None:
            more = f", {option}" if option else ""
            raise SpecError(
                f"This criterion reads {what}, and no statistics were collected.",
                where=layer if isinstance(layer, str) else layer.name,
                fix=f"Pass statistics=prunevis.collect_statistics(model, data{more}).",
            )
        return self.statistics
