"""Importance of a weight: what its removal does to the flow of gradients (GraSP)."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo
from prunevis.statistics.losses import Loss

#: Examples behind a score, and the temperature that logits are divided by (the authors' 200).
EXAMPLES, TEMPERATURE = 256, 200.0


@CRITERIA.register("grasp")
class GradientSignal(Criterion):
    """``θ · Hg``, H the Hessian and g the gradient of the mean loss: high = keep.

    The authors remove the *largest* ``S = −θ · Hg``, which is the same order: what goes first is
    what lowers the norm of the gradient least, or raises it. Scores have a sign. Meant for networks
    before training, where the authors redraw the last layer; here the network is taken as it is,
    in evaluation mode, over the first `EXAMPLES` calibration examples, logits divided by
    `TEMPERATURE`.
    """

    label = "Gradient signal (GraSP)"
    summary = "Weights whose removal leaves most of the gradient's norm go first."
    formula = "θ · Hg,  remove the largest −θ · Hg"
    source = "Wang et al. 2020 (GraSP)"
    url = "https://arxiv.org/abs/2002.07376"
    granularities = ("weight",)
    needs = frozenset({"weights", "model", "labels"})
    signed = True

    def prepare(self, context: ScoreContext) -> Generator[None, None, dict[str, Tensor]]:
        """Return the Hessian times the gradient, by tensor."""
        loss = Loss(context.network())
        inputs, labels = context.examples(EXAMPLES)
        loss.check_labels(inputs, labels)
        names = {layer.weight for layer in context.graph.layers.values()}
        tensors = {n: t for n, t in loss.parameters.items() if n in names}
        macs, scale = context.graph.macs, 1 / TEMPERATURE
        at_once = loss.pace(macs)
        gradient = yield from loss.gradient_steps(
            tensors, inputs, labels, at_once=at_once, scale=scale
        )
        return (
            yield from loss.gradient_steps(
                tensors, inputs, labels, at_once=loss.pace(macs, 8), scale=scale, along=gradient
            )
        )

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the products, float64, shape of the weight, of either sign."""
        return context.weight(layer).double() * context.prepared[layer.weight].double()
