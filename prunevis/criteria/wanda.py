"""Importance of a weight: its magnitude times the norm of what it multiplies (Wanda)."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


def contributions(layer: LayerInfo, context: ScoreContext) -> Tensor:
    """Return ``|w| · √mean x²``, float64, shape (num_units, weights of a unit).

    The norm of an input over n samples is √n times its root mean square; n is the same for all
    weights of a layer and left out.
    """
    rows = context.rows(layer).cpu().double().abs()
    square = context.inputs(layer).square
    # the units of a grouped convolution read the inputs of their own group
    return rows * square.sqrt().repeat_interleave(len(rows) // len(square), dim=0)


@CRITERIA.register("wanda")
class Wanda(Criterion):
    """``|w| · ‖x‖₂``, compared within each output row, as the paper does.

    So that one ranking can say it, the score is the share of the row's weights that go before the
    weight: every unit loses the same share of its inputs. What contributes nothing scores 0.
    `wanda-layer` compares without rows.
    """

    label = "Wanda |w|·‖x‖, row by row"
    summary = "In every unit the inputs that contribute least go first, the same share from each."
    formula = "rank of |wᵢⱼ|·‖xⱼ‖₂ within row i"
    source = "Sun et al. 2023 (Wanda)"
    url = "https://arxiv.org/abs/2306.11695"
    granularities = ("weight",)
    needs = frozenset({"weights", "inputs"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the shares, float64, shape of the weight, in [0, 1)."""
        found = contributions(layer, context)
        order = found.argsort(dim=1, stable=True)
        place = torch.arange(order.shape[1], dtype=torch.float64).expand(order.shape)
        rank = torch.empty(order.shape, dtype=torch.float64).scatter_(1, order, place)
        share = torch.where(found > 0, rank / max(1, order.shape[1]), 0.0)
        return context.from_rows(layer, share)


@CRITERIA.register("wanda-layer")
class WandaLayer(Criterion):
    """``|w| · ‖x‖₂``, compared over the whole layer, or over all where the scope is global.

    The paper compares within each output row, which helps language models and not image
    classifiers, as its authors found.
    """

    label = "Wanda |w|·‖x‖"
    summary = "Weights that contribute least to their unit go first: small, or fed with little."
    formula = "|wᵢⱼ| · √mean xⱼ²"
    source = "Sun et al. 2023 (Wanda)"
    url = "https://arxiv.org/abs/2306.11695"
    granularities = ("weight",)
    needs = frozenset({"weights", "inputs"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the products, float64, shape of the weight, at least 0."""
        return context.from_rows(layer, contributions(layer, context))
