"""The use cases: what a person can do, each one method, each called on the worker thread.

A method changes the session's snapshots and starts the jobs that follow from the change; the jobs
themselves stand in `prunevis.session.measuring` and `prunevis.session.tuning`. Whatever arrives
from a browser is checked here, not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from prunevis.criteria import CRITERIA
from prunevis.data import Data
from prunevis.errors import PrunevisError, SpecError
from prunevis.evaluation import AccuracyEstimate, Evaluation, Together
from prunevis.pruning import check_sparsity
from prunevis.session import choices, measuring, positions, tuning
from prunevis.session.instruments import Instruments
from prunevis.session.jobs import BACKGROUND, LONG, NOW, REFINE, SOON, Worker
from prunevis.session.judging import JOBS as COMPARING
from prunevis.session.judging import Judge
from prunevis.session.mending import Readings, both, complete, is_shown, known_of
from prunevis.session.opening import measure_baseline, open_network
from prunevis.session.state import (
    FineTuning,
    Network,
    Problem,
    Scan,
    Session,
    Setting,
    Stage,
    Status,
    Table,
)
from prunevis.session.tables import POSITIONS, Curves, whole_table, with_position
from prunevis.statistics import COLLECTABLE

#: Steps back that are kept; each holds one copy of the network.
MAX_STAGES = 20
#: Positions typed in between the slider's own that are kept.
MAX_EXTRA = 20

#: Everything that is about one stage of one network.
JOBS = (
    *("open", "rank", "baseline", "estimate", "compress", "sweep"),
    *("statistics", "scan", "apply", "fine_tune", *COMPARING),
)


class Controller:
    """Changes the session on behalf of a person.

    Parameters
    ----------
    session
        The state; only this class and the jobs it starts assign to it.
    on_step
        Called on the worker after each piece of work, with whether it is idle now.
    """

    def __init__(
        self, session: Session, on_step: Callable[[bool], None] = lambda idle: None
    ) -> None:
        self.session = session
        self.worker = Worker(self.fail, on_step)
        self.judge = Judge(self)
        self.curves = Curves()
        self.instruments = Instruments()
        self.readings = Readings()
        self.rankings: dict[str, Any] = {}
        self.extra: tuple[float, ...] = ()
        self.device, self.attention = "auto", "heads"
        self._problems = 0
        self._stages = 0

    # -- opening ---------------------------------------------------------------------------------

    def open(self, source: Callable[[], tuple[nn.Module, Data, str, str]], *, example: Any = None):
        """Open what `source` returns: model, data, name and label; it runs on the worker."""
        self._cancel_all()
        self.session.problem = None
        self.session.status = Status("loading", "Loading the network")
        self.worker.submit("open", lambda: open_network(self, source, example), NOW)

    def opened(self, network: Network) -> None:
        """Take over a network that was opened; called by the job."""
        for kept in (self.curves, self.instruments, self.rankings):
            kept.clear()
        self.extra = ()
        session = self.session
        session.fine_tuning, session.scan = FineTuning(), Scan()
        self.judge.clear()
        session.statistics = session.table = session.curve = None
        session.network = network
        setting = choices.usable(network.stage.graph, replace(session.setting, own=()))
        session.setting = replace(setting, ticked=choices.prunable(network.stage, setting))
        session.view = replace(session.view, layer=choices.busiest(network.stage), unit=None)
        session.position = 0.0
        if not session.setting.ticked:
            self.report(choices.nothing_to_prune(network.stage))
        self.refresh()
        self._serve_tab()

    def next_stage_number(self) -> int:
        """Return a number that no stage has had."""
        self._stages += 1
        return self._stages

    # -- settings --------------------------------------------------------------------------------

    def choose(self, what: str, value: Any) -> None:
        """Choose a granularity, criterion, scope, seed or repair, or of `choices.MORE`."""
        session = self.session
        stage = None if session.network is None else session.network.stage
        setting = choices.chosen(stage, session.setting, what, value)
        session.position = positions.same_place(session, setting)
        self._set(setting)

    def tick(self, layer: Any, on: bool) -> None:
        """Let a layer, and those whose units leave with it, take part or not."""
        self._set(choices.ticked(self._stage(), self.session.setting, layer, on))

    def own(self, layer: Any, value: Any) -> None:
        """Give a layer a sparsity of its own, or None to follow the slider again."""
        self._set(choices.with_own(self._stage(), self.session.setting, layer, value))

    def _set(self, setting: Setting) -> None:
        if setting == self.session.setting:
            return
        self.session.setting = setting
        self.session.scan = Scan()
        self.refresh()

    def refresh(self) -> None:
        """Rank anew (if need be) and start measuring for the present setting."""
        for job in ("rank", "estimate", "sweep", "scan"):
            self.worker.cancel(job)
        if self.session.network is None:
            return
        if not self.session.setting.ticked:
            self.nothing_goes()
        else:
            self.worker.submit("rank", lambda: measuring.rank_setting(self), NOW)
        # costs need no accuracy: the page is ready before the network as it came is measured
        if self._stage().baseline is None and not self.worker.running("baseline"):
            self.worker.submit("baseline", lambda: measure_baseline(self), SOON)

    def nothing_goes(self) -> None:
        """Show a slider that leaves the network whole wherever it stands."""
        self._show(whole_table(self._stage(), self.session.setting, self.extra))
        self.move(self.session.position)
        self.show_status()

    def baseline_measured(self, stage: Stage, baseline: Evaluation) -> None:
        """Take over what the network as it came can do; called by the job."""
        session = self.session
        measured = replace(stage, baseline=baseline)
        network, table = session.network, session.table
        session.network = replace(
            network, stages=tuple(measured if s is stage else s for s in network.stages)
        )
        if table is not None and table.stage is stage:
            self._show(replace(table, stage=measured))
            self.move(session.position)
        else:
            self.show_status()

    def ranked(self, table: Table) -> None:
        """Take over what every position of a new ranking costs; called by the job."""
        self._show(table)
        self.move(self.session.position)

    def _show(self, table: Table) -> None:
        # where nothing goes the accuracy is that of the network as it stands
        already, baseline = table.ranking.already, table.stage.baseline
        nothing = all(n <= already.get(name, 0) for name, n in table.removed[0].items())
        if nothing and baseline is not None:
            for one in both(table):
                self.curves.put(one, 0, measuring.exact(baseline))
        self.session.table = table
        self.session.curve = known_of(self, table)

    # -- the slider ------------------------------------------------------------------------------

    def move(self, sparsity: Any) -> None:
        """Put the slider at `sparsity` and measure there."""
        session, table = self.session, self.session.table
        # a table may end where no more can go
        last = POSITIONS[-1] if table is None else min(POSITIONS[-1], table.sparsity[-1])
        sparsity = session.position = min(check_sparsity(sparsity), last)
        if table is None:
            return
        index = table.index(sparsity)
        if abs(table.sparsity[index] - sparsity) > 4e-4:
            # the oldest typed position makes room
            oldest = self.extra[0] if len(self.extra) == MAX_EXTRA else None
            self.extra = (*self.extra, round(sparsity, 4))[-MAX_EXTRA:]
            self._show(with_position(table, self.extra[-1], oldest))
            table = session.table
            index = table.index(sparsity)
            # the sweep knows nothing of the new position; it starts again with what is left
            self.worker.cancel("sweep")
        known = self.curves.get(table, index)
        if table.stage.baseline is None:
            # a first answer, of a plain sample; the job that measures the baseline comes back here
            if known is None:
                self.worker.submit("estimate", lambda: measuring.estimate(self, table, index), NOW)
            self.show_status()
            return
        if not all(self.curves.is_exact(one, index) for one in both(table)):
            self.worker.submit("estimate", lambda: measuring.estimate(self, table, index), NOW)
        else:
            self.worker.cancel("estimate")
        small = table.stage.costs.base_bytes <= measuring.MOST_TO_COMPRESS
        if small and self.curves.size(table, index) is None:
            self.worker.submit("compress", lambda: measuring.compress(self, table, index), REFINE)
        if not self.worker.running("sweep") and not complete(self.curves, table):
            self.worker.submit("sweep", lambda: measuring.sweep(self, table), BACKGROUND)
        self.show_status()

    def measured(self, table: Table, index: int, found: AccuracyEstimate | int) -> None:
        """Take over an accuracy, or the bytes of a compressed file; called by the jobs."""
        shown = self.session.table
        news = self.curves.put(table, index, found)
        if news and is_shown(table, shown):
            self.session.curve = known_of(self, shown)
            self.show_status()

    # -- views -----------------------------------------------------------------------------------

    def look(self, **change: Any) -> None:
        """Look at another layer, unit, tab or in another colour scheme."""
        network, view = self.session.network, self.session.view
        if network is not None:
            self.session.view = choices.looking(network.stage, view, change)
        elif set(change) <= {"tab", "theme"}:
            # the page names its tab and colour scheme before anything is loaded
            choices.check_look(change)
            self.session.view = replace(view, **change)
        else:
            raise SpecError("No network is open yet.")
        self._serve_tab()

    def _serve_tab(self) -> None:
        if self.session.view.tab in ("neurons", "redundancy"):
            self.need_statistics()
        if self.session.view.tab == "criteria":
            self.judge.serve()

    def need_statistics(self) -> None:
        """Collect statistics of the present network if that has not been done."""
        # a ranking by activations collects them itself
        ranking = (
            self.worker.running("rank")
            and CRITERIA[self.session.setting.criterion].needs & COLLECTABLE
        )
        waiting = self.worker.running("statistics") or ranking
        if self.session.network is not None and self.session.statistics is None and not waiting:
            self.worker.submit("statistics", lambda: measuring.collect(self), SOON)

    def scan(self) -> None:
        """Measure how sensitive each layer is, one at a time."""
        tuning.present_table(self, "There is no network to scan yet.")
        if not self.session.setting.ticked:
            raise SpecError("No layer is ticked.", fix="Tick at least one to scan it.")
        self.worker.submit("scan", lambda: measuring.scan(self), LONG)

    # -- apply, undo, reset ----------------------------------------------------------------------

    def apply(self) -> None:
        """Make what the slider shows the network that is studied from here on."""
        table = tuning.present_table(self, "There is nothing to apply yet.")
        plan = table.plan_at(self.session.position)
        gone = sum(n - table.ranking.already.get(name, 0) for name, n in plan.removed.items())
        if not self.session.setting.ticked:
            raise SpecError("No layer is ticked.", fix="Tick at least one first.")
        if gone <= 0:
            raise SpecError("Nothing goes at this position.", fix="Move the slider first.")
        self.worker.submit("apply", lambda: tuning.apply_plan(self, plan), NOW)

    def push(self, stage: Stage) -> None:
        """Make `stage` the present one; called by the jobs."""
        network = self.session.network
        stages = (*network.stages, stage)
        if len(stages) > MAX_STAGES:
            stages = (stages[0], *stages[-(MAX_STAGES - 1) :])
        self._go(replace(network, stages=stages))

    def undo(self) -> None:
        """Go back one step."""
        network = self.session.network
        if network is None or len(network.stages) < 2:
            raise SpecError("There is nothing to undo.")
        self._go(replace(network, stages=network.stages[:-1]))

    def reset(self) -> None:
        """Go back to the network as it came."""
        network = self.session.network
        if network is None:
            return
        self.session.setting = replace(self.session.setting, own=())
        self._go(replace(network, stages=network.stages[:1]))

    def _go(self, network: Network) -> None:
        self._cancel_all()
        session, before = self.session, self._stage()
        session.fine_tuning = session.fine_tuning.cleared()
        session.scan = Scan()
        self.judge.clear()
        session.statistics = None
        session.network = network
        session.setting = choices.carried(before, network.stage, session.setting)
        session.view = replace(session.view, unit=None)
        session.position = positions.standing(network.stage, session.setting)
        self.refresh()
        self._serve_tab()

    # -- fine-tuning -----------------------------------------------------------------------------

    def fine_tune(self, epochs: Any, learning_rate: Any, source: Any) -> None:
        """Train what the slider shows, its pruned weights held at zero."""
        table = tuning.present_table(self, "There is no network to train yet.")
        form = tuning.checked_form(self.session.network.data, epochs, learning_rate, source)
        plan = table.plan_at(self.session.position)
        self.session.fine_tuning = FineTuning(state="running", text="Starting", **form)
        self.worker.submit("fine_tune", lambda: tuning.fine_tune(self, plan), LONG)
        self.show_status()

    def cancel(self, name: Any = None) -> None:
        """Stop "fine_tune", "scan", "agreement" or "race", None for all; the network stays."""
        self.judge.cancel(name)
        if name in (None, "fine_tune") and self.worker.cancel("fine_tune"):
            state = self.session.fine_tuning
            self.session.fine_tuning = replace(
                state, state="cancelled", text="Cancelled: nothing was changed.", result=None
            )
        if name in (None, "scan") and self.worker.cancel("scan"):
            self.session.scan = Scan()
        self.show_status()

    def keep(self) -> None:
        """Go on with the fine-tuned network."""
        result = self.session.fine_tuning.result
        if result is None:
            raise SpecError("There is no fine-tuned network to keep.")
        self.push(result)

    def discard(self) -> None:
        """Forget the fine-tuned network."""
        self.session.fine_tuning = self.session.fine_tuning.cleared()

    # -- what is running, what went wrong --------------------------------------------------------

    def fail(self, name: str, error: BaseException) -> None:
        """Say what went wrong in words; called by the worker."""
        self.report(error)
        if name == "fine_tune":
            text = error.problem if isinstance(error, PrunevisError) else "Training failed."
            self.session.fine_tuning = replace(
                self.session.fine_tuning, state="failed", text=text, result=None
            )
        if name == "scan":
            self.session.scan = Scan()
        self.judge.failed(name, error)
        if name in ("open", "rank", "baseline"):
            self.session.status = Status("error", "Something went wrong, see above")

    def report(self, error: BaseException) -> None:
        """Show `error`."""
        self._problems += 1
        self.session.problem = Problem.of(self._problems, error)

    def dismiss(self) -> None:
        """Take the shown problem away."""
        self.session.problem = None

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
