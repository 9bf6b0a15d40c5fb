"""The layers that read what goes: their columns, which of them stay, and where a constant may go.

A unit that leaves is missed only by the layers that read it (Srinivas & Babu 2015; ThiNet, Luo et
al. 2017), so most repairs look at one such *reader* at a time, in the space of what it reads: the
rows of numbers that its weight, as a matrix, is multiplied by. For a convolution these are the
patches under its kernel, zeros of the padding included. Whatever lies between a unit and its reader
(BatchNorm, pooling, flattening, a depthwise convolution, a residual join) has happened by then, so
nothing of it has to be assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prunevis.errors import PrunevisError, SpecError
from prunevis.graph.layers import ChannelGroup, LayerInfo, ModelGraph
from prunevis.pruning.repairs.base import Damage, Repair, RepairContext, Repaired
from prunevis.statistics.inputs import InputStatistics


@dataclass(frozen=True, eq=False, slots=True)
class Reader:
    """A layer that reads what goes, as matrices: one for each group of a grouped convolution.

    Attributes
    ----------
    layer
        Which.
    weight
        float64, shape (groups, rows, columns): ``layer.weight`` by group, each kernel laid out.
    kept
        bool, shape of `weight` (granularity "weight") or (1, 1, columns): what stays.
    inputs
        Moments of what it reads, with the same columns.
    takes_constant
        Whether a constant can be added to its outputs; see `Constants`.
    """

    layer: LayerInfo
    weight: Tensor = field(repr=False)
    kept: Tensor = field(repr=False)
    inputs: InputStatistics = field(repr=False)
    takes_constant: bool

    @property
    def stays(self) -> Tensor:
        """Columns that stay, int64 ascending; for granularity "unit"."""
        return self.kept[0, 0].nonzero().flatten()

    @property
    def goes(self) -> Tensor:
        """Columns that go, int64 ascending; for granularity "unit"."""
        return (~self.kept[0, 0]).nonzero().flatten()

    def moment(self) -> Tensor:
        """Return float64 (groups, columns, columns): mean of x xᵀ.

        Raises
        ------
        SpecError
            If it was not collected, or is too large.
        """
        if self.inputs.moment is None:
            raise SpecError(
                self.inputs.reason or "The products of what it reads were not collected.",
                where=self.layer.name,
            )
        return self.inputs.moment

    def covariance(self) -> Tensor:
        """Return float64 (groups, columns, columns): mean of (x − μ)(x − μ)ᵀ."""
        mean = self.inputs.mean
        return self.moment() - mean[:, :, None] * mean[:, None, :]


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """What a repair makes of a reader.

    Attributes
    ----------
    weight
        float64, shape of `Reader.weight`; values where nothing stays do not matter.
    constant
        float64, shape (groups, rows): added to the outputs; None for nothing.
    note
        What to know, one sentence, or None.
    """

    weight: Tensor
    constant: Tensor | None = None
    note: str | None = None


class ReaderRepair(Repair):
    """A repair that mends each reader by itself, from the moments of what it reads."""

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Return the change of one reader.

        Raises
        ------
        SpecError
            If this reader cannot be mended; the first sentence becomes the reason.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define mend().")

    def repair(self, context: RepairContext) -> Repaired:
        """Mend every layer that reads what goes."""
        tensors: dict[str, Tensor] = {}
        skipped: dict[str, str] = {}
        notes: dict[str, str] = {}
        damage: dict[str, Damage] = {}
        constants = Constants(context)
        for layer, kept in readers(context):
            try:
                reader = opened(layer, kept, context, constants)
                change = self.mend(reader, context)
            except PrunevisError as error:
                skipped[layer.name] = error.problem
                continue
            if change.constant is not None:
                constants.add(layer, change.constant.flatten(), tensors)
            old = context.tensors[layer.weight]
            tensors[layer.weight] = change.weight.reshape(old.shape).to(old)
            if change.note is not None:
                notes[layer.name] = change.note
            if reader.inputs.moment is not None:
                damage[layer.name] = damage_of(reader, change)
        return Repaired(tensors, skipped, notes, damage)


def damage_of(reader: Reader, change: Change) -> Damage:
    """Return how far the outputs of `reader` move: ``E‖Dx − c‖² = tr(DMDᵀ) − 2cᵀDμ + ‖c‖²``.

    ``D`` is what the weight lacks afterwards, ``M`` the second moments, ``μ`` the means of what is
    read, ``c`` the constant that is added.
    """
    moment, mean = reader.moment(), reader.inputs.mean
    after = change.weight * reader.kept
    zero = torch.zeros(after.shape[:2], dtype=torch.float64)
    constant = zero if change.constant is None else change.constant
    return Damage(
        deleted=_square(reader.weight * ~reader.kept, zero, moment, mean),
        repaired=_square(reader.weight - after, constant, moment, mean),
        signal=float(((reader.weight @ reader.covariance()) * reader.weight).sum().clamp(min=0)),
    )


def _square(lack: Tensor, constant: Tensor, moment: Tensor, mean: Tensor) -> float:
    shift = (lack @ mean[:, :, None])[:, :, 0]
    found = ((lack @ moment) * lack).sum() - 2 * (constant * shift).sum() + constant.square().sum()
    return float(found.clamp(min=0))


def readers(context: RepairContext) -> Iterator[tuple[LayerInfo, Tensor]]:
    """Yield each layer that reads something that goes, and what stays of its weight.

    bool, shape of the weight (granularity "weight") or (length of axis 1,). A layer whose columns
    lie on another axis (a transposed convolution) is yielded with an empty tensor.
    """
    graph, plan = context.graph, context.plan
    if plan.granularity == "weight":
        for name, mask in plan.masks.items():
            if plan.removed[name]:
                yield graph.layers[name], mask
        return
    of_weight = {layer.weight: layer for layer in graph.layers.values()}
    found: dict[str, Tensor] = {}
    for name, kept in plan.kept.items():
        if not plan.removed[name]:
            continue
        stays = torch.zeros(graph.groups[name].size, dtype=torch.bool)
        stays[kept] = True
        for member in graph.groups[name].members:
            layer = of_weight.get(member.tensor)
            if layer is None or member.role != "consumer":
                continue
            along = torch.where(member.units >= 0, stays[member.units.clamp(min=0)], True)
            if member.axis != 1:
                along = torch.empty(0, dtype=torch.bool)
            before = found.get(layer.name)
            found[layer.name] = along if before is None else before & along
    for name in graph.layers:  # in the order of execution
        if name in found:
            yield graph.layers[name], found[name]


def opened(layer: LayerInfo, kept: Tensor, context: RepairContext, constants: Constants) -> Reader:
    """Return a layer as a `Reader`.

    Raises
    ------
    SpecError
        If it cannot be seen as matrices times what it reads.
    """
    if context.statistics is None:
        raise SpecError(
            "This repair reads what layers read, and no statistics were collected.",
            fix="Pass statistics=prunevis.collect_statistics(model, data, inputs=True).",
        )
    if not kept.numel():
        raise SpecError(f"`{layer.name}` multiplies by its weight transposed.")
    if layer.name in context.graph.repeated:
        raise SpecError(
            f"`{layer.name}` is called several times, and reads something else each time."
        )
    inputs = context.statistics.input(layer.name)
    groups, columns = inputs.mean.shape
    weight = context.tensors[layer.weight].detach().cpu().double()
    rows = weight.shape[0] // groups
    if context.plan.granularity == "weight":
        kept = kept.reshape(groups, rows, columns)
    else:
        kept = kept.repeat_interleave(columns // len(kept)).reshape(1, 1, columns)
    return Reader(
        layer, weight.reshape(groups, rows, columns), kept, inputs, constants.place(layer) != ""
    )


class Constants:
    """Where a constant can be added to the outputs of a layer: its bias, or its own BatchNorm.

    A layer without bias that a BatchNorm alone reads has one all the same: lowering the running
    mean by ``c`` is adding ``c`` to the layer's outputs, exactly, in evaluation mode.
    """

    def __init__(self, context: RepairContext) -> None:
        self._context = context
        self._statistics = {
            member.module: member.tensor
            for group in context.graph.groups.values()
            for member in group.members
            if member.role == "statistic" and member.tensor.endswith("running_mean")
        }

    def place(self, layer: LayerInfo) -> str:
        """Return the name of the tensor that takes the constant, "" if there is none."""
        graph = self._context.graph
        if layer.bias is not None:
            return layer.bias
        point = graph.points.get(layer.name)
        # where another operator reads the outputs too, the units are observed at the layer itself
        alone = point is not None and point[0] > graph.calls.get(layer.name, point[0])
        others = [one for one in graph.layers.values() if set(one.norms) & set(layer.norms)]
        if not alone or len(layer.norms) != 1 or len(others) != 1:
            return ""
        name = self._statistics.get(layer.norms[0], "")
        return name if name and graph.tensors[name].shape == (layer.num_units,) else ""

    def add(self, layer: LayerInfo, constant: Tensor, tensors: dict[str, Tensor]) -> None:
        """Add `constant` (units,) to the outputs of a layer, into `tensors`."""
        name = self.place(layer)
        old = self._context.tensors[name]
        now = tensors.get(name, old).double().cpu()
        now = now + constant if name == layer.bias else now - constant
        tensors[name] = now.to(old)


def unit_columns(
    graph: ModelGraph, group: ChannelGroup, layer: LayerInfo, columns: int
) -> Tensor | None:
    """Return int64 (units, k): the k columns of a reader that belong to each unit, in order.

    None if units do not have equally many. Row u is empty (−1) for a unit that is not read.
    """
    for member in group.members:
        if member.tensor != layer.weight or member.role != "consumer" or member.axis != 1:
            continue
        each = columns // len(member.units)
        units = member.units.repeat_interleave(each)
        counts = torch.bincount(units[units >= 0], minlength=group.size)
        many = int(counts.max())
        if not bool(((counts == many) | (counts == 0)).all()):
            return None
        order = units.argsort(stable=True)
        order = order[(units[order] >= 0)]
        found = torch.full((group.size, many), -1, dtype=torch.int64)
        found[counts > 0] = order.reshape(-1, many)
        return found
    return None
