"""Importance of a unit: Fisher information of a gate on it."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("fisher")
class Fisher(Criterion):
    """``½ mean over examples of (Σₘ ∂Lₙ/∂zₘ · zₘ)²``, z the unit's feature map.

    The second-order estimate of what the loss gains when the unit goes, with the empirical Fisher
    information of a gate where the next layers read the unit. Units that no layer reads are gated
    at their own row.
    """

    label = "Fisher information"
    summary = "Units that bend the loss least go first: a second-order estimate by their gates."
    formula = "½ meanₙ (Σₘ ∂Lₙ/∂zₘ · zₘ)²"
    source = "Theis et al. 2018"
    url = "https://arxiv.org/abs/1801.05787"
    granularities = ("unit",)
    needs = frozenset({"gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the estimates, float64, shape (num_units,), at least 0."""
        return 0.5 * context.gradients(layer).gate.square
