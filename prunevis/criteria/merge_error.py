"""Importance of a unit: the error that is left when it is merged into its best partner."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA
from prunevis.criteria.context import ScoreContext
from prunevis.criteria.readers import outgoing_norms, read_by_none
from prunevis.criteria.redundancy import Redundancy, few_samples
from prunevis.graph.layers import LayerInfo, ModelGraph


def greedy_merges(cost: Tensor, similarity: Tensor) -> Tensor:
    """Return what it costs to merge each unit away, cheapest first.

    Again and again the unit goes whose ``cost · (1 − its greatest similarity to a unit that is
    left)`` is smallest.

    Parameters
    ----------
    cost
        Shape (units,), at least 0: of a unit that nothing resembles.
    similarity
        Shape (units, units), symmetric, in [0, 1]; the diagonal is not read.

    Returns
    -------
    Tensor
        float64, shape (units,); never decreasing in the order in which units go. The last one left
        has no partner and scores its full cost, or what the one before it cost, if that is more.
    """
    matrix = similarity.detach().cpu().double().numpy().copy()
    full = cost.detach().cpu().double().numpy()
    units = len(full)
    np.fill_diagonal(matrix, 0.0)
    partner = matrix.argmax(axis=1) if units else np.empty(0, np.int64)
    price = full * (1.0 - matrix[np.arange(units), partner])
    alive, found, highest = np.ones(units, bool), np.zeros(units), 0.0
    for left in range(units, 0, -1):
        out = int(np.where(alive, price, np.inf).argmin()) if left > 1 else int(alive.argmax())
        highest = max(highest, float(price[out]))
        found[out], alive[out] = highest, False
        matrix[:, out] = 0.0
        lost = np.flatnonzero((partner == out) & alive)
        if lost.size:
            partner[lost] = matrix[lost].argmax(axis=1)
            price[lost] = full[lost] * (1.0 - matrix[lost, partner[lost]])
    return torch.from_numpy(found)


@CRITERIA.register("merge-error")
class MergeError(Redundancy):
    """``‖V[:, u]‖² · var(h_u) · (1 − ρ²)``, ρ the correlation with the best partner that is left.

    The mean squared error of the consumers' outputs after NoiseOut's merge, exactly, where they are
    linear layers that read h_u as it is: the regression on the partner leaves ``var · (1 − ρ²)``,
    and the columns V carry it on. With pooling between, or for convolutions, whose positions of the
    kernel count as independent, it is an estimate.
    """

    label = "Error after merging (NoiseOut)"
    summary = "Units go first that another can stand for with the least error in the next layer."
    formula = "‖V[:,u]‖² · var(hᵤ) · (1 − ρ²)"
    source = "After Babaeizadeh et al. 2016 (NoiseOut)"
    url = "https://arxiv.org/abs/1611.06211"
    needs = frozenset({"weights", "activations", "correlation"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where no layer reads the units."""
        return super().unavailable_for(layer, graph) or read_by_none(layer, graph)

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where there are fewer samples than units."""
        return few_samples(layer, context)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the errors, float64, shape (num_units,), at least 0."""
        variance = context.activations(layer).std.square()
        similarity = context.correlation(layer).double().square()
        return greedy_merges(outgoing_norms(layer, context) * variance, similarity)
