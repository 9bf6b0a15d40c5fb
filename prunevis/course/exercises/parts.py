"""Exercise of notebook 01: what leaves with a unit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from prunevis.course.exercise import EXERCISES, Exercise
from prunevis.course.judging import as_number

WIDTHS, LEFT = (784, 300, 100, 10), (784, 150, 50, 10)


def weights(widths: tuple[int, ...]) -> int:
    """Return the number of weights of fully connected layers of these widths."""
    return sum(a * b for a, b in pairwise(widths))


def biases(widths: tuple[int, ...]) -> int:
    """Return the number of their biases."""
    return sum(widths[1:])


@EXERCISES.register("01-parameters")
class Parameters(Exercise):
    """Count what is left of LeNet-300-100 with half of its hidden units."""

    title = "What leaves with a unit"
    task = (
        "LeNet-300-100 (784 inputs, 300, 100, 10) loses half of the units of both hidden layers. "
        "How many parameters, weights and biases, are left?"
    )
    takes = "a whole number"
    hints = (
        "A layer of n units that reads m numbers has n × m weights and n biases.",
        "A unit that leaves takes a row of its own layer and a column of the next one.",
        "The layers now are 784 → 150 → 50 → 10.",
    )
    praise = "Rows and columns both leave, so the layer between two pruned ones falls to a quarter."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        value = as_number(answer)
        all_of_it = weights(WIDTHS) + biases(WIDTHS)
        rows_only = 784 * 150 + 300 * 50 + 100 * 10 + biases(LEFT)
        mistakes = {
            weights(LEFT): "Those are the weights. Each unit that stays keeps a bias too.",
            rows_only: "Rows left, but no columns: the next layer no longer reads those units.",
            all_of_it - weights(LEFT) - biases(LEFT): "That is what left. What stays?",
            all_of_it: "That is the network as it came.",
            all_of_it // 2: "Not simply half: where both of its sides shrink, a layer loses more.",
            all_of_it // 4: "Not a quarter of everything: the 784 inputs and 10 answers stay.",
        }
        if value == weights(LEFT) + biases(LEFT):
            return None
        return mistakes.get(int(value), "Count each layer by itself: weights plus biases.")
