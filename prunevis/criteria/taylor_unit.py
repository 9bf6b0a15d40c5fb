"""Importance of a unit: first order Taylor expansions of the loss about its removal."""

from __future__ import annotations

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("taylor-2016")
class TaylorActivation(Criterion):
    """``mean over examples of |1/M Σₘ ∂Lₙ/∂zₘ · zₘ|``, z the unit's feature map, M its positions.

    The sum over the map is the derivative by a gate on the unit, taken where the next layers read
    it. The absolute value is taken for each example. A global ranking divides by the L2 norm of the
    layer's scores, as the paper does. Units that no layer reads are gated at their own row.
    """

    label = "Taylor on activations (2016)"
    summary = "Units that change the loss of single examples least, to first order, go first."
    formula = "meanₙ |1/M Σₘ ∂Lₙ/∂zₘ · zₘ|"
    source = "Molchanov et al. 2016"
    url = "https://arxiv.org/abs/1611.06440"
    granularities = ("unit",)
    needs = frozenset({"gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the means, float64, shape (num_units,), at least 0, in nats."""
        return context.gradients(layer).gate.magnitude / max(1, layer.positions)


@CRITERIA.register("taylor-2019")
class TaylorGate(Criterion):
    """``mean over examples of (∂Lₙ/∂gate)²``, the gate before the activation.

    Behind a BatchNorm that is ``(γ ∂L/∂γ + β ∂L/∂β)²``, the paper's best; without one the gate is
    on the layer's own row, ``(Σ w ∂L/∂w + b ∂L/∂b)²``. The paper averages over minibatches, this
    over examples. No normalisation across layers is needed, by the authors.
    """

    label = "Taylor on gates (2019)"
    summary = "Units behind a gate that the loss hardly feels go first."
    formula = "meanₙ (γ ∂Lₙ/∂γ + β ∂Lₙ/∂β)²"
    source = "Molchanov et al. 2019"
    url = "https://arxiv.org/abs/1906.10771"
    granularities = ("unit",)
    needs = frozenset({"gradients", "labels"})

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the means, float64, shape (num_units,), at least 0, in nats squared."""
        return context.gradients(layer).before.square
