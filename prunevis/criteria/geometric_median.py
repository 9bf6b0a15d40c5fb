"""Importance of a unit: how far its weights lie from those of the others (FPGM)."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, SteppedCriterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo

#: Differences of weights taken between two yields, about 30 ms on one core.
STEP_NUMBERS = 25_000_000


@CRITERIA.register("geometric-median")
class GeometricMedian(SteppedCriterion):
    """``Σⱼ ‖wᵢ − wⱼ‖₂`` over the units of the layer.

    A unit near the geometric median of its layer can be replaced by the others, whatever its norm:
    it goes first. Weights alone, flattened; the bias is left out, as in the paper.
    """

    label = "Geometric median (FPGM)"
    summary = "Units in the middle of all others go first, since those can stand for them."
    formula = "Σⱼ ‖wᵢ − wⱼ‖₂"
    source = "He et al. 2019 (FPGM)"
    url = "https://arxiv.org/abs/1811.00250"
    granularities = ("unit",)

    def score_steps(self, layer: LayerInfo, context: ScoreContext) -> Generator[None, None, Tensor]:
        """Return the sums of distances, float64, shape (num_units,), at least 0."""
        rows = context.rows(layer).double()
        parts = []
        for part in rows.split(max(1, STEP_NUMBERS // max(1, rows.numel()))):
            # exact differences: by products, distances of near copies would drown in rounding
            apart = torch.cdist(part, rows, compute_mode="donot_use_mm_for_euclid_dist")
            parts.append(apart.sum(dim=1))
            yield
        return torch.cat(parts)
