"""What an exercise is, and the registry of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from prunevis.registry import Registry


class Exercise(ABC):
    """One task with an automatic check; file it with ``@EXERCISES.register("02-threshold")``.

    The name begins with the number of its notebook. Nothing is stored on an exercise: one instance
    is made for each answer.

    Attributes
    ----------
    title
        A few words.
    task
        What is asked, one to three sentences, as in the notebook.
    takes
        What an answer is, in words: "a function of (weights, sparsity)".
    hints
        From a nudge to nearly the answer.
    praise
        What the right answer shows, one sentence: why it was worth the work.

    Examples
    --------
    >>> class Half(Exercise):
    ...     title, task, takes = "Half", "What is half of eight?", "a number"
    ...     hints, praise = ("Eight is twice that.",), "Halves are what is left after halving."
    ...
    ...     def wrong(self, answer):
    ...         return None if answer == 4 else "That is the whole." if answer == 8 else "No."
    >>> Half().wrong(8)
    'That is the whole.'
    """

    title: ClassVar[str]
    task: ClassVar[str]
    takes: ClassVar[str]
    hints: ClassVar[tuple[str, ...]]
    praise: ClassVar[str]

    @abstractmethod
    def wrong(self, answer: Any) -> str | None:
        """Return what is wrong with `answer`, in sentences, or None if nothing is.

        It may raise `Misfit` as soon as it knows.
        """


class Misfit(Exception):
    """What is wrong with an answer, in sentences; raised inside `Exercise.wrong`."""


def exercise_problem(entry: object) -> str | None:
    """Return why `entry` cannot be filed as an exercise, one sentence, or None."""
    if not (isinstance(entry, type) and issubclass(entry, Exercise)):
        return f"{entry!r} is not a subclass of Exercise."
    for name in ("title", "task", "takes", "praise"):
        value = getattr(entry, name, None)
        if not isinstance(value, str) or not value.strip():
            return f"{entry.__name__}.{name} must be a text that is not empty, got {value!r}."
    hints = getattr(entry, "hints", None)
    if not isinstance(hints, tuple) or not hints or not all(isinstance(h, str) for h in hints):
        return f"{entry.__name__}.hints must be a tuple of at least one text, got {hints!r}."
    return None


EXERCISES: Registry[type[Exercise]] = Registry("exercise", exercise_problem)
