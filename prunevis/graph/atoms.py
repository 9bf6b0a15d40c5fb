"""Identities of positions on tensor axes, and which of them must leave together.

Every followed axis carries one *atom* (an integer) for each position. Rules record that atoms are
the same unit (`Atoms.tie`) or may not leave (`Atoms.block`); nothing is resolved before the end,
when connected components are found at once. Units that a view spreads over several axes are a
`Product`; which of its axes may shrink is settled at the end too (`prunevis.graph.products`).
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


@dataclass(frozen=True, eq=False, slots=True)
class Product:
    """Units on several axes at once: only one of the axes can shrink, for all the others alike.

    Attributes
    ----------
    ids
        Atoms of the units, one axis of the array for each factor.
    factors
        Atoms of the positions along each axis; equal where the units there are.
    here
        The operator and its place, in words.
    is_merge
        Whether the axes were there first and a view has merged them; else it has cut the units.
    """

    ids: Ids
    factors: tuple[Ids, ...]
    here: str
    is_merge: bool


class Atoms:
    """A growing set of atoms with ties between them.

    Attributes
    ----------
    owners
        Axes of parameters and buffers, in the order of their first use.
    ties
        ``(atoms, sentence)`` for every operator that ties units of several layers.
    blocks
        ``(atoms, sentence, number of the call)`` for every operator that forbids removal.
    call
        Number of the call whose rule runs; None outside of calls.
    products
        Units that lie on several axes at once.
    heads
        Axes along which activations are multiplied with each other one by one (attention).
    """

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.ties: list[tuple[Ids, str]] = []
        self.blocks: list[tuple[Ids, str, int | None]] = []
        self.call: int | None = None
        self.products: list[Product] = []
        self.heads: list[Ids] = []
        self._known: dict[tuple[bytes, ...], tuple[Ids, ...]] = {}
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
            self.blocks.append((ids.ravel(), sentence, self.call))

    def forget(self, calls: set[int]) -> None:
        """Forget what these calls forbade: their results are never read."""
        self.blocks = [block for block in self.blocks if block[2] not in calls]

    def cut(self, ids: Ids, here: str) -> tuple[Ids, ...]:
        """Return atoms for each axis of `ids`, which a view has spread over them.

        A view that undoes a merge gets the axes back that were merged.
        """
        key = (ids.tobytes(), repr(ids.shape).encode())
        if key not in self._known:
            factors = []
            for axis in range(ids.ndim):
                rows = np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)
                _, place = np.unique(rows, axis=0, return_inverse=True)
                factors.append(self.fresh(int(place.max()) + 1)[place.ravel()])
            self._known[key] = tuple(factors)
            self.products.append(Product(ids, tuple(factors), here, is_merge=False))
        return self._known[key]

    def merge(self, factors: tuple[Ids, ...], here: str) -> Ids:
        """Return the units on several axes that a view merges, an axis of the array for each."""
        key = tuple(factor.tobytes() for factor in factors)
        if key not in self._known:
            places = [np.unique(factor, return_inverse=True)[1].ravel() for factor in factors]
            sizes = [int(place.max()) + 1 for place in places]
            core = self.fresh(int(np.prod(sizes))).reshape(sizes)
            ids = core[np.ix_(*places)]
            self._known[key] = (ids,)
            self.products.append(Product(ids, factors, here, is_merge=True))
            self._known[ids.tobytes(), repr(ids.shape).encode()] = factors
        return self._known[key][0]

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
