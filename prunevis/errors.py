"""What can go wrong, as one tree.

::

    PrunevisError
    ├── ModelError            the network cannot be used as it is
    │   ├── TraceError        its forward could not be traced, or took another path than traced
    │   ├── NonFiniteError    NaN or infinite weights or outputs
    │   └── NothingToPruneError
    ├── DataError             the data do not fit: shapes, labels, nothing in them
    ├── SpecError             a request that cannot be met (also ValueError)
    └── UnknownNameError      not in a registry (also KeyError)

Every message says what is wrong, and where it helps: what was expected, what was got, where, and
what to do. `PrunevisError.problem` keeps the first sentence alone, for a page with little room.
"""

from __future__ import annotations


class PrunevisError(Exception):
    """Base of all errors that prunevis raises on purpose.

    Parameters
    ----------
    problem
        One sentence, complete, ending in a full stop.
    expected, got, where, fix
        Optional parts of the message; `fix` is a sentence in the imperative.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        got: object = None,
        where: object = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.expected, self.got = problem, expected, got
        self.where, self.fix = where, fix
        # a sentence may end in the words of another error, which rarely have a full stop
        parts = [problem if problem.endswith((".", "!", "?")) else problem + "."]
        for label, value in (("Expected", expected), ("Got", got), ("Where", where)):
            if value is not None:
                text = f"{label}: {value}"
                parts.append(text if text.endswith(".") else text + ".")
        if fix is not None:
            parts.append(fix)
        super().__init__(" ".join(parts))

    def __str__(self) -> str:
        return str(self.args[0])


class ModelError(PrunevisError):
    """The network cannot be used as it is."""


class TraceError(ModelError):
    """The forward pass could not be traced, or took another path than when traced."""


class NonFiniteError(ModelError):
    """A weight, buffer or output is NaN or infinite."""


class NothingToPruneError(ModelError):
    """No layer that was asked for can be pruned."""


class DataError(PrunevisError):
    """The data do not fit the model or the task."""


class SpecError(PrunevisError, ValueError):
    """A request that cannot be met."""


class UnknownNameError(PrunevisError, KeyError):
    """A name that a registry does not hold."""
