"""How good criteria are, on the page: held against the oracle, and raced.

Both take long beside a slider move and change nothing, so they are jobs that can be cancelled; what
the oracle will take is found out when the tab is opened, before anybody starts it. What a browser
asks for is checked here.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prunevis.criteria import CRITERIA
from prunevis.errors import PrunevisError, SpecError
from prunevis.evaluation import (
    Agreement,
    OracleCost,
    Race,
    agreement_steps,
    oracle_cost_steps,
    race_steps,
)
from prunevis.evaluation.equal import MEASURES
from prunevis.session.choices import unavailable
from prunevis.session.jobs import LONG, SOON
from prunevis.session.mending import mending_steps
from prunevis.session.state import Setting, Stage

if TYPE_CHECKING:
    from prunevis.session.desk import Desk

Steps = Generator[None, None, None]

#: How many examples the oracle can be asked to take.
ORACLE_IMAGES = (128, 256, 512, 1024)
#: Most criteria in a race of a page, chance left out; its seeds and test images.
MOST_RACERS, RACE_SEEDS, RACE_IMAGES = 5, (0, 1, 2), 1000
#: The jobs of this module.
JOBS = ("price", "agreement", "race")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Where one of the two stands.

    Attributes
    ----------
    state
        "none", "running", "done", "cancelled" or "failed".
    number
        Counts up with every start; figures are kept by it.
    text, progress
        What is being done, and the share done in [0, 1].
    result
        What was found; that of the last time stays until there is another.
    """

    state: str = "none"
    number: int = 0
    text: str = ""
    progress: float = 0.0
    result: Agreement | Race | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Judging:
    """What a page knows of its criteria.

    Attributes
    ----------
    costs
        What the oracle takes, by number of examples; None until that is known.
    reason
        Why the oracle cannot be had, a sentence; None if it can.
    agreement, race
        Where they stand.
    """

    costs: dict[int, OracleCost] | None = None
    reason: str | None = None
    agreement: Comparison = field(default_factory=Comparison)
    race: Comparison = field(default_factory=Comparison)


def racers(stage: Stage, setting: Setting) -> list[str]:
    """Return the criteria that can race under `setting`, chance left out: it always does."""
    return [
        name
        for name, entry in CRITERIA.items()
        if setting.granularity in entry.granularities
        and name not in ("random", "oracle")
        and unavailable(stage.graph, setting, name) is None
    ]


class Judge:
    """Compares criteria for a page.

    Parameters
    ----------
    controller
        Whose session and worker are used.
    """

    def __init__(self, controller: Desk) -> None:
        self.controller = controller
        self._count = 0
        controller.session.judging = Judging()

    def clear(self) -> None:
        """Forget everything: another network, or another stage of it, is shown."""
        for job in JOBS:
            self.controller.worker.cancel(job)
        self.controller.session.judging = Judging()

    def serve(self) -> None:
        """Find out what the oracle takes if that is not known; the tab is open."""
        session, worker = self.controller.session, self.controller.worker
        known = session.judging.costs is not None or session.judging.reason is not None
        if session.network is not None and not known and not worker.running("price"):
            worker.submit("price", self._price, SOON)

    def measure(self, images: Any) -> None:
        """Hold all criteria against the oracle on so many examples."""
        if isinstance(images, bool) or images not in ORACLE_IMAGES:
            raise SpecError(
                "The oracle is not taken on so many examples here.",
                expected=", ".join(map(str, ORACLE_IMAGES)),
                got=repr(images)[:40],
            )
        if self.controller.session.network is None:
            raise SpecError("There is no network to look at yet.")
        reason = self.controller.session.judging.reason
        if reason:
            raise SpecError(reason)
        self._start("agreement", lambda: self._agreement(images))

    def race(self, criteria: Any, at: Any) -> None:
        """Race criteria at equal sparsity, parameters or multiply-adds."""
        session = self.controller.session
        if session.network is None:
            raise SpecError("There is no network to look at yet.")
        if at not in MEASURES:
            raise SpecError(
                "Networks are compared at equal sparsity, parameters or multiply-adds.",
                expected=", ".join(MEASURES),
                got=repr(at)[:40],
            )
        able = racers(session.network.stage, session.setting)
        listed = isinstance(criteria, list) and all(isinstance(name, str) for name in criteria)
        names = [name for name in able if name in criteria] if listed else []
        if not listed or len(names) != len(criteria) or not 1 <= len(names) <= MOST_RACERS:
            raise SpecError(
                "These criteria cannot race here.",
                expected=f"1 to {MOST_RACERS} of {', '.join(able)}",
                got=str(criteria)[:80],
            )
        setting, stage = session.setting, session.network.stage
        self._start("race", lambda: self._race(stage, setting, names, str(at)))

    def cancel(self, name: Any) -> None:
        """Stop "agreement" or "race", None for both; what was found before stays."""
        for job in ("agreement", "race"):
            if name in (None, job) and self.controller.worker.cancel(job):
                self._set(job, state="cancelled", text="Cancelled.", progress=0.0)

    def failed(self, name: str, error: BaseException) -> None:
        """Say that a job failed, if it was one of these; called by the controller."""
        if name not in JOBS:
            return
        said = error.problem if isinstance(error, PrunevisError) else "Something unexpected failed."
        if name == "price":
            judging = self.controller.session.judging
            self.controller.session.judging = replace(judging, reason=said)
        else:
            self._set(name, state="failed", text=said, progress=0.0)

    def _start(self, name: str, steps: Any) -> None:
        self._count += 1
        self._set(name, state="running", number=self._count, text="Starting", progress=0.0)
        self.controller.worker.submit(name, steps, LONG)
        self.controller.show_status()

    def _set(self, name: str, **change: Any) -> None:
        session = self.controller.session
        comparison = replace(getattr(session.judging, name), **change)
        session.judging = replace(session.judging, **{name: comparison})
        self.controller.show_status()

    def _price(self) -> Steps:
        session = self.controller.session
        stage, data = session.network.stage, session.network.data
        steps = oracle_cost_steps(stage.model, data, ORACLE_IMAGES, graph=stage.graph)
        try:
            while True:
                next(steps)
                yield
        except StopIteration as stop:
            costs = stop.value
        except PrunevisError as error:
            # a network of which no unit can go is no mishap: the tab says why
            session.judging = replace(session.judging, reason=error.problem)
            return
        session.judging = replace(session.judging, costs=costs)

    def _agreement(self, images: int) -> Steps:
        session = self.controller.session
        stage, data = session.network.stage, session.network.data
        steps = agreement_steps(stage.model, data, images=images, graph=stage.graph)
        yield from self._shown("agreement", steps)

    def _race(self, stage: Stage, setting: Setting, names: list[str], at: str) -> Steps:
        yield
        mending = yield from mending_steps(self.controller, stage, setting)
        steps = race_steps(
            stage.model,
            self.controller.session.network.data,
            names,
            seeds=RACE_SEEDS,
            at=at,
            granularity=setting.granularity,
            scope=setting.scope,
            images=RACE_IMAGES,
            repair=setting.repair,
            multiple_of=setting.multiple_of,
            min_units=setting.min_units,
            pattern=setting.pattern,
            mending=mending,
            graph=stage.graph,
            baseline=stage.baseline,
        )
        yield from self._shown("race", steps)

    def _shown(self, name: str, steps: Any) -> Steps:
        yield
        for progress in steps:
            done = progress.result is not None
            self._set(
                name,
                state="done" if done else "running",
                text="" if done else progress.text,
                progress=progress.done / max(1, progress.total),
                result=progress.result or getattr(self.controller.session.judging, name).result,
            )
            yield
