"""Importance of a unit: how rarely it answers zero (average percentage of zeros, APoZ)."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("apoz")
class ActiveShare(Criterion):
    """``1 − APoZ``: share of examples and positions at which the unit is not zero.

    Exact zeros after a ReLU; after other activations an answer counts as zero when it is small
    beside the layer's root mean square (`prunevis.statistics.records.NEAR_ZERO`). A rare but
    strong detector looks unimportant to this rule.
    """

    label = "Share of zeros (APoZ)"
    summary = "Units that are zero most of the time go first."
    formula = "1 − APoZᵢ,  APoZᵢ = share of answers hᵢ = 0"
    source = "Hu et al. 2016"
    url = "https://arxiv.org/abs/1607.03250"
    granularities = ("unit",)
    needs = frozenset({"activations"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the shares, shape (num_units,), in [0, 1]; 0 never fires."""
        return 1.0 - context.activations(layer).zero_share
