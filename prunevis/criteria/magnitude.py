"""Importance of a weight: its magnitude."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("magnitude")
class Magnitude(Criterion):
    """``|w|``, for each weight by itself."""

    label = "Magnitude |w|"
    summary = "The weights closest to zero go first."
    formula = "|w|"
    source = "Han et al. 2015"
    url = "https://arxiv.org/abs/1506.02626"
    granularities = ("weight",)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the magnitudes, shape of the weight, in the weights' unit."""
        return context.weight(layer).abs()
