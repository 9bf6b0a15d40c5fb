"""What all use cases of a session share: its state, its worker, and what is kept between jobs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from prunevis.errors import SpecError
from prunevis.evaluation import Together
from prunevis.session import measuring
from prunevis.session.comparing import Comparer
from prunevis.session.history import MAX_BYTES
from prunevis.session.instruments import Instruments
from prunevis.session.jobs import LONG, Worker
from prunevis.session.judging import JOBS as COMPARING
from prunevis.session.judging import Judge
from prunevis.session.mending import Readings
from prunevis.session.state import Problem, Session, Stage, Table
from prunevis.session.tables import Curves
from prunevis.session.timing import JOB as TIMING
from prunevis.session.timing import Stopwatch

#: Everything that is about one stage of one network.
JOBS = (
    *("open", "rank", "baseline", "estimate", "compress", "sweep"),
    *("statistics", "scan", "apply", "fine_tune", "asked", *COMPARING, TIMING),
)


class Desk:
    """The state of a session and what works on it.

    Parameters
    ----------
    session
        The state; only the use cases and the jobs they start assign to it.
    on_step
        Called on the worker after each piece of work, with whether it is idle now.
    """

    def __init__(
        self, session: Session, on_step: Callable[[bool], None] = lambda idle: None
    ) -> None:
        self.session = session
        self.worker = Worker(self.fail, on_step)
        self.judge = Judge(self)
        self.stopwatch = Stopwatch(self)
        self.comparer = Comparer(self)
        self.curves = Curves()
        self.instruments = Instruments()
        self.readings = Readings()
        self.rankings: dict[str, Any] = {}
        self.extra: tuple[float, ...] = ()
        self.device, self.attention = "auto", "heads"
        #: Bytes that the networks of the history may take together.
        self.most_history: float = MAX_BYTES
        self._problems = 0
        self._stages = 0

    def next_stage_number(self) -> int:
        """Return a number that no stage has had."""
        self._stages += 1
        return self._stages

    # -- what is running, what went wrong --------------------------------------------------------

    def fail(self, name: str, error: BaseException) -> None:
        """Say what went wrong with a job in words; called by the worker."""
        self.report(error)

    def report(self, error: BaseException) -> None:
        """Show `error`."""
        self._problems += 1
        self.session.problem = Problem.of(self._problems, error)

    def dismiss(self) -> None:
        """Take the shown problem away."""
        self.session.problem = None

    def once_measured(self, ask: Callable[[], None]) -> bool:
        """Call `ask` when the present network is ranked and measured; False if it is already."""
        if not self._looking():
            return False
        self.worker.submit("asked", lambda: self._waiting(ask), LONG)
        return True

    def _looking(self) -> bool:
        return self.worker.running("rank") or self.worker.running("baseline")

    def _waiting(self, ask: Callable[[], None]) -> Generator[None, None, None]:
        while self._looking():
            yield
        ask()

    def show_status(self) -> None:
        """Say what is running."""
        self.session.status = measuring.status(self)

    def _cancel_all(self) -> None:
        for job in JOBS:
            self.worker.cancel(job)

    def _stage(self) -> Stage:
        if self.session.network is None:
            raise SpecError("No network is open yet.")
        return self.session.network.stage

    def together(self, table: Table, indices: Sequence[int]) -> Together:
        """Return what measures these positions of `table`, ascending, side by side."""
        return self.instruments.together(
            table.stage,
            self.session.network.data,
            [table.plan(k) for k in indices],
        )
