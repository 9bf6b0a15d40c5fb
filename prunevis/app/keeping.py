"""Holds one visitor to the limits: what takes too long or too much memory is ended, in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil

from prunevis.app.limits import Limits
from prunevis.errors import SpecError
from prunevis.session.controller import Controller
from prunevis.session.memory import give_back

#: Memory is looked at this often, in seconds; a look takes some milliseconds.
LOOK_EVERY = 3.0
#: A kernel with so many times its memory after its work was ended is beyond help.
BEYOND = 1.5
#: Share of a visitor's memory that the networks of the history may take.
HISTORY = 0.2
#: Work that nobody waits for, and that fills memory with what it knows.
QUIET = ("sweep", "compress")


class Keeper:
    """Watches over the work of one page; `look` is called after each step of it.

    Parameters
    ----------
    controller
        Whose work it is.
    limits
        What the visitor may use.
    end
        Ends this process at once; the page says so.
    """

    def __init__(
        self,
        controller: Controller,
        limits: Limits,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.controller, self.limits, self.end = controller, limits, end
        self.trained = 0.0
        self._last = self._looked = time.monotonic()
        self._over = False
        if limits.epochs is not None:
            controller.session.most_epochs = limits.epochs
        if limits.memory_mb is not None:
            controller.most_history = HISTORY * limits.memory_mb * 1e6

    def look(self) -> None:
        """End what is beyond the limits; called on the worker."""
        now = time.monotonic()
        since, self._last = now - self._last, now
        if self.limits.minutes is not None:
            self._watch_training(since)
        if self.limits.memory_mb is not None and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._watch_memory(self.limits.memory_mb)

    def _watch_training(self, since: float) -> None:
        state = self.controller.session.fine_tuning
        if state.state == "running":
            self.trained += since
        elif not state.under_way:
            self.trained = 0.0
        minutes = self.limits.minutes or 0
        if self.trained > 60 * minutes:
            self.trained = 0.0
            self.controller.stop_training()
            self.controller.report(
                SpecError(
                    f"This training was ended after {minutes} minute{'s' * (minutes > 1)}, the "
                    "most that one visitor has here. Nothing was changed.",
                    fix="Choose fewer epochs, fewer images or a smaller network.",
                )
            )

    def _watch_memory(self, most: int) -> None:
        used = used_mb()
        if used <= most:
            self._over = False
            return
        # what is free but kept is given back before anything is ended for it
        give_back()
        used = used_mb()
        if used > BEYOND * most:
            self.end(1)
        if used <= most or self._over:
            return
        self._over = True
        for name in QUIET:
            self.controller.worker.cancel(name)
        self.controller.cancel()
        give_back()
        self.controller.report(
            SpecError(
                f"What was running was ended: it took {used:,.0f} MB of memory, and one visitor "
                f"has {most:,} MB here. The network is as it was.",
                fix="Choose a smaller network or fewer images, or reload to start afresh.",
            )
        )


def used_mb() -> float:
    """Return the memory that is this process's alone (unique set size), in MB of 10⁶ bytes."""
    return psutil.Process().memory_full_info().uss / 1e6
