"""Importance of a unit: the norm of the weights that compute it."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("l1")
class L1Norm(Criterion):
    """``Σ|w|`` over the weights of the unit; its bias is left out, as in the paper."""

    label = "L1 norm Σ|w|"
    summary = "Units whose weights are smallest in sum go first."
    formula = "Σⱼ |wᵢⱼ|"
    source = "Li et al. 2017"
    url = "https://arxiv.org/abs/1608.08710"
    granularities = ("unit",)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the L1 norms, shape (num_units,), at least 0."""
        return context.rows(layer).abs().sum(dim=1)


@CRITERIA.register("l2")
class L2Norm(Criterion):
    """``√Σw²`` over the weights of the unit; ranks a layer as Molchanov's minimum weight does."""

    label = "L2 norm √Σw²"
    summary = "Units whose weight vector is shortest go first."
    formula = "√(Σⱼ wᵢⱼ²)"
    source = "Bandaru 2020; minimum weight in Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the L2 norms, shape (num_units,), at least 0."""
        return context.rows(layer).norm(dim=1)
