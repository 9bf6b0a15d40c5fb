"""Exercise of notebook 00: what zeros save."""

from __future__ import annotations

from typing import Any

from prunevis.course.exercise import EXERCISES, Exercise, Misfit
from prunevis.course.judging import seal

NAME = "00-zeros"
RIGHT = "7971882237f2"
MISTAKES = {
    "dbabe11d9cfb": "The tensors keep their shapes: a zero takes four bytes, as any number does.",
    "f056f1c25528": "A dense multiplication multiplies by zero too, in the same time.",
    "8a04f5dc728a": "Neither happens by itself: somebody has to skip or pack the zeros.",
}


@EXERCISES.register(NAME)
class Zeros(Exercise):
    """What is gained by setting weights to zero, and nothing else."""

    title = "What zeros save"
    task = "Four weights in five are set to zero in place. What is gained at once?"
    takes = "the letter of an option, such as 'a'"
    hints = (
        "Does the shape of a tensor change when some of its numbers become zero?",
        "Ask of each option: who would have to notice the zeros for it to come true?",
    )
    praise = "Masked is not removed: zeros pay only where they are skipped or stored compactly."

    def wrong(self, answer: Any) -> str | None:
        """See `Exercise.wrong`."""
        if not isinstance(answer, str) or answer.strip().lower() not in tuple("abcd"):
            raise Misfit("Answer with one letter: 'a', 'b', 'c' or 'd'.")
        given = seal(NAME, answer)
        return None if given == RIGHT else MISTAKES[given]
