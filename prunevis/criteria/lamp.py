"""Importance of a weight: its square beside those of the larger weights of its layer."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("lamp")
class LayerAdaptiveMagnitude(Criterion):
    """``w² / Σ v²`` over the weights v of the layer that are at least as large, itself included.

    In a layer the order is that of magnitude; across layers it balances them by itself: the largest
    weight of every layer scores 1, so that no layer is ever emptied. Of equal weights the one that
    stands first scores less. A layer of zeros scores 0.
    """

    label = "Layer-adaptive magnitude (LAMP)"
    summary = "Small weights go first, and each layer's share is found without a setting."
    formula = "w² / Σ v² over |v| ≥ |w| of the layer"
    source = "Lee et al. 2021 (LAMP)"
    url = "https://arxiv.org/abs/2010.07611"
    granularities = ("weight",)

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the quotients, float64, shape of the weight, in [0, 1]."""
        weight = context.weight(layer)
        square, order = weight.detach().double().square().flatten().sort(stable=True)
        rest = square.flip(0).cumsum(0).flip(0)
        share = torch.where(rest > 0, square / rest, torch.zeros_like(rest))
        return torch.empty_like(share).scatter_(0, order, share).reshape(weight.shape)
