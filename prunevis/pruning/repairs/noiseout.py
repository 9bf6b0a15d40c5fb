"""What goes is rebuilt from the one unit that stays and that it is most correlated with."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.graph.layers import ChannelGroup
from prunevis.pruning.repairs.base import REPAIRS, RepairContext
from prunevis.pruning.repairs.mean import BORDER, padded
from prunevis.pruning.repairs.readers import Change, Reader, ReaderRepair, unit_columns

#: Variance below this share of the largest one counts as none: such a unit explains nothing.
CONSTANT = 1e-12


@REPAIRS.register("noiseout")
class NoiseOut(ReaderRepair):
    """``h_u ≈ α h_v + β`` is fitted, then ``V_v`` takes ``α V_u`` and the bias ``β V_u``.

    ``α = ρ sd_u / sd_v`` and ``β = μ_u − α μ_v`` (Babaeizadeh et al. 2016, algorithm 1). Of the
    units that stay, v is the one that leaves least of the error ``‖V_u‖² var_u (1 − ρ²)``. Where
    the reader has several columns a unit (a kernel, or a flattened map), each pair of columns has
    an α and a β of its own. Without a place for β the line goes through zero:
    ``α = E[h_u h_v] / E[h_v²]``.

    Fitted on what the reader reads, behind pooling: so a negative α needs no condition there. Exact
    where the correlation is ±1 and either β = 0 or nothing is padded.
    """

    label = "Merge with the best correlated unit"
    summary = "Each unit that goes is rebuilt from the one that stays and answers most alike."
    formula = "V_v ← V_v + α V_u,  c ← c + β V_u,  with h_u ≈ α h_v + β"
    source = "Babaeizadeh et al. 2016 (NoiseOut)"
    url = "https://arxiv.org/abs/1611.06211"
    granularities = ("unit",)
    needs = frozenset({"inputs", "moments"})
    exact_for = frozenset({"dead", "constant", "duplicate"})

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Merge every unit that goes into one that stays."""
        mean, moment = reader.inputs.mean, reader.moment()
        if reader.takes_constant:
            moment = reader.covariance()
        weight = reader.weight.clone()
        constant = torch.zeros(weight.shape[:2], dtype=torch.float64)
        for group, stays, goes in _groups(reader, context):
            table = unit_columns(context.graph, group, reader.layer, mean.shape[1])
            if table is None:
                raise SpecError(f"`{reader.layer.name}` does not read all units equally often.")
            there = table[:, 0] >= 0
            goes, stays = table[goes[there[goes]]], table[stays[there[stays]]]
            if not len(goes) or not len(stays):
                continue
            for part in range(weight.shape[0]):
                own = reader.weight[part]
                slope, partner = best_partners(own, moment[part], goes, stays)
                for k in range(goes.shape[1]):
                    lost = own[:, goes[:, k]]
                    weight[part].index_add_(1, partner[:, k], lost * slope[:, k])
                    if reader.takes_constant:
                        offset = mean[part, goes[:, k]] - slope[:, k] * mean[part, partner[:, k]]
                        constant[part] += lost @ offset
        note = BORDER if padded(reader, context) else None
        return Change(weight, constant if reader.takes_constant else None, note)


def best_partners(
    weight: Tensor, moment: Tensor, goes: Tensor, stays: Tensor
) -> tuple[Tensor, Tensor]:
    """Return, for the columns of units that go, the slopes and the columns that take them over.

    Parameters
    ----------
    weight
        float64 (rows, columns).
    moment
        float64 (columns, columns): covariance, or uncentred products for lines through zero.
    goes, stays
        int64 (units, k): their columns.

    Returns
    -------
    slope
        float64, shape of `goes`: α; 0 where the partner is constant.
    partner
        int64, shape of `goes`: columns of the unit that leaves least error, summed over its
        columns.
    """
    spread = moment.diagonal()
    floor = CONSTANT * float(spread.max().clamp(min=0))
    error = torch.zeros(len(goes), len(stays), dtype=torch.float64)
    slopes = torch.zeros(*error.shape, goes.shape[1], dtype=torch.float64)
    for k in range(goes.shape[1]):
        u, v = goes[:, k], stays[:, k]
        cross = moment[u][:, v]
        alive = (spread[v] > floor)[None, :]
        slope = torch.where(alive, cross / spread[v].clamp(min=1e-300), 0.0)
        slopes[:, :, k] = slope
        # var_u (1 − ρ²) = var_u − cov² / var_v
        left = (spread[u][:, None] - slope * cross).clamp(min=0)
        error += weight[:, u].square().sum(dim=0)[:, None] * left
    best = error.argmin(dim=1)
    return slopes[torch.arange(len(goes)), best], stays[best]


def _groups(reader: Reader, context: RepairContext) -> list[tuple[ChannelGroup, Tensor, Tensor]]:
    """Return each channel group that the layer reads and that loses units: it, kept, gone."""
    graph, plan, found = context.graph, context.plan, []
    for name, kept in plan.kept.items():
        group = graph.groups[name]
        if plan.removed[name] and reader.layer.name in group.consumers:
            gone = torch.ones(group.size, dtype=torch.bool)
            gone[kept] = False
            found.append((group, kept, gone.nonzero().flatten()))
    return found
