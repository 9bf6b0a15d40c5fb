"""Importance of a unit: how much it answers on average."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("mean-activation")
class MeanActivation(Criterion):
    """Mean of ``|h|`` over examples and positions, after the activation.

    After a ReLU, where the paper takes it, this is the plain mean. Elsewhere the magnitude keeps
    positive and negative answers from cancelling.
    """

    label = "Mean activation"
    summary = "Units that answer least on average go first."
    formula = "mean |hᵢ|"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    needs = frozenset({"activations"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the means, shape (num_units,), at least 0, in the activations' unit."""
        return context.activations(layer).mean_magnitude
