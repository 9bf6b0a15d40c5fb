"""What goes is rebuilt, without any data, from the unit that stays and has most similar weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prunevis.graph.layers import ChannelGroup, LayerInfo
from prunevis.pruning.repairs.base import REPAIRS, Repair, RepairContext, Repaired
from prunevis.pruning.repairs.readers import readers, unit_columns

#: Activations that a positive factor passes through: f(s x) = s f(x) for s > 0.
HOMOGENEOUS = (None, "relu", "leaky_relu", "prelu")
#: Least cosine between the weights of two units that are merged; below it a unit is only deleted.
THRESHOLD = 0.1
#: Share of the cosine in the choice of a partner behind a BatchNorm; the rest is its shift |B| / S.
SHARE = 0.85


@REPAIRS.register("merge")
class Merge(Repair):
    """``V_v ← V_v + S V_u``, v the unit that stays and points most nearly where u does.

    A ReLU lets a positive factor through: units whose weights (and bias) are multiples of each
    other answer in that proportion (Srinivas & Babu 2015; Neuron Merging, Kim et al. 2020). The
    factor is the ratio of norms. A BatchNorm in evaluation mode is folded in first, which gives
    ``S = s (γ_u / γ_v) (σ_v / σ_u)`` and leaves a shift
    ``B = (γ_u / σ_u) (s (μ_v − σ_v β_v / γ_v) − μ_u) + β_u`` with σ = √(var + ε), s the ratio of
    the unfolded norms. Without a BatchNorm the bias counts as one more weight, and v has the
    highest cosine; with one, v minimises ``SHARE · (1 − cos) + (1 − SHARE) · minmax(|B| / S)``.
    Units with no cosine of `THRESHOLD` are only deleted.

    Exact where the weights are positive multiples and B = 0. Several layers that are added to one
    another count as one, their weights side by side: then one factor holds for the sum.
    """

    label = "Merge similar weights (no data)"
    summary = "Each unit that goes is merged into the one that stays and has most similar weights."
    formula = "V_v ← V_v + S V_u,  S = ‖w_u‖ / ‖w_v‖, BatchNorm folded in"
    source = "Srinivas & Babu 2015; Kim et al. 2020 (Neuron Merging)"
    url = "https://arxiv.org/abs/2010.13160"
    granularities = ("unit",)
    exact_for = frozenset({"dead", "duplicate"})

    def repair(self, context: RepairContext) -> Repaired:
        """Merge every unit that goes into one that stays."""
        graph, plan = context.graph, context.plan
        weights: dict[str, Tensor] = {}
        skipped: dict[str, str] = {}
        notes: dict[str, str] = {}
        affected = [layer for layer, _ in readers(context)]
        for name, kept in plan.kept.items():
            if not plan.removed[name]:
                continue
            group = graph.groups[name]
            mine = [layer for layer in affected if layer.name in group.consumers]
            reason = _refusal(group, context)
            if reason is not None:
                skipped.update((layer.name, reason) for layer in mine)
                continue
            pairs = pair_units(folded_rows(group, context), kept, group.size)
            for layer in mine:
                old = weights.get(layer.weight, context.tensors[layer.weight].double().cpu())
                new = _merged(old, pairs, group, layer, context)
                if new is None:
                    skipped[layer.name] = f"`{layer.name}` does not read all units equally often."
                    continue
                weights[layer.weight] = new
                if len(pairs.goes) < plan.removed[name]:
                    notes[layer.name] = (
                        f"{len(pairs.goes):,} of {plan.removed[name]:,} units were merged; the "
                        f"others have no cosine of {THRESHOLD:g} with a unit that stays."
                    )
        tensors = {
            name: value.reshape(context.tensors[name].shape).to(context.tensors[name])
            for name, value in weights.items()
        }
        return Repaired(tensors, skipped, notes)


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Weights of units, a row each, as they are behind BatchNorm.

    Attributes
    ----------
    rows
        float64 (units, columns): weights; with the bias as a last column if no BatchNorm stands
        between.
    shifts
        float64 (units, layers) or None: what a BatchNorm leaves as bias.
    """

    rows: Tensor
    shifts: Tensor | None


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """int64 (n,) units that go and those that take them over, float64 (n,) the factors S > 0."""

    goes: Tensor
    takes: Tensor
    factor: Tensor


