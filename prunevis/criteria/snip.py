"""Importance of a weight: the connection sensitivity of SNIP."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("snip")
class ConnectionSensitivity(Criterion):
    """``|w · ∂L/∂w|``, L the mean loss over the calibration examples.

    The paper divides by the sum over all weights, which changes no order and is left out. It takes
    one minibatch at initialisation; here it is whatever network and examples are at hand. Gradients
    of opposite sign cancel over examples, unlike in `taylor-weight`.
    """

    label = "Gradient × weight (SNIP)"
    summary = "Weights whose removal would change the mean loss least, to first order, go first."
    formula = "|w · ∂L/∂w|"
    source = "Lee et al. 2019 (SNIP)"
    url = "https://arxiv.org/abs/1810.02340"
    granularities = ("weight",)
    needs = frozenset({"weights", "gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the sensitivities, float64, shape of the weight, at least 0, in nats."""
        gradient = context.gradients(layer).mean
        return (context.weight(layer).cpu().double() * gradient).abs()
