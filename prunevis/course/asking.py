"""`check`, `hint` and `solved`: what a student asks, and what comes back."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from prunevis.course.exercise import EXERCISES, Misfit

#: What a person has solved, and how many hints they took, in this kernel. Nothing is written to a
#: disk: closing the notebook forgets it.
_SOLVED: list[str] = []
_HINTS: dict[str, int] = {}


@dataclass(frozen=True)
class Verdict:
    """What `check` says.

    Attributes
    ----------
    exercise
        Name of the exercise.
    right
        Whether the answer is right; None if there was none.
    text
        What is wrong, or what the right answer shows; whole sentences.
    """

    exercise: str
    right: bool | None
    text: str

    @property
    def mark(self) -> str:
        """A word that says it without colour."""
        return {True: "✓ Right.", False: "✗ Not yet.", None: "Your turn."}[self.right]

    def __repr__(self) -> str:
        return f"{self.mark} {self.text}"

    def _repr_html_(self) -> str:
        colour = "#2f855a" if self.right else "#d9581c" if self.right is False else "#66707c"
        return box(colour, self.mark, self.text)


@dataclass(frozen=True)
class Hint:
    """What `hint` says: its number, how many there are, the text."""

    number: int
    of: int
    text: str

    def __repr__(self) -> str:
        return f"Hint {self.number} of {self.of}. {self.text}"

    def _repr_html_(self) -> str:
        return box("#2b6cb0", f"Hint {self.number} of {self.of}.", self.text)


@dataclass(frozen=True)
class Progress:
    """What was solved in this kernel: names of exercises, in the course's order."""

    solved: tuple[str, ...]
    open: tuple[str, ...]

    def __repr__(self) -> str:
        total = len(self.solved) + len(self.open)
        done = f": {', '.join(self.solved)}" if self.solved else ""
        return f"{len(self.solved)} of {total} exercises solved{done}."


def check(exercise: str, answer: Any = ...) -> Verdict:
    """Say whether an answer is right, and if it is not, what is wrong with it.

    Parameters
    ----------
    exercise
        A name of `EXERCISES`: "02-threshold".
    answer
        What the exercise asks for: a number, the letter of an option, or a function. ``...`` and
        None mean that there is no answer yet.

    Returns
    -------
    Verdict
        A wrong answer is no error: nothing is raised for it.

    Raises
    ------
    UnknownNameError
        If there is no such exercise.
    """
    entry = EXERCISES[exercise]()
    if answer is ... or answer is None:
        return Verdict(exercise, None, f"Replace the dots by your answer: {entry.takes}.")
    try:
        problem = entry.wrong(answer)
    except Misfit as error:
        problem = str(error)
    if problem is not None:
        return Verdict(exercise, False, problem)
    if exercise not in _SOLVED:
        _SOLVED.append(exercise)
    return Verdict(exercise, True, entry.praise)


def hint(exercise: str) -> Hint:
    """Return the next hint to an exercise; after the last one, the last one again.

    Raises
    ------
    UnknownNameError
        If there is no such exercise.
    """
    hints = EXERCISES[exercise].hints
    number = min(_HINTS.get(exercise, 0) + 1, len(hints))
    _HINTS[exercise] = number
    return Hint(number, len(hints), hints[number - 1])


def solved() -> Progress:
    """Return which exercises were solved since this kernel started."""
    names = sorted(EXERCISES)
    return Progress(
        tuple(name for name in names if name in _SOLVED),
        tuple(name for name in names if name not in _SOLVED),
    )


def box(colour: str, head: str, text: str) -> str:
    """Return a sentence with a coloured edge, as HTML that suits light and dark pages."""
    return (
        f'<div role="status" style="border-left:4px solid {colour};padding:.4em .8em;'
        f'margin:.3em 0;max-width:46em"><b>{html.escape(head)}</b> {html.escape(text)}</div>'
    )
