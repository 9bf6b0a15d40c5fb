"""Two steps of the history side by side: a job that can be cancelled and changes nothing.

What was found stays until one of the two steps is forgotten, or another network is opened: going to
and fro in the history does not end it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prunevis.errors import PrunevisError, SpecError
from prunevis.evaluation import Comparison, Side, compare_steps
from prunevis.session import tree
from prunevis.session.history import Network, Stage
from prunevis.session.jobs import SOON

if TYPE_CHECKING:
    from prunevis.session.desk import Desk

#: The job of this module.
JOB = "compare"
#: Examples of each kind that are shown.
MOST = 12


@dataclass(frozen=True, eq=False)
class Comparing:
    """Where a comparison stands.

    Attributes
    ----------
    state
        "none", "running", "done", "cancelled" or "failed".
    text, progress
        What is being done, and the share done in [0, 1].
    pair
        Numbers of the two stages, the one before and the one after; None before the first.
    result
        What was found for that pair; None until then.
    """

    state: str = "none"
    text: str = ""
    progress: float = 0.0
    pair: tuple[int, int] | None = None
    result: Comparison | None = field(default=None, repr=False)


class Comparer:
    """Compares steps for a page.

    Parameters
    ----------
    controller
        Whose session and worker are used.
    """

    def __init__(self, controller: Desk) -> None:
        self.controller = controller
        controller.session.comparing = Comparing()

    def clear(self) -> None:
        """Forget everything: another network is shown."""
        self.controller.worker.cancel(JOB)
        self.controller.session.comparing = Comparing()

    def check(self) -> None:
        """Forget what is about a step that is no longer there."""
        network, pair = self.controller.session.network, self.controller.session.comparing.pair
        if pair is not None and not {*pair} <= {stage.number for stage in network.nodes}:
            self.clear()

    def compare(self, a: Any, b: Any) -> None:
        """Hold step `b` against step `a`, by their numbers."""
        network = self.controller.session.network
        if network is None:
            raise SpecError("No network is open yet.")
        before, after = tree.find(network.nodes, a), tree.find(network.nodes, b)
        if before is after:
            raise SpecError("A step is compared with another one, not with itself.")
        session = self.controller.session
        session.comparing = Comparing("running", "Starting", 0.0, (before.number, after.number))
        self.controller.worker.submit(JOB, lambda: self._steps(network, before, after), SOON)
        self.controller.show_status()

    def cancel(self) -> None:
        """Stop; nothing was changed."""
        if self.controller.worker.cancel(JOB):
            self._set(state="cancelled", text="Cancelled.", progress=0.0)

    def failed(self, error: BaseException) -> None:
        """Say that comparing failed; called by the controller."""
        said = error.problem if isinstance(error, PrunevisError) else "Something unexpected failed."
        self._set(state="failed", text=said, progress=0.0)

    def _set(self, **change: Any) -> None:
        session = self.controller.session
        session.comparing = replace(session.comparing, **change)
        self.controller.show_status()

    def _steps(self, network: Network, before: Stage, after: Stage) -> Generator[None, None, None]:
        yield
        a, b = (Side(s.model, s.baseline, s.graph, s.costs) for s in (before, after))
        for progress in compare_steps(a, b, network.data.test, most=MOST):
            if progress.result is None:
                self._set(text=progress.text, progress=progress.done)
            else:
                self._set(state="done", text="", progress=1.0, result=progress.result)
            yield
