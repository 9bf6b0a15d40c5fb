"""Identities of positions on tensor axes, and which of them must leave together.

Every followed axis carries one *atom* (an integer) for each position. Rules record that atoms are
the same unit (`Atoms.tie`) or may not leave (`Atoms.block`); nothing is resolved before the end,
when connected components are found at once.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Owner:
    """The axis of a parameter or buffer that atoms were made for."""

    tensor: str
    axis: int
    start: int
    stop: int


class Atoms:
    """A growing set of atoms with ties between them.

    Attributes
    ----------
    owners
        Axes of parameters and buffers, in the order of their first use.
    ties
        ``(atoms, sentence)`` for every operator that ties units of several layers.
    blocks
        ``(atoms, sentence)`` for every operator that forbids removal.
    """

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.ties: list[tuple[Ids, str]] = []
        self.blocks: list[tuple[Ids, str]] = []
        self._count = 0
        self._starts: list[int] = []
        self._edges: list[tuple[Ids, Ids]] = []

    def fresh(self, count: int) -> Ids:
        """Return `count` new atoms that no tensor owns, int64, shape (count,)."""
        start, self._count = self._count, self._count + count
        return np.arange(start, start + count, dtype=np.int64)

    def own(self, tensor: str, axis: int, count: int) -> Ids:
        """Return new atoms for one axis of a parameter or buffer, int64, shape (count,)."""
        ids = self.fresh(count)
        start = self._count - count
        self.owners.append(Owner(tensor, axis, start, self._count))
        self._starts.append(start)
        return ids

    def owner(self, ids: Ids | None) -> Owner | None:
        """Return the axis that `ids` are all of, in order, or None if they are not one axis."""
        if ids is None or not len(ids):
            return None
        place = bisect_right(self._starts, int(ids[0])) - 1
        if place < 0:
            return None
        found = self.owners[place]
        whole = np.arange(found.start, found.stop)
        return found if np.array_equal(ids, whole) else None

    def tie(self, left: Ids, right: Ids, sentence: str | None = None) -> None:
        """Record that `left` and `right` are the same units, position by position."""
        if left is right or np.array_equal(left, right):
            return
        self._edges.append((left.ravel(), right.ravel()))
        if sentence is not None:
            self.ties.append((np.concatenate([left.ravel(), right.ravel()]), sentence))

    def block(self, ids: Ids | None, sentence: str) -> None:
        """Record that none of `ids` may leave, and why."""
        if ids is not None and ids.size:
            self.blocks.append((ids.ravel(), sentence))

    def labels(self) -> Ids:
        """Return the smallest atom of each atom's component, int64, shape (atoms,)."""
        return components(self._count, self._edges)


def components(count: int, edges: list[tuple[Ids, Ids]]) -> Ids:
    """Return the smallest node of each node's connected component, int64, shape (count,).

    Labels are hooked onto smaller ones along all edges at once, then paths are halved until they
    are flat; a few rounds are enough for any network.
    """
    labels = np.arange(count, dtype=np.int64)
    if not edges:
        return labels
    left = np.concatenate([a for a, _ in edges])
    right = np.concatenate([b for _, b in edges])
    while True:
        a, b = labels[left], labels[right]
        differ = a != b
        if not differ.any():
            return labels
        left, right, a, b = left[differ], right[differ], a[differ], b[differ]
        np.minimum.at(labels, np.maximum(a, b), np.minimum(a, b))
        while True:
            shorter = labels[labels]
            if np.array_equal(shorter, labels):
                break
            labels = shorter
