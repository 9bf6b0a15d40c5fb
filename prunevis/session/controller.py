"""The use cases: what a person can do, each one method, each called on the worker thread.

A method changes the session's snapshots and starts the jobs that follow from the change. They stand
by what they are about: the setting and the slider (`adjusting`), the network and its stages
(`staging`), training (`training`), comparing criteria (`judging`), the steps of a recipe
(`following`). Here is what concerns them all: opening a network, cancelling, and what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from prunevis.data import Data
from prunevis.session.desk import JOBS
from prunevis.session.following import Following, Replay
from prunevis.session.jobs import NOW
from prunevis.session.opening import open_network
from prunevis.session.recipe import Recipe
from prunevis.session.state import Scan, Status

__all__ = ["JOBS", "Controller"]


class Controller(Following):
    """Changes the session on behalf of a person.

    Parameters
    ----------
    session
        The state; only this class and the jobs it starts assign to it.
    on_step
        Called on the worker after each piece of work, with whether it is idle now.
    """

    def open(self, source: Callable[[], tuple[nn.Module, Data, str, str]], *, example: Any = None):
        """Open what `source` returns: model, data, name and label; it runs on the worker."""
        self._cancel_all()
        self.session.replay = self.session.problem = None
        self.session.status = Status("loading", "Loading the network")
        self.worker.submit("open", lambda: open_network(self, source, example), NOW)

    def follow(
        self,
        source: Callable[[], tuple[nn.Module, Data, str, str]],
        recipe: Recipe,
        *,
        note: str = "",
        example: Any = None,
    ) -> None:
        """Open what `source` returns and take the steps of a recipe.

        `note` says what may differ from where the recipe was made.
        """
        self.open(source, example=example)
        self.session.replay = Replay(recipe, note=note)

    def cancel(self, name: Any = None) -> None:
        """Stop "fine_tune", "scan", "agreement", "race", "latency" or "compare"; None: all of them.

        The network stays as it is.
        """
        if name in (None, "fine_tune"):
            self.stop_following()
        if self.worker.cancel("asked"):
            self.session.fine_tuning = replace(self.session.fine_tuning, text="")
        self.judge.cancel(name)
        if name in (None, "latency"):
            self.stopwatch.cancel()
        if name in (None, "compare"):
            self.comparer.cancel()
        if name in (None, "fine_tune"):
            self.stop_training()
        if name in (None, "scan") and self.worker.cancel("scan"):
            self.session.scan = Scan()
        self.show_status()

    def fail(self, name: str, error: BaseException) -> None:
        """Say what went wrong in words; called by the worker."""
        super().fail(name, error)
        if name == "fine_tune":
            self.training_failed(error)
        if name == "scan":
            self.session.scan = Scan()
        if name == "latency":
            self.stopwatch.failed(error)
        if name == "compare":
            self.comparer.failed(error)
        self.judge.failed(name, error)
        if name in ("open", "rank", "baseline"):
            self.session.status = Status("error", "Something went wrong, see above")
