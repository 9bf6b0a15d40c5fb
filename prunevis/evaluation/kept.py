"""Activations before the first pruned layer, kept for the next candidate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping

import torch
from torch import Tensor

#: Most bytes of activations that are kept.
KEPT_BYTES = 256 * 1024**2


class _Rows:
    """One set of values, example by example, as far as there is room."""

    def __init__(self, count: int, room: int) -> None:
        self.place = torch.full((count,), -1, dtype=torch.int64)
        self.room, self.used = room, 0
        self.values: dict[Hashable, Tensor] = {}


class Kept:
    """Values of examples by what they are, within a budget.

    A set of values is kept from the second time it is asked for: the first time nobody knows
    whether there will be another.

    Parameters
    ----------
    count
        Examples in all.
    budget
        Bytes. Where not all examples fit, those that come first are kept and `note` says how many.
    """

    def __init__(self, count: int, budget: int = KEPT_BYTES) -> None:
        self.count, self.budget = count, budget
        self._sets: OrderedDict[frozenset[Hashable], _Rows | None] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self._sets.clear()

    @property
    def bytes(self) -> int:
        """Bytes that are held now."""
        rows = [r for r in self._sets.values() if r is not None]
        return sum(v.nbytes for r in rows for v in r.values.values())

    @property
    def note(self) -> str:
        """Say if there was no room for all, else ""."""
        for rows in reversed(self._sets.values()):
            if rows is not None and rows.values and rows.room < self.count:
                return (
                    f"What comes before the first pruned layer is kept for {rows.room:,} of "
                    f"{self.count:,} images ({self.budget // 1024**2} MiB)."
                )
        return ""

    def want(self, frontier: frozenset[Hashable]) -> None:
        """Take note that a program would like these values kept."""
        if not frontier:
            return
        if frontier in self._sets:
            self._sets.move_to_end(frontier)
            if self._sets[frontier] is None:
                self._sets[frontier] = _Rows(self.count, self.count)
        else:
            self._sets[frontier] = None
        while len(self._sets) > 64:
            self._sets.popitem(last=False)

    def wants(self, frontier: frozenset[Hashable]) -> bool:
        """Whether these values are to be kept."""
        return self._sets.get(frontier) is not None

    def get(self, frontier: frozenset[Hashable], examples: Tensor) -> dict[Hashable, Tensor] | None:
        """Return the values of these examples, or None if not all of them are there."""
        rows = self._sets.get(frontier)
        if rows is None or not rows.values:
            return None
        place = rows.place[examples]
        if bool((place < 0).any()):
            return None
        return {key: value[place] for key, value in rows.values.items()}

    def put(
        self, frontier: frozenset[Hashable], examples: Tensor, found: Mapping[Hashable, Tensor]
    ) -> None:
        """Keep the values of these examples, as far as there is room."""
        rows = self._sets.get(frontier)
        if rows is None or not all(by_example(v, len(examples)) for v in found.values()):
            return
        if not rows.values:
            each = sum(v[0].nbytes for v in found.values())
            rows.room = min(self.count, self.budget // max(1, each))
            self._make_room(frontier, rows.room * each)
            rows.values = {
                key: torch.empty((rows.room, *v.shape[1:]), dtype=v.dtype, device=v.device)
                for key, v in found.items()
            }
        new = (rows.place[examples] < 0).nonzero()[:, 0][: rows.room - rows.used]
        where = torch.arange(rows.used, rows.used + len(new))
        for key, value in rows.values.items():
            value[where] = found[key][new]
        rows.place[examples[new]] = where
        rows.used += len(new)

    def _make_room(self, frontier: frozenset[Hashable], needed: int) -> None:
        for other in list(self._sets):
            if self.bytes + needed <= self.budget:
                return
            if other != frontier:
                del self._sets[other]


def by_example(value: object, count: int) -> bool:
    """Whether `value` can be a tensor of one row for each of `count` examples."""
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == count
