"""Exercise of notebook 04: merge one unit into another."""

from __future__ import annotations

from typing import Any

import torch

from prunevis.course.exercise import EXERCISES, Exercise, Misfit
from prunevis.course.judging import recognise, run


@EXERCISES.register("04-merge")
class Merge(Exercise):
    """Take a unit away so that the next layer does not notice."""

    title = "Merge two units"
    task = (
        "Unit u always answers scale times unit v plus shift. Write merge(weight, bias, u, v, "
        "scale, shift): return the next layer's weight (column u zero) and bias such that its "
        "output stays the same."
    )
    takes = "a function of (weight, bias, u, v, scale, shift) that returns (weight, bias)"
    hints = (
        "What u gave to output k was weight[k, u] × (scale × h_v + shift).",
        "The part with h_v belongs into column v, the rest into the bias.",
    )
    praise = "If one unit tells what another says, it can say it too: nothing is lost."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        weight = torch.tensor([[1.0, 2.0, -3.0, 0.5], [0.0, -1.0, 4.0, 2.0], [3.0, 1.0, 2.0, -1.0]])
        bias, u, v, scale, shift = torch.tensor([0.1, 0.2, 0.3]), 1, 3, 2.0, 0.5
        result = run(answer, weight, bias, u, v, scale, shift)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise Misfit("Return two things: the new weight, and the new bias.")
        zeroed = weight.clone()
        zeroed[:, u] = 0
        gone, half, self_fed = weight[:, u], zeroed.clone(), zeroed.clone()
        half[:, v] += scale * gone
        self_fed[:, v] *= 1 + scale
        unscaled = zeroed.clone()
        unscaled[:, v] += gone
        full = bias + shift * gone
        kept = weight.clone()
        kept[:, v] += scale * gone
        mistakes = {
            "Unit u is gone, and nothing took its place: what it gave is missing.": (zeroed, bias),
            "The part with the scale is right. The constant part, the shift, is lost.": (
                half,
                bias,
            ),
            "Only the constant part was kept. What follows unit v belongs into its column.": (
                zeroed,
                full,
            ),
            "Column u is still there, so what it says counts twice.": (kept, full),
            "Column v must take up the weights of u, times the scale, not its own again.": (
                self_fed,
                full,
            ),
            "The weights of u were added as they are: u is scale times v, so multiply by it.": (
                unscaled,
                full,
            ),
            "The bias takes the shift times the weights of u: how loud each output heard it.": (
                half,
                bias + shift,
            ),
        }
        return recognise(tuple(result), (half, full), mistakes)
