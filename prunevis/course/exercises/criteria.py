"""Exercise of notebook 05: the rank correlation."""

from __future__ import annotations

from typing import Any

import torch

from prunevis.course.exercise import EXERCISES, Exercise
from prunevis.course.judging import as_number, recognise, run


def ranks(values: torch.Tensor) -> torch.Tensor:
    """Return the place of each number in the sorted list, from 0."""
    return values.argsort().argsort().double()


def pearson(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the linear correlation of two rows of numbers."""
    return float(torch.corrcoef(torch.stack((a, b)).double())[0, 1])


@EXERCISES.register("05-spearman")
class Spearman(Exercise):
    """Compare two orders."""

    title = "Do two rankings agree?"
    task = (
        "Write spearman(a, b), the rank correlation of two scores of the same units (no ties): "
        "1 if both put the units in the same order, -1 if in the opposite one."
    )
    takes = "a function of (a, b) that returns a number in [-1, 1]"
    hints = (
        "Only the order counts: replace each score by its rank.",
        "values.argsort().argsort() gives the ranks.",
        "Then it is 1 - 6 × (sum of squared rank differences) / (n × (n² - 1)).",
    )
    praise = "It asks about the order alone, and the order is all that pruning uses."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        a = torch.tensor([0.1, 5.0, 0.3, 0.2, 90.0, 1.0, 0.7, 4.0])
        b = torch.tensor([0.2, 3.0, 0.9, 0.1, 4.0, 7.0, 0.4, 0.5])
        rank_a, rank_b = ranks(a), ranks(b)
        count = len(a)
        squares = float((rank_a - rank_b).square().sum())
        mistakes = {
            "That is the linear correlation of the scores: one large score decides. Rank first.": (
                pearson(a, b)
            ),
            "The sign is the wrong way round: the same order is +1.": -pearson(rank_a, rank_b),
            "argsort() says which unit comes first, not the rank of each: use it twice.": pearson(
                a.argsort().double(), b.argsort().double()
            ),
            "The 6 of the formula is missing.": 1 - squares / (count * (count**2 - 1)),
            "That is the distance: take it from 1.": 6 * squares / (count * (count**2 - 1)),
            "The rank differences are squared before they are added.": (
                1 - 6 * float((rank_a - rank_b).abs().sum()) / (count * (count**2 - 1))
            ),
        }
        found = as_number(run(answer, a, b))
        return recognise(found, pearson(rank_a, rank_b), mistakes)
