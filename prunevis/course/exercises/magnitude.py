"""Exercise of notebook 02: the threshold of magnitude pruning."""

from __future__ import annotations

from typing import Any

import torch

from prunevis.course.exercise import EXERCISES, Exercise
from prunevis.course.judging import as_number, recognise, run


@EXERCISES.register("02-threshold")
class Threshold(Exercise):
    """Write the threshold below which a share of the weights lies."""

    title = "The threshold"
    task = (
        "Write threshold(weights, sparsity): the magnitude below which that share of the weights "
        "lies. Weights with a magnitude below it would be pruned."
    )
    takes = "a function of (weights, sparsity) that returns a number"
    hints = (
        "Magnitude is the distance from zero: -0.5 is larger than 0.1.",
        "Which number of a sorted list has four fifths of the list below it?",
        "torch.quantile(values, share) gives that number.",
    )
    praise = "One sorted list answers every sparsity, so a slider can follow your hand."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        drawn = torch.randn(40, 25, generator=torch.Generator().manual_seed(2)) + 0.3
        size, share = drawn.abs(), 0.8
        found = as_number(run(answer, drawn, share))
        if int((size < found).sum()) in range(799, 802):
            return self.wrong_at_the_edge(answer)
        mistakes = {
            "Negative weights count as small here. Take their magnitude first: weights.abs().": (
                drawn.quantile(share)
            ),
            "That keeps this share. Sparsity is the share that goes.": size.quantile(1 - share),
            "That is a share of the largest magnitude, not of the number of weights.": (
                share * size.max()
            ),
            "That ranks the squares. The order is right; the threshold needs the root.": (
                size.square().quantile(share)
            ),
            "That is in units of the spread. How many weights are below depends on their shape.": (
                share * drawn.std()
            ),
        }
        below = float((size < found).float().mean())
        named = next((s for s, w in mistakes.items() if recognise(found, w, {}) is None), None)
        return named or f"At sparsity 0.8, {below:.0%} of the weights lie below your threshold."

    def wrong_at_the_edge(self, answer: Any) -> str | None:
        """Return what is wrong where nothing is to go, or None."""
        found = as_number(run(answer, torch.tensor([[0.5, -2.0], [1.0, -0.25]]), 0.0))
        if found > 0.25:
            return (
                "At sparsity 0 nothing may go, yet the smallest weight lies below your threshold."
            )
        return None
