"""Importance of a weight: whether training moves it away from zero."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.errors import NonFiniteError
from prunevis.graph.layers import LayerInfo
from prunevis.statistics.losses import Loss

#: Steps of plain SGD on a copy, examples of each, and their learning rate.
STEPS, BATCH, LEARNING_RATE = 32, 32, 0.01


@CRITERIA.register("movement")
class Movement(Criterion):
    """``−Σₜ wₜ · ∂L/∂wₜ`` over a short record of training steps: high = moves away from zero.

    The record is made here: `STEPS` steps of SGD without momentum on copies of the weights, each of
    `BATCH` calibration examples in their order, from the first again when they run out; in
    evaluation mode, so that statistics of BatchNorm stay. Other parameters are held. The authors
    accumulate over a whole fine-tuning; a network at rest on these very examples hardly moves, and
    then this says little. Scores have a sign.
    """

    label = "Movement"
    summary = "Weights that training moves towards zero go first."
    formula = "−Σₜ w·∂L/∂w over 32 steps of SGD on a copy"
    source = "Sanh et al. 2020"
    url = "https://arxiv.org/abs/2005.07683"
    granularities = ("weight",)
    needs = frozenset({"weights", "model", "labels"})
    signed = True

    def prepare(self, context: ScoreContext) -> Generator[None, None, dict[str, Tensor]]:
        """Return the accumulated movement, by tensor."""
        loss = Loss(context.network())
        inputs, labels = context.examples(STEPS * BATCH)
        loss.check_labels(inputs, labels)
        names = {layer.weight for layer in context.graph.layers.values()}
        tensors = {n: t.clone() for n, t in loss.parameters.items() if n in names}
        moved = {n: torch.zeros_like(t, dtype=torch.float64) for n, t in tensors.items()}
        at_once = loss.pace(context.graph.macs)
        for step in range(STEPS):
            rows = torch.arange(step * BATCH, (step + 1) * BATCH) % len(labels)
            batch = inputs[rows.to(inputs.device)]
            found = yield from loss.gradient_steps(tensors, batch, labels[rows], at_once=at_once)
            for name, gradient in found.items():
                moved[name] -= tensors[name].double() * gradient.double()
                tensors[name] = tensors[name] - LEARNING_RATE * gradient
        if not all(bool(torch.isfinite(total).all()) for total in moved.values()):
            raise NonFiniteError(
                "The training steps on a copy diverged.",
                fix="Choose another criterion, or scale the inputs as in training.",
            )
        return moved

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the accumulated movement, float64, shape of the weight, of either sign."""
        return context.prepared[layer.weight]
