"""Importance of a unit: the rank of its feature map."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph


@CRITERIA.register("hrank")
class MapRank(Criterion):
    """Mean over examples of the matrix rank of the unit's feature map.

    A map of low rank holds little information; the rank changes little from image to image. It is
    at most the shorter side of the map, so that small maps tell units apart poorly. How many
    examples, and what counts as zero: `prunevis.statistics.responses`.
    """

    label = "Rank of the feature map (HRank)"
    summary = "Channels whose maps have the lowest rank go first."
    formula = "meanₙ rank(zᵢ(n))"
    source = "Lin et al. 2020 (HRank)"
    url = "https://arxiv.org/abs/2002.10179"
    granularities = ("unit",)
    needs = frozenset({"responses", "maps"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where units have no feature map."""
        if len(layer.weight_shape) != 4 or layer.positions < 4:
            return f"The units of `{layer.name}` give no feature maps that could have a rank."
        return super().unavailable_for(layer, graph)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the mean ranks, float64, shape (num_units,), at most the map's shorter side."""
        return context.responses(layer).map_ranks()
