"""The use cases around a network and its stages: what is looked at, applying, undoing, resetting.

The jobs that these start stand in `prunevis.session.measuring` and `prunevis.session.tuning`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.session import choices, measuring, positions, tree, tuning
from prunevis.session.adjusting import Adjusting
from prunevis.session.jobs import LONG, NOW, SOON
from prunevis.session.state import FineTuning, Network, Scan, Stage
from prunevis.statistics import COLLECTABLE


class Staging(Adjusting):
    """The networks that follow one another, and what is looked at of the present one."""

    def opened(self, network: Network) -> None:
        """Take over a network that was opened; called by the job."""
        for kept in (self.curves, self.instruments, self.rankings):
            kept.clear()
        self.extra = ()
        session = self.session
        session.fine_tuning, session.scan = FineTuning(), Scan()
        self.judge.clear()
        self.stopwatch.clear()
        self.comparer.clear()
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
        if self.once_measured(self.scan):
            return
        tuning.present_table(self, "There is no network to scan yet.")
        if not self.session.setting.ticked:
            raise SpecError("No layer is ticked.", fix="Tick at least one to scan it.")
        self.worker.submit("scan", lambda: measuring.scan(self), LONG)

    # -- apply, undo, reset ----------------------------------------------------------------------

    def apply(self) -> None:
        """Make what the slider shows the network that is studied from here on."""
        if self.once_measured(self.apply):
            return
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
        self._go(self.session.network.grown(stage, self.most_history))
        self._give_back()

    def trained(self) -> None:
        """Take note that a training has ended well; called by the job."""

    def undo(self) -> None:
        """Go back one step, which stays in the history."""
        network = self.session.network
        if network is None or network.stage.parent is None:
            raise SpecError("There is nothing to undo.")
        self._go(network.at(network.stage.parent))

    def redo(self) -> None:
        """Go on to the step that was taken back last."""
        network = self.session.network
        if network is None or network.ahead is None:
            raise SpecError("There is nothing to redo.")
        self._go(network.at(network.ahead.number))

    def reset(self) -> None:
        """Go back to the network as it came; the steps stay in the history."""
        network = self.session.network
        if network is None:
            return
        self.session.setting = replace(self.session.setting, own=())
        self._go(network.at(network.original.number))

    # -- the history -----------------------------------------------------------------------------

    def go(self, number: Any) -> None:
        """Go to any step of the history; what is applied there begins a branch."""
        network = self._history()
        stage = tree.find(network.nodes, number)
        if stage is not network.stage:
            self._go(network.at(stage.number))

    def name(self, number: Any, text: Any) -> None:
        """Give a step a name, "" to take it away."""
        self.session.network = self._history().named(number, text)

    def forget(self, number: Any) -> None:
        """Drop a step and all that came of it, unless the present one did."""
        self.session.network = self._history().cut(number)
        self._give_back()

    def _give_back(self) -> None:
        """Drop what is kept about steps that are gone: it holds on to their networks."""
        numbers = {stage.number for stage in self.session.network.nodes}
        left = {str(number) for number in numbers}
        for key in [key for key in self.rankings if key.split("|")[0] not in left]:
            del self.rankings[key]
        self.instruments.keep_only(numbers)
        self.comparer.check()

    def _history(self) -> Network:
        if self.session.network is None:
            raise SpecError("No network is open yet.")
        return self.session.network

    def _go(self, network: Network) -> None:
        self._cancel_all()
        session, before = self.session, self._stage()
        session.fine_tuning = session.fine_tuning.cleared()
        session.scan = Scan()
        self.judge.clear()
        self.stopwatch.clear()
        session.statistics = None
        session.network = network
        session.setting = choices.carried(before, network.stage, session.setting)
        session.view = replace(session.view, unit=None)
        session.position = positions.standing(network.stage, session.setting)
        self.refresh()
        self._serve_tab()
