"""What was seen so far, what comes next, and what both say: one tally for one candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunevis.evaluation.intervals import net_flips, shrunken_variance, stratified_total, wilson
from prunevis.evaluation.references import finite
from prunevis.evaluation.sampling import FlipDesign, MeanDesign, Strata, next_plan, neyman

Array = NDArray[Any]
#: No examples and no strata.
NOTHING: tuple[Array, Array] = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


class Tally:
    """Counts what was seen of each stratum.

    Parameters
    ----------
    strata
        The examples.

    Attributes
    ----------
    seen, total
        Examples recorded, of how many.
    drawn
        Shape (H,): how many of them in each stratum.
    newest
        What was taken and not yet recorded: examples and their strata, each of shape (n,).
    """

    def __init__(self, strata: Strata) -> None:
        self.strata = strata
        self.total = strata.total
        self.seen = 0
        self.drawn = np.zeros(len(strata.sizes))
        self.newest: tuple[Array, Array] = NOTHING
        self._course: Course | None = None

    def rates(self) -> Array:
        """Return each stratum's planned share of the sample, shape (H,), from what was seen."""
        return neyman(self.strata.sizes, np.ones(len(self.strata.sizes)))

    def batches(self, count: int) -> Iterator[Array]:
        """Yield examples to run, `count` in all; mostly one array, one more at each new plan.

        Each must be recorded before the next is asked for.
        """
        if self._course is None:
            self._course = Course([self])
        count = min(count, self.total - self.seen)
        while count > 0:
            images = self._course.take(count)
            count -= len(images)
            yield images

    def count(self, values: Array) -> Array:
        """Return the sum of `values` of the newest examples (n,) in each stratum, shape (H,)."""
        return np.bincount(self.newest[1], weights=values, minlength=len(self.drawn))

    def advance(self) -> None:
        """Note that the newest examples have been recorded."""
        self.drawn += np.bincount(self.newest[1], minlength=len(self.drawn))
        self.seen += len(self.newest[1])
        self.newest = NOTHING


class Course:
    """Which examples are run next, for one tally or for several that see the same ones.

    Parameters
    ----------
    tallies
        At least one, all of the same strata and as far as each other. Where there are several, the
        plan is the mean of theirs.
    """

    def __init__(self, tallies: Sequence[Tally]) -> None:
        self.tallies = tallies
        self.seen = tallies[0].seen
        self._drawn = tallies[0].drawn.copy()
        self._due: tuple[Array, Array] = NOTHING

    def plans_within(self, count: int, *, across: bool = False) -> bool:
        """Whether `take` would plan by what was seen: then all that was taken must be recorded."""
        several = len(self.tallies[0].strata.sizes) > 1
        return several and len(self._due[0]) < (count if across else 1)

    def take(self, count: int, *, across: bool = False) -> Array:
        """Return the next examples, shape (n,), at most `count` and at least 1 while any are left.

        They are what every tally must record next, alone or together with what is taken after
        them; see `plans_within`.

        Parameters
        ----------
        count
            How many are wanted, from 1.
        across
            Whether a batch may go across the point where the plan is made anew: then there are
            `count`, if so many are left, and the plan is made a batch earlier.
        """
        taken = [self._take(count)]
        while across and (more := count - sum(len(t[0]) for t in taken)) > 0:
            if self.seen >= self.tallies[0].strata.total:
                break
            taken.append(self._take(more))
        newest = _joined(taken)
        for tally in self.tallies:
            tally.newest = _joined([tally.newest, newest]) if len(tally.newest[0]) else newest
        return newest[0]

    def _take(self, count: int) -> tuple[Array, Array]:
        strata = self.tallies[0].strata
        if not len(self._due[0]):
            planned = strata.total if len(strata.sizes) == 1 else next_plan(self.seen)
            ahead = min(planned, strata.total) - self.seen
            rates = np.mean([tally.rates() for tally in self.tallies], axis=0)
            self._due = strata.due(self._drawn, rates, ahead)
        images, stratum = self._due
        newest = images[:count], stratum[:count]
        self._due = images[count:], stratum[count:]
        self._drawn += np.bincount(newest[1], minlength=len(self._drawn))
        self.seen += len(newest[0])
        return newest


