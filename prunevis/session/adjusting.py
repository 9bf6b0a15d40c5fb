"""The use cases around the setting and the slider: choose, rank anew, measure where it stands.

The jobs that these start stand in `prunevis.session.measuring`. Whatever arrives from a browser is
checked here, not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prunevis.evaluation import AccuracyEstimate, Evaluation
from prunevis.pruning import check_sparsity
from prunevis.session import choices, measuring, positions
from prunevis.session.desk import Desk
from prunevis.session.jobs import BACKGROUND, NOW, REFINE, SOON
from prunevis.session.mending import both, complete, is_shown, known_of
from prunevis.session.opening import measure_baseline
from prunevis.session.state import Scan, Setting, Stage, Table
from prunevis.session.tables import POSITIONS, whole_table, with_position

#: Positions typed in between the slider's own that are kept.
MAX_EXTRA = 20


class Adjusting(Desk):
    """What is chosen, and the slider."""

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
        table = session.table
        session.network = session.network.with_measured(stage, measured)
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
