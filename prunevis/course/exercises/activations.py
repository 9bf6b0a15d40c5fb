"""Exercise of notebook 03: which neurons are dead."""

from __future__ import annotations

from typing import Any

import torch

from prunevis.course.exercise import EXERCISES, Exercise
from prunevis.course.judging import recognise, run


@EXERCISES.register("03-dead")
class Dead(Exercise):
    """Find the units that never fire."""

    title = "Dead neurons"
    task = (
        "Write dead(answers): answers holds what each unit gave after its ReLU, one row an "
        "example, one column a unit. Return True for each unit that never fires."
    )
    takes = "a function of (answers) that returns one True or False for each unit"
    hints = (
        "A unit is a column. Go along the examples: dim=0.",
        "Never means for no example: (answers == 0) has to hold for all of them.",
    )
    praise = "A unit that is zero for all examples adds nothing, so it can leave for nothing."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        # columns: always, never, once and strongly, often but weakly, never, half of the time
        answers = torch.tensor(
            [
                [1.0, 0.0, 0.0, 0.01, 0.0, 2.0],
                [2.0, 0.0, 0.0, 0.02, 0.0, 0.0],
                [1.5, 0.0, 9.0, 0.00, 0.0, 3.0],
                [1.0, 0.0, 0.0, 0.01, 0.0, 0.0],
            ]
        )
        zero = answers == 0
        mistakes = {
            "That asks of each example, not of each unit: go along dim=0.": zero.all(1),
            "That finds units that are zero at least once. Dead means for all examples.": zero.any(
                0
            ),
            "True and False are the wrong way round: True is for the dead.": ~zero.all(0),
            "A weak unit is not a dead one: the fourth fires often, only softly.": (
                answers.mean(0) < 0.1
            ),
            "A rare unit is not a dead one: the third fires once, and strongly.": (
                answers.median(0).values == 0
            ),
        }
        return recognise(run(answer, answers), zero.all(0), mistakes)
