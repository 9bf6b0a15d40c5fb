"""How long the network takes where the slider stands, on the page: dense, masked and removed.

A job that can be cancelled and changes nothing. What was found stays, with the position that it
holds for, until another network or stage is shown.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prunevis.errors import PrunevisError
from prunevis.evaluation import LatencyComparison, compare_latency_steps
from prunevis.pruning import PruningPlan
from prunevis.session import tuning
from prunevis.session.jobs import LONG
from prunevis.session.state import Setting, Table

if TYPE_CHECKING:
    from prunevis.session.desk import Desk

#: The job of this module.
JOB = "latency"
#: Samples of each network, and seconds for each size of batch.
REPEATS, LIMIT = 24, 6.0


@dataclass(frozen=True, eq=False)
class Timing:
    """Where measuring stands.

    Attributes
    ----------
    state
        "none", "running", "done", "cancelled" or "failed".
    text, progress
        What is being done, and the share done in [0, 1].
    result
        What was found; that of the last time stays until there is another.
    setting, position
        What that holds for; None before.
    """

    state: str = "none"
    text: str = ""
    progress: float = 0.0
    result: LatencyComparison | None = field(default=None, repr=False)
    setting: Setting | None = field(default=None, repr=False)
    position: float | None = None


class Stopwatch:
    """Times networks for a page.

    Parameters
    ----------
    controller
        Whose session and worker are used.
    """

    def __init__(self, controller: Desk) -> None:
        self.controller = controller
        controller.session.timing = Timing()

    def clear(self) -> None:
        """Forget everything: another network, or another stage of it, is shown."""
        self.controller.worker.cancel(JOB)
        self.controller.session.timing = Timing()

    def measure(self) -> None:
        """Time what the slider shows."""
        controller = self.controller
        if controller.once_measured(self.measure):
            return
        table = tuning.present_table(controller, "There is no network to time yet.")
        position = controller.session.position
        plan = table.plan_at(position)
        self._set(state="running", text="Starting", progress=0.0)
        controller.worker.submit(JOB, lambda: self._steps(table, plan, position), LONG)

    def cancel(self) -> None:
        """Stop; what was found before stays."""
        if self.controller.worker.cancel(JOB):
            self._set(state="cancelled", text="Cancelled.", progress=0.0)

    def failed(self, error: BaseException) -> None:
        """Say that measuring failed; called by the controller."""
        said = error.problem if isinstance(error, PrunevisError) else "Something unexpected failed."
        self._set(state="failed", text=said, progress=0.0)

    def _set(self, **change: Any) -> None:
        session = self.controller.session
        session.timing = replace(session.timing, **change)
        self.controller.show_status()

    def _steps(
        self, table: Table, plan: PruningPlan, position: float
    ) -> Generator[None, None, None]:
        yield
        example = self.controller.session.network.data.test.inputs[:1]
        steps = compare_latency_steps(
            table.stage.model, plan, example, repeats=REPEATS, limit=LIMIT
        )
        for progress in steps:
            share = progress.done / max(1, progress.total)
            if progress.result is None:
                self._set(text=progress.text, progress=share)
            else:
                self._set(
                    state="done",
                    text="",
                    progress=1.0,
                    result=progress.result,
                    setting=table.setting,
                    position=position,
                )
            yield
