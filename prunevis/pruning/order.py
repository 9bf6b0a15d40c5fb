"""Sorting millions of scores in short steps and little memory.

A network of 25 million weights is put in order once. `torch.sort` of that many takes seconds in one
piece and returns 64-bit indices, twice the network's own size. Here scores become 32-bit integers
of the same order, these are dealt out by size into groups of about half a million (one histogram of
their upper 16 bits says where the groups end), and each group is sorted by itself. A score's place
in the order is written where the score was, so sorting needs little more than its result.

What is kept beside the places is one byte a weight: to which layer the weight at each place
belongs. A cut then counts what goes of every layer by one look-up and a sum over a few thousand
bytes.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np

#: Scores sorted at once, about 20 ms of work with all that belongs to it.
GROUP = 1 << 19
#: Most groups: each is looked for in all scores, so that more would take longer than they save.
MOST_GROUPS = 64
#: Places between two rows of counts.
BLOCK = 4096
#: Scores are remembered at this many evenly spaced cuts: every tenth of a percent.
GRID = 1000
#: Seconds of work between two yields.
STEP = 0.02

_LAST = 255  # the group of those that are put last


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """One order of removal over one or more layers (or groups of units).

    Attributes
    ----------
    names
        Layers that are in it, in the order of the network.
    total
        Weights or units in it.
    known
        Score at some places of the order, by place: those just below every cut of a tenth of a
        percent.
    owner
        uint8 or uint16, shape (total,): index into `names` of what stands at each place; None if
        there is one name.
    counts_before
        int32, shape (total // BLOCK + 1, names): how many of each stand before place k × BLOCK.
    """

    names: tuple[str, ...]
    total: int
    known: dict[int, float] = field(repr=False)
    owner: np.ndarray | None = field(repr=False)
    counts_before: np.ndarray | None = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(a.nbytes for a in (self.owner, self.counts_before) if a is not None)

    def counts(self, cut: int) -> list[int]:
        """Return how many of each name stand before place `cut`, in [0, total]."""
        if self.owner is None or self.counts_before is None:
            return [cut]
        block = cut // BLOCK
        rest = np.bincount(self.owner[block * BLOCK : cut], minlength=len(self.names))
        return (self.counts_before[block] + rest).tolist()


class Pace:
    """Says when a generator has worked long enough without a yield."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    def due(self) -> bool:
        """Whether it is time to yield; `restart` after the yield."""
        return time.perf_counter() - self._begin >= STEP

    def restart(self) -> None:
        """Start counting anew: what others did meanwhile does not count."""
        self._begin = time.perf_counter()


def sortable(values: np.ndarray) -> np.ndarray:
    """Return float32 as int32 of the same order, -0.0 equal to 0.0; its own inverse on the bits."""
    return _flipped((values + np.float32(0)).view(np.int32))


def _flipped(bits: np.ndarray) -> np.ndarray:
    # IEEE 754: the bits of positive floats are in order, those of negative ones in reverse
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def order_steps(
    names: Sequence[str],
    keys: Sequence[np.ndarray],
    exact: Sequence[np.ndarray] | None = None,
) -> Generator[None, None, Order]:
    """Put the scores of some layers in one order, lowest first, equals by position.

    The highest of each layer (the last of equals) comes after all others.

    Parameters
    ----------
    names
        Of the layers.
    keys
        One an entry of `names`: int32, shape (weights,), from `sortable`. Overwritten by the place
        of each in the order, 0 first.
    exact
        The scores themselves in float64, where float32 does not tell them apart.

    Returns
    -------
    Order
        After steps of about 20 ms.
    """
    pace = Pace()
    total = sum(len(layer) for layer in keys)
    codes, count = yield from _dealt(keys, total, pace)
    for k, layer in enumerate(keys):
        values = layer if exact is None else exact[k]
        codes[k][np.flatnonzero(values == values.max())[-1]] = _LAST
        if pace.due():
            yield
            pace.restart()
    kind = np.uint8 if len(names) <= 256 else np.uint16
    owner = np.empty(total, kind) if len(names) > 1 else None
    cuts = np.unique([round(k * total / GRID) for k in range(1, GRID)])
    known: dict[int, float] = {}
    place = 0
    for group in (*range(count), _LAST):
        where = []
        for layer in codes:
            where.append(np.flatnonzero(layer == group))
            if pace.due():
                yield
                pace.restart()
        here = np.concatenate([layer[w] for layer, w in zip(keys, where, strict=True)])
        values = None
        if exact is not None:
            values = np.concatenate([layer[w] for layer, w in zip(exact, where, strict=True)])
        first = _sorted(here, values)
        end = place + len(here)
        if owner is not None:
            of = np.repeat(np.arange(len(names), dtype=kind), [len(w) for w in where])
            owner[place:end] = of[first]
        marks = cuts[(cuts > place) & (cuts <= end)] - 1
        scores = _flipped(here).view(np.float32) if values is None else values
        known.update(zip(marks.tolist(), scores[first[marks - place]].tolist(), strict=True))
        _write(keys, where, first, place)
        place = end
        if pace.due():
            yield
            pace.restart()
    counts_before = None
    if owner is not None:
        counts_before = yield from _counted(owner, len(names), pace)
    return Order(tuple(names), total, known, owner, counts_before)


def _dealt(
    keys: Sequence[np.ndarray], total: int, pace: Pace
) -> Generator[None, None, tuple[list[np.ndarray], int]]:
    """Return the group of each score, uint8, and the number of groups.

    Scores with the same upper 16 bits stay together, so a group is larger where very many scores
    are nearly equal.
    """
    if total <= GROUP + GROUP // 2:
        return [np.zeros(len(layer), np.uint8) for layer in keys], 1
    histogram = np.zeros(1 << 16, np.int64)
    for layer in keys:
        histogram += np.bincount((layer >> 16) + (1 << 15), minlength=1 << 16)
        if pace.due():
            yield
            pace.restart()
    size = max(GROUP, -(-total // MOST_GROUPS))
    before = np.cumsum(histogram) - histogram
    # numbered without gaps, whatever the histogram leaves empty
    group_of = np.unique(before // size, return_inverse=True)[1].astype(np.uint8)
    codes = []
    for layer in keys:
        codes.append(group_of[(layer >> 16) + (1 << 15)])
        if pace.due():
            yield
            pace.restart()
    return codes, int(group_of.max()) + 1


def _sorted(keys: np.ndarray, exact: np.ndarray | None) -> np.ndarray:
    """Return the indices that put scores in order, equals by position."""
    # score and position in one integer: sorted at once, and stable
    both = (keys.astype(np.int64) << 32) | np.arange(len(keys), dtype=np.int64)
    both.sort()
    both &= 0xFFFFFFFF
    if exact is None:
        return both
    # nearly in order already, which a stable sort is quick with
    return both[np.argsort(exact[both], kind="stable")]


def _write(
    keys: Sequence[np.ndarray], where: Sequence[np.ndarray], order: np.ndarray, place: int
) -> None:
    """Write the places of a sorted group, from `place`, over its scores."""
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(place, place + len(order), dtype=np.int32)
    start = 0
    for layer, at in zip(keys, where, strict=True):
        layer[at] = places[start : start + len(at)]
        start += len(at)


def _counted(owner: np.ndarray, names: int, pace: Pace) -> Generator[None, None, np.ndarray]:
    """Return `Order.counts_before` of `owner`."""
    rows = [np.zeros((1, names), np.int32)]
    many = max(1, GROUP // BLOCK)
    for start in range(0, len(owner) // BLOCK * BLOCK, many * BLOCK):
        part = owner[start : start + many * BLOCK]
        part = part[: len(part) // BLOCK * BLOCK].reshape(-1, BLOCK)
        cell = part.astype(np.int64) + names * np.arange(len(part))[:, None]
        found = np.bincount(cell.reshape(-1), minlength=part.shape[0] * names)
        rows.append(found.reshape(-1, names).astype(np.int32))
        if pace.due():
            yield
            pace.restart()
    return np.concatenate(rows).cumsum(axis=0, dtype=np.int32)
