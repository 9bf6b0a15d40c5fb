"""Where the examples of a batch lie in a result: on which axis, and in what order.

A transformer moves them about (``(N, T, C)`` to ``(T, N, C)`` to ``(T · N, C)``) and back. In
row-major order the number of an example is one digit of the position, and views only regroup
digits; so it can be followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Placement:
    """Position ``(o · N + n) · inner + i`` on `axis` belongs to example n of N.

    Attributes
    ----------
    axis
        Where they lie.
    outer, inner
        How many positions come before and after the example's number; 1 and 1 where each example
        has one position.
    """

    axis: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def first(self) -> bool:
        """Whether examples lie one after the other on axis 0."""
        return self.axis == 0 and self.outer == 1

    def regrouped(
        self, before: Sequence[int], after: Sequence[int], batch: int
    ) -> Placement | None:
        """Return where they lie in a row-major view of shape `before` as `after`.

        None where the number of the example is spread over axes, or `batch` does not fit.
        """
        below = self.inner * prod(before[self.axis + 1 :])
        for axis, size in enumerate(after):
            rest = prod(after[axis + 1 :])
            if size == 1 or rest == 0 or below % rest:
                continue
            inner = below // rest
            if size % (inner * batch) == 0:
                return Placement(axis, size // (inner * batch), inner)
        return None

    def moved(self, order: Sequence[int]) -> Placement:
        """Return where they lie when axis ``order[k]`` becomes axis k."""
        return Placement(list(order).index(self.axis), self.outer, self.inner)

    def without(self, axis: int) -> Placement | None:
        """Return where they lie when `axis` is taken out; None if it is theirs."""
        if axis == self.axis:
            return None
        return Placement(self.axis - (axis < self.axis), self.outer, self.inner)


class Point(NamedTuple):
    """Where the units of a layer are looked at.

    Attributes
    ----------
    call
        Number of the operator whose result shows them.
    axis
        Theirs in that result.
    examples
        Where the examples lie in it.
    """

    call: int
    axis: int
    examples: Placement
