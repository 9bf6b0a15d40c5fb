"""Importance at random: the control that every criterion should beat."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo


@CRITERIA.register("random")
class Random(Criterion):
    """Uniform draws, a stream of its own for each seed and layer.

    The stream depends on the layer's name alone, so a layer's scores stay when others are added to
    or left out of the choice.
    """

    label = "Random"
    summary = "Chance decides; a criterion worth its name does better."
    formula = "U(0, 1)"
    source = "Control of Blalock et al. 2020"
    url = "https://arxiv.org/abs/2003.03033"
    granularities = ("weight", "unit")
    needs = frozenset()
    random = True

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return draws in [0, 1), shape of the weight or (num_units,)."""
        weight = context.weight(layer)
        shape = weight.shape if context.granularity == "weight" else (layer.num_units,)
        # Not Python's hash(), which differs from one process to the next.
        digest = hashlib.blake2b(f"{context.seed}:{layer.name}".encode(), digest_size=7).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
        return torch.rand(shape, generator=generator, dtype=torch.float64).to(weight.device)
