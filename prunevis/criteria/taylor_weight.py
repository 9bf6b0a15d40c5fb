"""Importance of a weight: first order Taylor expansion, absolute value example by example."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("taylor-weight")
class TaylorWeight(Criterion):
    """``mean over examples of |w · ∂Lₙ/∂w|``, Lₙ the loss of one example.

    The expansion of the loss of example n about the weight, which setting it to zero moves by
    ``−w``. At convergence the mean gradient is near 0 for every weight, and its magnitude is not:
    so the absolute value is taken before the mean (Molchanov et al. 2016 for feature maps).
    """

    label = "First order (Taylor)"
    summary = "Weights that change the loss of single examples least, to first order, go first."
    formula = "meanₙ |w · ∂Lₙ/∂w|"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("weight",)
    needs = frozenset({"weights", "gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the means, float64, shape of the weight, at least 0, in nats."""
        return context.weight(layer).cpu().double().abs() * context.gradients(layer).magnitude