def _refusal(group: ChannelGroup, context: RepairContext) -> str | None:
    """Return why units of a group are no multiples of each other where they are read."""
    graph = context.graph
    for tie in group.ties:
        if not tie.startswith("The addition"):
            return f"A factor does not pass through as it is. {tie}"
    for name in group.producers:
        layer = graph.layers[name]
        if layer.activation not in HOMOGENEOUS:
            return f"`{name}` is followed by {layer.activation}, which no factor passes through."
        if len(layer.norms) > 1:
            return f"`{name}` is followed by several normalisations."
        if layer.norms and f"{layer.norms[0]}.running_var" not in context.tensors:
            return f"`{layer.norms[0]}` has no running statistics that could be folded in."
        if _producer_axis(group, layer) != 0:
            return f"`{name}` multiplies by its weight transposed."
        units = _units(group, layer)
        if units is None or not torch.equal(units, torch.arange(group.size)):
            return f"`{name}` does not compute each unit of its group once."
    return None


def _producer_axis(group: ChannelGroup, layer: LayerInfo) -> int | None:
    axes = [m.axis for m in group.members if m.tensor == layer.weight and m.role == "producer"]
    return axes[0] if len(axes) == 1 else None


def _units(group: ChannelGroup, layer: LayerInfo) -> Tensor | None:
    found = (m.units for m in group.members if m.tensor == layer.weight and m.role == "producer")
    return next(found, None)


def folded_rows(group: ChannelGroup, context: RepairContext) -> Rows:
    """Return the weights of a group's units with BatchNorms folded in, all producers side by side.

    ``w' = γ w / σ`` and ``b' = γ (b − μ) / σ + β``.
    """
    tensors = context.tensors
    parts: list[Tensor] = []
    shifts: list[Tensor] = []
    normed = False
    for name in group.producers:
        layer = context.graph.layers[name]
        rows = tensors[layer.weight].double().cpu().flatten(1)
        bias = torch.zeros(len(rows), dtype=torch.float64)
        if layer.bias is not None:
            bias = tensors[layer.bias].double().cpu()
        if layer.norms:
            normed = True
            norm = layer.norms[0]
            own = {
                key: tensors[f"{norm}.{key}"].double().cpu()
                for key in ("weight", "bias", "running_mean", "running_var")
                if f"{norm}.{key}" in tensors
            }
            module = context.model.get_submodule(norm)
            gain = own.get("weight", torch.ones_like(bias))
            gain = gain / (own["running_var"] + float(getattr(module, "eps", 0.0))).sqrt()
            bias = gain * (bias - own["running_mean"]) + own.get("bias", 0.0)
            rows = rows * gain[:, None]
        parts.append(rows)
        shifts.append(bias)
    if normed:
        return Rows(torch.cat(parts, dim=1), torch.stack(shifts, dim=1))
    return Rows(torch.cat([*parts, torch.stack(shifts, dim=1)], dim=1), None)


def pair_units(found: Rows, kept: Tensor, size: int) -> Pairs:
    """Return which unit that goes is merged into which that stays, and by what factor."""
    gone = torch.ones(size, dtype=torch.bool)
    gone[kept] = False
    goes = gone.nonzero().flatten()
    norm = found.rows.norm(dim=1)
    unit = found.rows / norm.clamp(min=1e-300)[:, None]
    cosine = unit[goes] @ unit[kept].T
    factor = norm[goes][:, None] / norm[kept].clamp(min=1e-300)[None, :]
    distance = 1 - cosine
    if found.shifts is not None:
        shift = found.shifts[goes][:, None] - factor[:, :, None] * found.shifts[kept][None]
        bias = shift.norm(dim=2) / factor.clamp(min=1e-300)
        low, high = bias.amin(dim=1, keepdim=True), bias.amax(dim=1, keepdim=True)
        bias = (bias - low) / (high - low).clamp(min=1e-300)
        distance = SHARE * distance + (1 - SHARE) * bias
    # what is below the threshold, or all zero, is no partner
    able = (cosine >= THRESHOLD) & (norm[kept] > 0)[None, :]
    best = distance.masked_fill(~able, float("inf")).argmin(dim=1)
    row = torch.arange(len(goes))
    chosen = able[row, best]
    return Pairs(goes[chosen], kept[best[chosen]], factor[row, best][chosen])


def _merged(
    weight: Tensor, pairs: Pairs, group: ChannelGroup, layer: LayerInfo, context: RepairContext
) -> Tensor | None:
    """Return a reader's weight with the columns of merged units added to those that take them."""
    matrix = weight.reshape(weight.shape[0], -1).clone()
    table = unit_columns(context.graph, group, layer, matrix.shape[1])
    if table is None:
        return None
    read = (table[pairs.goes, 0] >= 0) & (table[pairs.takes, 0] >= 0)
    source, target = table[pairs.goes[read]], table[pairs.takes[read]]
    original = context.tensors[layer.weight].double().cpu().reshape(matrix.shape)
    for k in range(table.shape[1]):
        share = original[:, source[:, k]] * pairs.factor[read]
        matrix.index_add_(1, target[:, k], share)
    return matrix.reshape(weight.shape)
