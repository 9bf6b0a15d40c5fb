"""Work in steps: a generator yields every few milliseconds and returns its result at the end.

So is everything slow written, that a page stays alive and closing the generator cancels. Who has no
use for the pauses takes `finished`; who has reports of its own to give meanwhile, `reported`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Report = TypeVar("Report")


def finished(steps: Generator[Any, None, Result]) -> Result:
    """Run `steps` to their end without a pause; return what they return.

    Parameters
    ----------
    steps
        Begun or not. What they raise is raised here.

    Examples
    --------
    >>> def counting():
    ...     yield "one"
    ...     return 2
    >>> finished(counting())
    2
    """
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def reported(
    steps: Generator[Any, None, Result], report: Report
) -> Generator[Report, None, Result]:
    """Run `steps` with a report in the place of what each yields; return what they return.

    Parameters
    ----------
    steps
        Begun or not. What they raise is raised here.
    report
        The same in each pause.

    Examples
    --------
    >>> def counting():
    ...     yield "one"
    ...     return 2
    >>> list(reported(counting(), "counting"))
    ['counting']
    """
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        yield report
