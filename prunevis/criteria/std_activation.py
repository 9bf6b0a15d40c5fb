"""Importance of a unit: how much its answer varies."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("std-activation")
class ActivationDeviation(Criterion):
    """Standard deviation of h over examples and positions, after the activation.

    A unit that answers the same to everything says nothing, however strongly: its mean can be
    folded into the biases of those that read it.
    """

    label = "Spread of activation"
    summary = "Units whose answer varies least go first."
    formula = "std(hᵢ)"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    needs = frozenset({"activations"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return population deviations, float64, shape (num_units,), in the activations' unit."""
        return context.activations(layer).std
