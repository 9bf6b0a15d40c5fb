"""Importance of a unit: what its loss costs if the next layer is fitted anew to those that stay.

Least squares mends a choice of units that others made; this one chooses knowing that it will. Units
are eliminated one by one, each time the one without which the readers' outputs can still be rebuilt
best (backward elimination, as optimal brain surgeon on whole columns, Hassibi & Stork 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.criteria.readers import read_by_none
from prunevis.errors import SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.statistics.weights import unit_rows

#: Added to the variance of each column, as a share of their mean, so that an inverse exists.
RIDGE = 1e-4
#: Most columns of a reader: each unit that goes touches their square.
MAX_COLUMNS = 2_304


@dataclass(eq=False, slots=True)
class _Part:
    """A reader (or one group of a grouped one) while units are eliminated.

    `weight` (rows, columns) reads what is left, fitted anew; `inverse` (columns, columns) is that
    of the covariance of what is left; `table` (units, k) holds the columns of each unit, -1 in rows
    of units that it does not read; `signal` is the variance of its outputs.
    """

    weight: Tensor
    inverse: Tensor
    table: Tensor
    signal: float

    def increase(self) -> Tensor:
        """Return float64 (units,): ``tr(V_u (P_uu)⁻¹ V_uᵀ)`` as a share of the signal."""
        cost = torch.zeros(len(self.table), dtype=torch.float64)
        read = (self.table[:, 0] >= 0).nonzero().flatten()
        columns = self.table[read]
        block = self.inverse[columns[:, :, None], columns[:, None, :]]
        own = self.weight[:, columns].permute(1, 2, 0)  # (units, k, rows)
        solved = torch.linalg.solve(block, own)
        cost[read] = (own * solved).sum(dim=(1, 2)).clamp(min=0) / self.signal
        return cost

    def eliminate(self, unit: int) -> None:
        """Take a unit out and fit what is left anew: ``V ← V − V_u P_uu⁻¹ P_u``, P likewise."""
        columns = self.table[unit]
        if columns[0] < 0:
            return
        rows = self.inverse[columns]
        solved = torch.linalg.solve(rows[:, columns], rows)
        self.weight -= self.weight[:, columns] @ solved
        self.inverse -= rows.T @ solved
        self.weight[:, columns] = 0.0
        self.inverse[columns, :] = 0.0
        self.inverse[:, columns] = 0.0
        # nothing is left of it; what is solved with it must stay solvable
        self.inverse[columns, columns] = 1.0


def backward_elimination(parts: list[_Part], units: int) -> Tensor:
    """Return the importance of units by eliminating them one by one.

    Returns
    -------
    Tensor
        float64, shape (units,), at least 0: by how much the error of the readers' outputs grows
        when the unit goes, as a share of their variance; never decreasing in the order in which
        units go.
    """
    found = torch.zeros(units, dtype=torch.float64)
    alive = torch.ones(units, dtype=torch.bool)
    highest = 0.0
    for _ in range(units):
        cost = torch.zeros(units, dtype=torch.float64)
        for part in parts:
            cost += part.increase()
        cost[~alive] = torch.inf
        out = int(cost.argmin())
        highest = max(highest, float(cost[out]))
        found[out], alive[out] = highest, False
        for part in parts:
            part.eliminate(out)
    return found


@CRITERIA.register("reconstruction")
class Reconstruction(Criterion):
    """``‖V′_u‖² / [Σ_S⁻¹]_uu``, for the unit u that goes next out of those that are left, S.

    ``V′`` are the reader's weights fitted anew to S, ``Σ_S`` the covariance of what S answers,
    damped by `RIDGE` × its mean diagonal: exactly what the error of the reader's outputs grows by
    when u goes and the rest is fitted by least squares, intercept included. For several columns a
    unit (kernels, flattened maps) ``tr(V′_u [Σ_S⁻¹]_uu⁻¹ V′_uᵀ)``. Several readers are summed, each
    as a share of the variance of its outputs. Rank-one updates make the whole order of C units as
    dear as one inverse, O(C³).
    """

    label = "Reconstruction error"
    summary = "Units go first that the next layer, fitted anew, can best do without."
    formula = "‖V′ᵤ‖² / [Σ⁻¹]ᵤᵤ, smallest first, V′ and Σ⁻¹ updated"
    source = "Hassibi & Stork 1993, on units; He, Zhang & Sun 2017"
    url = "https://arxiv.org/abs/1707.06168"
    granularities = ("unit",)
    needs = frozenset({"weights", "inputs", "moments"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where no layer reads the units, or what it reads is too much or unknown."""
        reason = read_by_none(layer, graph)
        if reason is not None:
            return reason
        for name in graph.groups[str(layer.group)].consumers:
            reader = graph.layers[name]
            reason = self.unread(reader, graph)
            if reason is not None:
                return reason
            columns = reader.num_weights // max(1, reader.num_units)
            if columns > MAX_COLUMNS:
                return (
                    f"`{name}` reads {columns:,} inputs at a time, and units are eliminated one by "
                    f"one for up to {MAX_COLUMNS:,}."
                )
        return None

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the growth of error, float64, shape (num_units,), at least 0."""
        parts: list[_Part] = []
        for name, owners in context.group_columns(layer).items():
            reader = context.graph.layers[name]
            found = context.inputs(name)
            covariance = found.moments() - found.mean[:, :, None] * found.mean[:, None, :]
            rows = unit_rows(context.graph, reader, context.weight(reader)).cpu().double()
            table = _columns_of(owners, layer.num_units)
            if table is None:
                raise SpecError(
                    f"`{name}` does not read all units of `{layer.name}` equally often.",
                    where=layer.name,
                )
            for weight, own in zip(rows.chunk(len(covariance)), covariance, strict=True):
                scale = float(own.diagonal().mean())
                damped = own + (RIDGE * scale or 1.0) * torch.eye(len(own), dtype=own.dtype)
                inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
                signal = float(((weight @ own) * weight).sum())
                if signal > 0:
                    parts.append(_Part(weight.clone(), inverse, table, signal))
        return backward_elimination(parts, layer.num_units)


def _columns_of(owners: Tensor, units: int) -> Tensor | None:
    """Return int64 (units, k): the columns of each unit, -1 for one that is not read."""
    counts = torch.bincount(owners[owners >= 0], minlength=units)
    many = int(counts.max())
    if not bool(((counts == many) | (counts == 0)).all()):
        return None
    order = owners.argsort(stable=True)
    found = torch.full((units, many), -1, dtype=torch.int64)
    found[counts > 0] = order[owners[order] >= 0].reshape(-1, many)
    return found
