"""What the slider's positions stand for: shares removed of weights, units, parameters and so on."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import replace

from prunevis.pruning import Ranking
from prunevis.pruning.targets import Shares, positions_steps
from prunevis.session.state import Session, Setting, Stage

#: Slider positions: every percent, and "as much as can go" at the end.
POSITIONS: tuple[float, ...] = (*(k / 100 for k in range(100)), 0.999)


def position_steps(
    stage: Stage, setting: Setting, ranking: Ranking, extra: Iterable[float] = ()
) -> Generator[None, None, list[tuple[float, float]]]:
    """Return all `POSITIONS`, and `extra` ones, each with the sparsity that it stands for.

    Where not that much can go they end at what can.
    """
    wanted = sorted({*POSITIONS, *extra})
    if setting.of != "sparsity":
        return (yield from positions_steps(Shares(ranking, setting.of, stage.costs), wanted))
    if setting.pattern is None and setting.multiple_of == setting.min_units == 1:
        return [(s, s) for s in wanted]
    end = ranking.plan(POSITIONS[-1]).achieved_sparsity
    found = [(s, s) for s in wanted if s <= end]
    return found if end - found[-1][0] < 5e-4 else [*found, (end, end)]


def standing(stage: Stage, setting: Setting) -> float:
    """Return where the slider stands on arriving at a stage: what is gone already, in [0, 0.99].

    Masked weights stay counted, removed units do not.
    """
    if setting.granularity == "unit":
        return 0.0
    if setting.of == "sparsity":
        return stage.sparsity
    cost = stage.costs.cost()
    left = {
        "params": cost.nonzero_params / max(1, cost.base_params),
        "macs": cost.effective_macs / max(1, cost.base_macs),
        "bytes": cost.bytes / max(1, cost.base_bytes),
    }[setting.of]
    return _percent(1 - left)


def same_place(session: Session, setting: Setting) -> float:
    """Return where the slider stands under `setting`: the same plan, if it counts in another unit.

    Down to whole percents. In all other cases the position stays what it is.
    """
    table, before = session.table, session.setting
    if before == setting or replace(before, of=setting.of) != setting:
        return session.position
    if table is None or table.setting != before or not table.ranking.total:
        return session.position
    plan = table.plan_at(session.position)
    return _percent(1 - Shares(table.ranking, setting.of, table.stage.costs).left(plan))


def _percent(share: float) -> float:
    return min(max(math.floor(100 * share + 1e-6), 0), 99) / 100
