"""Importance of a unit: how unlike the units that stay it is.

The criteria share one greedy rule: among the units that are left, take the two most alike and
let the weaker of them go; its importance is 1 − their similarity. So of several copies all but one
score near 0, and the one that stands for them scores as if they had never been there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.statistics.similarity import too_many_units, weight_cosine
from prunevis.statistics.sums import MAX_POSITIONS

#: Importance of a unit that says nothing: it goes before any that is merely redundant.
CONSTANT_UNIT = -1.0


def greedy_redundancy(similarity: Tensor, strength: Tensor, constant: Tensor) -> Tensor:
    """Return the importance of units by the greedy rule.

    Parameters
    ----------
    similarity
        Shape (units, units), symmetric, in [0, 1]; the diagonal is not read.
    strength
        Shape (units,): of a pair the one with the smaller goes (of equals, the later).
    constant
        bool, shape (units,): units that go before all others, with `CONSTANT_UNIT`.

    Returns
    -------
    Tensor
        float64, shape (units,): `CONSTANT_UNIT`, or in [0, 1]; never decreasing in the order in
        which the rule lets units go. The last one left has no pair and scores 1.
    """
    units = similarity.shape[0]
    matrix = similarity.detach().cpu().numpy().astype(np.float32, copy=True)
    weight = strength.detach().cpu().double().numpy()
    alive = ~constant.detach().cpu().numpy()
    importance = np.full(units, CONSTANT_UNIT)
    gone = np.float32(-1.0)  # below every similarity
    matrix[:, ~alive] = gone
    np.fill_diagonal(matrix, gone)
    # Each row remembers its best partner; a removal only disturbs the rows that pointed at it.
    partner = matrix.argmax(axis=1) if units else np.empty(0, dtype=np.int64)
    best = matrix[np.arange(units), partner]
    best[~alive] = gone
    for _ in range(int(alive.sum()) - 1):
        a = int(best.argmax())
        b = int(partner[a])
        first, second = min(a, b), max(a, b)
        out = first if weight[first] < weight[second] else second
        importance[out] = 1.0 - float(matrix[a, b])
        alive[out] = False
        matrix[:, out] = gone
        best[out] = gone
        lost = np.flatnonzero((partner == out) & alive)
        if lost.size:
            rows = matrix[lost]
            partner[lost] = rows.argmax(axis=1)
            best[lost] = rows[np.arange(lost.size), partner[lost]]
    importance[alive] = 1.0
    return torch.from_numpy(importance)


class Redundancy(Criterion):
    """What they have in common: the limit on the size of the matrix."""

    granularities = ("unit",)

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where the matrix would be too large."""
        return super().unavailable_for(layer, graph) or too_many_units(layer.num_units)


def few_samples(layer: LayerInfo, context: ScoreContext) -> str | None:
    """Return a sentence if a layer was seen with fewer samples than it has units, else None."""
    found = context.activations(layer)
    samples = found.num_examples * min(found.positions, MAX_POSITIONS)
    if samples >= layer.num_units:
        return None
    return (
        f"`{layer.name}` has {layer.num_units:,} units and was seen with {samples:,} samples only, "
        "so that some correlate by chance."
    )


@CRITERIA.register("weight-similarity")
class WeightSimilarity(Redundancy):
    """Redundancy by the cosine between the weights of units.

    Only positive cosines count: a unit with the opposite weights answers where the other is
    silent, and no positive multiple of one can stand for the other.
    """

    label = "Similar weights"
    summary = "Of two units with nearly the same weights, the weaker goes first."
    formula = "1 − max(0, cos(wᵢ, wⱼ)), most similar pair first"
    source = "Srinivas & Babu 2015"
    url = "https://arxiv.org/abs/1507.06149"

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return 1 − cosine to the unit it duplicates, shape (num_units,), in [0, 1].

        Units whose weights are all zero score `CONSTANT_UNIT`.
        """
        rows = context.rows(layer)
        norm = rows.double().norm(dim=1)
        return greedy_redundancy(weight_cosine(rows).clamp(min=0.0), norm, norm == 0)


@CRITERIA.register("activation-correlation")
class ActivationCorrelation(Redundancy):
    """Redundancy by the correlation between the answers of units.

    Either sign counts: ``hᵢ ≈ α hⱼ + β`` lets the next layer rebuild i from j.
    """

    label = "Correlated activations"
    summary = "Of two units that answer alike, the one that varies less goes first."
    formula = "1 − |ρ(hᵢ, hⱼ)|, most correlated pair first"
    source = "Babaeizadeh et al. 2016 (NoiseOut)"
    url = "https://arxiv.org/abs/1611.06211"
    needs = frozenset({"activations", "correlation"})

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where there are fewer samples than units."""
        return few_samples(layer, context)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return 1 − |correlation| to the unit it duplicates, shape (num_units,), in [0, 1].

        Units that never vary score `CONSTANT_UNIT`.
        """
        found = context.activations(layer)
        return greedy_redundancy(context.correlation(layer).abs(), found.std, found.constant)
