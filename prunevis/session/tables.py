"""What every slider position costs, and what is known of accuracy there."""

from __future__ import annotations

from bisect import bisect
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from prunevis.evaluation import AccuracyEstimate
from prunevis.pruning import PruningSpec, Ranking
from prunevis.pruning.targets import Shares
from prunevis.session.positions import POSITIONS
from prunevis.session.state import Curve, Setting, Stage, Table

#: Settings whose known accuracies are kept, so that going back costs nothing. An estimate takes
#: about 100 bytes, so this is well under a megabyte.
KEPT_CURVES = 48

#: Rankings that are kept besides the present one, so that going back costs nothing: as many as fit
#: into this many bytes, and no more than 8. Of a large network that may be none.
OTHER_RANKINGS = 64 * 2**20


def build_table(
    stage: Stage,
    setting: Setting,
    ranking: Ranking,
    extra: Iterable[float] = (),
    pairs: Sequence[tuple[float, float]] | None = None,
    refusals: tuple[str, ...] = (),
) -> Table:
    """Return the costs of all `POSITIONS`, and of `extra` ones in between.

    Or of `pairs` of a position and the sparsity that it stands for, as `position_steps` finds them.
    """
    if pairs is None:
        pairs = [(s, s) for s in sorted({*POSITIONS, *extra})]
    plans = [ranking.plan(solved) for _, solved in pairs]
    return Table(
        key=f"{stage.number}|{setting!r}",
        stage=stage,
        setting=setting,
        ranking=ranking,
        sparsity=tuple(position for position, _ in pairs),
        costs=tuple(stage.costs.cost(plan) for plan in plans),
        removed=tuple(plan.removed for plan in plans),
        cuts=tuple(plan.cuts for plan in plans),
        threshold=tuple(plan.threshold for plan in plans),
        solved=tuple(solved for _, solved in pairs),
        refusals=refusals,
    )


def whole_table(stage: Stage, setting: Setting, extra: Iterable[float] = ()) -> Table:
    """Return the table of a setting under which nothing goes anywhere."""
    spec = PruningSpec.make(setting.criterion, setting.granularity, setting.scope)
    return build_table(stage, setting, Ranking.of_nothing(stage.graph, spec), extra)


def with_position(table: Table, position: float, without: float | None = None) -> Table:
    """Return `table` with one more position; the others are not computed again.

    Parameters
    ----------
    table
        As it stands.
    position
        In [0, 1), none that it has.
    without
        A position to leave out in its place.
    """
    setting, solved = table.setting, position
    if setting.of != "sparsity" and table.ranking.total:
        solved = Shares(table.ranking, setting.of, table.stage.costs).sparsity(1 - position)
    plan = table.ranking.plan(solved)
    k = bisect(table.sparsity, position)

    def put(column: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
        longer = (*column[:k], value, *column[k:])
        if without not in table.sparsity:
            return longer
        gone = table.sparsity.index(without)
        gone += gone >= k
        return (*longer[:gone], *longer[gone + 1 :])

    return replace(
        table,
        sparsity=put(table.sparsity, position),
        costs=put(table.costs, table.stage.costs.cost(plan)),
        removed=put(table.removed, plan.removed),
        cuts=put(table.cuts, plan.cuts),
        threshold=put(table.threshold, plan.threshold),
        solved=put(table.solved, solved),
    )


def keep(kept: dict[str, Ranking], key: str, ranking: Ranking) -> None:
    """Put the present ranking into `kept`, and let the oldest others go that are too many."""
    kept.pop(key, None)
    while len(kept) > 8 or sum(other.nbytes for other in kept.values()) > OTHER_RANKINGS:
        kept.pop(next(iter(kept)))
    kept[key] = ranking


class Curves:
    """Known accuracies by setting and plan, newest settings kept.

    Positions whose plans are the same (few units, or a network pruned before) share one figure, so
    that it is measured once.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, dict[tuple[int, ...], AccuracyEstimate]] = OrderedDict()
        self._sizes: dict[str, dict[tuple[int, ...], int]] = {}

    def clear(self) -> None:
        """Forget everything: another network was opened."""
        self._known.clear()
        self._sizes.clear()

    def get(self, table: Table, index: int) -> AccuracyEstimate | None:
        """Return the best figure known for a position."""
        return self._of(table).get(_plan_key(table, index))

    def unknown(self, table: Table, indices: Iterable[int], images: int) -> list[int]:
        """Return those of `indices`, one for each plan, known from fewer than `images` images."""
        known = self._of(table)
        found: dict[tuple[int, ...], int] = {}
        for index in indices:
            key = _plan_key(table, index)
            estimate = known.get(key)
            if estimate is None or not (estimate.exact or estimate.seen >= images):
                found.setdefault(key, index)
        return list(found.values())

    def complete(self, table: Table) -> bool:
        """Whether every position of `table` is known exactly."""
        return self.snapshot(table).known == len(table.sparsity)

    def is_exact(self, table: Table, index: int) -> bool:
        """Whether a position is known exactly."""
        known = self.get(table, index)
        return known is not None and known.exact

    def put(self, table: Table, index: int, found: AccuracyEstimate | int) -> bool:
        """Keep a figure if it is better than what is known; return whether it was.

        `found` is an accuracy, or the bytes of the compressed file, an int.
        """
        known, key = self._of(table), _plan_key(table, index)
        if isinstance(found, int):
            self._sizes.setdefault(table.key, {})[key] = found
            return True
        estimate = found
        old = known.get(key)
        if old is not None and (old.exact or old.seen >= estimate.seen) and not estimate.exact:
            return False
        known[key] = estimate
        return True

    def size(self, table: Table, index: int) -> int | None:
        """Return the bytes of the compressed file at a position, if measured."""
        return self._sizes.get(table.key, {}).get(_plan_key(table, index))

    def snapshot(self, table: Table) -> Curve:
        """Return what is known of every position of `table`."""
        known, sizes = self._of(table), self._sizes.get(table.key, {})
        keys = [_plan_key(table, k) for k in range(len(table.sparsity))]
        return Curve(table.key, tuple(map(known.get, keys)), tuple(map(sizes.get, keys)))

    def _of(self, table: Table) -> dict[tuple[int, ...], AccuracyEstimate]:
        known = self._known.setdefault(table.key, {})
        self._known.move_to_end(table.key)
        while len(self._known) > KEPT_CURVES:
            oldest, _ = self._known.popitem(last=False)
            self._sizes.pop(oldest, None)
        return known


def _plan_key(table: Table, index: int) -> tuple[int, ...]:
    return tuple(table.removed[index].values())
