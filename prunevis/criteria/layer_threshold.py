"""Importance of a weight: its magnitude beside the spread of its layer."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("layer-threshold")
class LayerThreshold(Criterion):
    """``|w| / std(W)``, the standard deviation over the weights of the layer.

    Han et al. prune layer l at the threshold ``q · std(W_l)``; ranked by this quotient, all layers
    share one quality q: what goes at a cut is what lies below that many standard deviations. The
    deviation is that of the population, about the layer's mean. A layer of equal weights has none,
    and its weights score their magnitude.
    """

    label = "Magnitude by layer |w| / std"
    summary = "Weights that are smallest beside the spread of their own layer go first."
    formula = "|w| / std(W),  cut at q: |w| < q·std(W)"
    source = "Han et al. 2015"
    url = "https://arxiv.org/abs/1506.02626"
    granularities = ("weight",)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the quotients, shape of the weight, at least 0, without unit."""
        weight = context.weight(layer)
        spread = float(weight.double().std(correction=0)) if weight.numel() else 0.0
        return weight.abs() / spread if spread > 0 else weight.abs()
