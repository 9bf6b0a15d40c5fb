"""Importance of a weight: optimal brain damage with the empirical Fisher information."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("obd")
class OptimalBrainDamage(Criterion):
    """``½ h w²`` with ``h = mean over examples of (∂Lₙ/∂w)²`` for the second derivative.

    Assumes a diagonal Hessian and a minimum of the loss, where the first order is 0; the squares of
    single examples' gradients (empirical Fisher) stand for it. LeCun et al. propagate second
    derivatives instead.
    """

    label = "Optimal brain damage (Fisher)"
    summary = "Weights that bend the loss least go first: a diagonal second-order estimate."
    formula = "½ w² · meanₙ (∂Lₙ/∂w)²"
    source = "LeCun et al. 1990"
    url = "https://proceedings.neurips.cc/paper/1989/hash/6c9882bbac1c7093bd25041881277658-Abstract.html"
    granularities = ("weight",)
    needs = frozenset({"weights", "gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the estimates, float64, shape of the weight, at least 0, in nats."""
        weight = context.weight(layer).cpu().double()
        return 0.5 * weight.square() * context.gradients(layer).square
