"""Repairs in a session: what they read, why one may not be had, and deletion alone beside them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from prunevis.graph.layers import ModelGraph
from prunevis.pruning import REPAIRS, Ranking, repaired
from prunevis.pruning.repairs import Mending, calibration_inputs
from prunevis.session.state import Curve, Setting, Stage, Status, Table
from prunevis.session.tables import Curves
from prunevis.statistics import Statistics, collect_steps

if TYPE_CHECKING:
    from prunevis.session.adjusting import Adjusting
    from prunevis.session.desk import Desk

#: Calibration examples whose moments are collected, and that are run again at each position.
EXAMPLES, RUN = 2048, 512
#: Where it is seen which layers cannot be mended; the reasons are the same everywhere.
TRIED_AT = 0.5


class Readings:
    """What the layers of the present stage read, collected once."""

    def __init__(self) -> None:
        self._stage = -1
        self._statistics: Statistics | None = None

    def of(self, stage: Stage) -> Statistics | None:
        """Return what was collected of a stage."""
        return self._statistics if stage.number == self._stage else None

    def put(self, stage: Stage, statistics: Statistics) -> None:
        """Keep what was collected, and nothing of another stage."""
        self._stage, self._statistics = stage.number, statistics


def repair_unavailable(graph: ModelGraph, setting: Setting, repair: str) -> str | None:
    """Return why `repair` cannot be chosen, or None if it can."""
    entry = REPAIRS[repair]()
    if setting.granularity not in entry.granularities:
        return f"It does not mend the loss of {setting.granularity}s."
    return entry.unavailable(graph)


def with_usable_repair(graph: ModelGraph, setting: Setting) -> Setting:
    """Return `setting` without its repair where that cannot be used."""
    if repair_unavailable(graph, setting, setting.repair) is None:
        return setting
    return replace(setting, repair="none")


def mending_steps(
    controller: Desk, stage: Stage, setting: Setting
) -> Generator[None, None, Mending | None]:
    """Return the repair of `setting` with what it reads, collected first; None for none."""
    if setting.repair == "none":
        return None
    session, needs = controller.session, REPAIRS[setting.repair].needs
    data = session.network.data
    statistics = controller.readings.of(stage)
    if {"inputs", "moments"} & needs and statistics is None:
        steps = collect_steps(
            stage.model, data, stage.graph, max_examples=EXAMPLES, activations=False, inputs=True
        )
        for progress in steps:
            text = "Collecting what the layers read, for the repair"
            session.status = Status("busy", text, progress.seen, progress.total)
            if progress.statistics is not None:
                statistics = progress.statistics
                controller.readings.put(stage, statistics)
            yield
    inputs = calibration_inputs(data, statistics)[:RUN] if "examples" in needs else None
    return Mending(setting.repair, statistics, inputs)


def refusals(stage: Stage, ranking: Ranking) -> tuple[str, ...]:
    """Return what the repair of `ranking` leaves only deleted, and why, a sentence each."""
    if ranking.spec.repair == "none":
        return ()
    found = repaired(stage.model, ranking.plan(TRIED_AT))
    return tuple(f"`{name}` is only pruned: {why}" for name, why in found.skipped.items())


def deleted(table: Table) -> Table | None:
    """Return the table of the same setting without its repair, None if there is no repair."""
    if table.setting.repair == "none":
        return None
    setting = replace(table.setting, repair="none")
    return replace(
        table,
        key=f"{table.stage.number}|{setting!r}",
        setting=setting,
        ranking=table.ranking.mended(None),
        refusals=(),
    )


def known_of(controller: Adjusting, table: Table) -> Curve:
    """Return what is known under `table`, with what deletion alone gives beside it."""
    curve, plain = controller.curves.snapshot(table), deleted(table)
    if plain is None:
        return curve
    return replace(curve, deleted=controller.curves.snapshot(plain).estimates)


def is_shown(table: Table, shown: Table | None) -> bool:
    """Whether figures of `table` are on the page, as its own or as those of deletion alone."""
    if shown is None:
        return False
    plain = deleted(shown)
    return table.key == shown.key or (plain is not None and table.key == plain.key)


def complete(curves: Curves, table: Table) -> bool:
    """Whether every position is known exactly, with the repair and without."""
    return all(map(curves.complete, both(table)))


def both(table: Table) -> list[Table]:
    """Return `table`, and that of deletion alone if it has a repair."""
    plain = deleted(table)
    return [table] if plain is None else [table, plain]