class PlainTally(Tally):
    """Right answers of a simple random sample."""

    right = 0

    def record(self, correct: Array, margin: Array) -> None:
        """Take note of the newest examples: whether each answer is right, shape (n,)."""
        self.right += int(correct.sum())
        self.advance()

    def interval(self) -> tuple[float, float, float]:
        """Return how many of all answers are right, with a 95 % interval."""
        value = self.right / self.seen * self.total
        low, high = wilson(self.right, self.seen, population=self.total)
        return value, low * self.total, high * self.total


class FlipTally(Tally):
    """Flips in each stratum, and how far margins moved.

    Parameters
    ----------
    design
        Strata by the reference's margin.
    """

    def __init__(self, design: FlipDesign) -> None:
        super().__init__(design.strata)
        self.design = design
        self.flips, self.change, self.square = np.zeros((3, len(design.sign)))

    def rates(self) -> Array:
        """Return each stratum's planned share of the sample, shape (H,), from how margins moved."""
        expected = self.expected()
        return neyman(self.strata.sizes, np.sqrt(expected * (1 - expected)))

    def expected(self) -> Array:
        """Return the share of flips to expect in each stratum, shape (H,)."""
        return self.design.expected(self.drawn, self.change, self.square)

    def record(self, correct: Array, margin: Array) -> None:
        """Take note of the newest examples: correctness and margin of each, shape (n,)."""
        reference, images = self.design.reference, self.newest[0]
        right = reference.right[images]
        moved = (reference.margin[images].astype(np.float64) - finite(margin)) * np.where(
            right, 1.0, -1.0
        )
        self.flips += self.count(correct != right)
        self.change += self.count(moved)
        self.square += self.count(moved * moved)
        self.advance()

    def interval(self) -> tuple[float, float, float]:
        """Return how many of all answers are right, with a 95 % interval."""
        sign, sizes = self.design.sign, self.strata.sizes
        gain, low, high = net_flips(self.flips, self.drawn, sizes, sign, self.expected())
        anticipated = float(sizes[sign < 0].sum())
        # at least the right answers seen, at most those and all unseen
        certain = float(np.where(sign < 0, self.drawn - self.flips, self.flips).sum())
        possible = certain + self.total - self.seen
        value, low, high = (
            min(max(anticipated + float(x), certain), possible) for x in (gain, low, high)
        )
        return value, low, high


class MeanTally(Tally):
    """Sums of numbers in each stratum, as differences from the reference's.

    Parameters
    ----------
    design
        Strata by the reference's numbers.
    """

    def __init__(self, design: MeanDesign) -> None:
        super().__init__(design.strata)
        self.design = design
        self.sums, self.squares, self.cubes = np.zeros((3, len(design.deviation)))
        self.values = np.zeros(self.total)

    def rates(self) -> Array:
        """Return each stratum's planned share of the sample, shape (H,), from the variances."""
        deviation = self.design.deviation
        if self.seen:
            variance, _ = shrunken_variance(self.sums, self.squares, self.drawn)
            deviation = np.sqrt(variance)
        return neyman(self.strata.sizes, deviation)

    def record(self, values: Array) -> None:
        """Take note of the newest examples: the number of each, shape (n,)."""
        images = self.newest[0]
        self.values[images] = values
        change = values - self.design.known[images]
        self.sums += self.count(change)
        self.squares += self.count(change * change)
        self.cubes += self.count(change**3)
        self.advance()

    def interval(self) -> tuple[float, float, float]:
        """Return the mean of all numbers, with a 95 % interval."""
        if self.seen == self.total:
            exact = float(self.values.mean())
            return exact, exact, exact
        doubt = self.design.doubt
        if doubt == 0:  # nothing known: an example may be off by the size of the numbers, or by 1
            doubt = float(self.squares.sum() / self.seen) or 1.0
        # a stratum that nothing was seen of (fewer images than two of each) counts as unchanged
        drawn = np.maximum(self.drawn, 1)
        sums = (self.sums, self.squares, self.cubes)
        found = stratified_total(*sums, drawn, self.strata.sizes, doubt)
        known = float(self.design.known.mean())
        value, low, high = (known + float(x) / self.total for x in found)
        return value, low, high


def _joined(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    examples, strata = zip(*parts, strict=True)
    return np.concatenate(examples), np.concatenate(strata)
