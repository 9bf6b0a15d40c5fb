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

_LAST = 255  # the group of those that are put last, where these are the best of each layer
_STAYS = 128  # added to the group of those that are put last, where these are many


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """One order of removal over one or more layers (or groups of units).

    What leaves together is one piece and has one place: mostly a single weight or unit.

    Attributes
    ----------
    names
        Layers that are in it, in the order of the network.
    total
        Weights or units in it.
    most
        Places that may go: the highest cut.
    known
        Score at some places of the order, by place: those just below every cut of a tenth of a
        percent.
    owner
        uint8 or uint16, shape (places,): index into `names` of what stands at each place; None if
        there is one name.
    counts_before
        int32, shape (places // BLOCK + 1, names): weights or units of each that stand before place
        k × BLOCK.
    ends
        int64, shape (places + 1,): weights or units before each place; None where each is its own.
    """

    names: tuple[str, ...]
    total: int
    most: int
    known: dict[int, float] = field(repr=False)
    owner: np.ndarray | None = field(repr=False)
    counts_before: np.ndarray | None = field(repr=False)
    ends: np.ndarray | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.owner, self.counts_before, self.ends)
        return sum(a.nbytes for a in arrays if a is not None)

    def counts(self, cut: int) -> list[int]:
        """Return how many of each name stand before place `cut`, in [0, places]."""
        if self.owner is None or self.counts_before is None:
            return [cut if self.ends is None else int(self.ends[cut])]
        block = cut // BLOCK
        here = slice(block * BLOCK, cut)
        many = None if self.ends is None else np.diff(self.ends[here.start : cut + 1])
        rest = np.bincount(self.owner[here], many, minlength=len(self.names))
        return (self.counts_before[block] + rest).astype(np.int64).tolist()

    def cut(self, count: int, least: int = 0) -> int:
        """Return the cut that takes `count` weights or units, or comes nearest to that.

        At least `least` of them go, and never what always stays. Of two cuts that come equally near
        the lower one is taken.
        """
        if self.ends is None:
            return min(max(count, least), self.most)
        above = int(np.searchsorted(self.ends, max(count, least)))
        if above and self.ends[above - 1] >= least:
            below = count - self.ends[above - 1]
            above -= bool(above > self.most or below <= self.ends[above] - count)
        return min(above, self.most)


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


def unsorted(keys: np.ndarray) -> np.ndarray:
    """Return, as float64, the float32 that `sortable` made `keys` of."""
    return _flipped(keys).view(np.float32).astype(np.float64)


def _flipped(bits: np.ndarray) -> np.ndarray:
    # IEEE 754: the bits of positive floats are in order, those of negative ones in reverse
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def order_steps(
    names: Sequence[str],
    keys: Sequence[np.ndarray],
    exact: Sequence[np.ndarray] | None = None,
    stays: Sequence[np.ndarray] | None = None,
    sizes: Sequence[np.ndarray] | None = None,
) -> Generator[None, None, Order]:
    """Put the scores of some layers in one order, lowest first, equals by position.

    The highest of each layer (the last of equals) comes after all others, or what `stays` says.

    Parameters
    ----------
    names
        Of the layers.
    keys
        One an entry of `names`: int32, shape (pieces,), from `sortable`. Overwritten by the place
        of each in the order, 0 first.
    exact
        The scores themselves in float64, where float32 does not tell them apart.
    stays
        Bool, of the same shapes: what never goes; where it is nothing of a layer, its highest.
    sizes
        Of the same shapes: weights or units in each piece; None if each is one.

    Returns
    -------
    Order
        After steps of about 20 ms.
    """
    pace = Pace()
    total = sum(len(layer) for layer in keys)
    codes, count = yield from _dealt(keys, total, pace)
    last = 0
    for k, layer in enumerate(keys):
        if stays is not None and stays[k].any():
            codes[k][stays[k]] += _STAYS
            last += int(stays[k].sum())
        else:
            values = layer if exact is None else exact[k]
            best = np.flatnonzero(values == values.max())[-1]
            codes[k][best] = codes[k][best] + _STAYS if stays is not None else _LAST
            last += 1
        if pace.due():
            yield
            pace.restart()
    groups = [*range(count), _LAST]
    if stays is not None:
        groups = [*range(count), *range(_STAYS, _STAYS + count)]
    kind = np.uint8 if len(names) <= 256 else np.uint16
    owner = np.empty(total, kind) if len(names) > 1 else None
    cuts = np.unique([round(k * total / GRID) for k in range(1, GRID)])
    known: dict[int, float] = {}
    place = 0
    for group in groups:
        where = []
        for layer in codes:
            where.append(np.flatnonzero(layer == group))
            if pace.due():
                yield
                pace.restart()
        if not any(map(len, where)):
            continue
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
        scores = unsorted(here) if values is None else values
        known.update(zip(marks.tolist(), scores[first[marks - place]].tolist(), strict=True))
        _write(keys, where, first, place)
        place = end
        if pace.due():
            yield
            pace.restart()
    ends = None
    if sizes is not None:
        ends = np.zeros(total + 1, np.int64)
        for places, many in zip(keys, sizes, strict=True):
            ends[places + 1] = many
        ends = ends.cumsum()
    counts_before = None
    if owner is not None:
        counts_before = yield from _counted(owner, len(names), pace, ends)
    everything = total if ends is None else int(ends[-1])
    return Order(tuple(names), everything, total - last, known, owner, counts_before, ends)


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


def _counted(
    owner: np.ndarray, names: int, pace: Pace, ends: np.ndarray | None
) -> Generator[None, None, np.ndarray]:
    """Return `Order.counts_before` of `owner`."""
    rows = [np.zeros((1, names), np.int32)]
    many = max(1, GROUP // BLOCK)
    for start in range(0, len(owner) // BLOCK * BLOCK, many * BLOCK):
        part = owner[start : start + many * BLOCK]
        part = part[: len(part) // BLOCK * BLOCK].reshape(-1, BLOCK)
        cell = part.astype(np.int64) + names * np.arange(len(part))[:, None]
        held = None if ends is None else np.diff(ends[start : start + part.size + 1])
        found = np.bincount(cell.reshape(-1), held, minlength=part.shape[0] * names)
        rows.append(found.reshape(-1, names).astype(np.int32))
        if pace.due():
            yield
            pace.restart()
    return np.concatenate(rows).cumsum(axis=0, dtype=np.int32)
