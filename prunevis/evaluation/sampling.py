"""Which examples are run next: strata, a fixed random order in each, and how many of each are due.

Examples are put into strata by what the reference says of them, and shuffled once in each stratum.
Of every stratum the first so many are run, so a sample only ever extends. How many each stratum
gets is planned before the first image and again after 64, 256, 1,024, ...: by Neyman's rule (size
times standard deviation) with what is known by then, and a fixed share by size alone, which bounds
the variance whatever the plan is worth. The plan is made at fixed counts, so which images are run
depends neither on batch sizes nor on which estimates are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunevis.evaluation.references import Reference

#: Images before the first plan from what was seen, and how many times as many before the next.
FIRST_PLAN, NEXT_PLAN = 64, 4
#: Share of the images that is spread by size of the stratum; the rest goes by Neyman's rule.
EVEN_SHARE = 0.4
#: Strata of right answers and of wrong ones, at most: each holds twice as many as the one before.
RIGHT_STRATA, WRONG_STRATA = 9, 5
#: No stratum is made smaller than this, where there is a choice.
SMALLEST = 24
#: Examples of each stratum that come before all else.
AT_ONCE = 2
#: A stratum's margins are summed up in so many quantiles.
QUANTILES = 32
#: Scale that is anticipated where none is given, in medians of the margin's size.
REACH = 0.2
#: Examples that what neighbouring strata do not say about a change weighs as much as.
POOLED = 4.0
#: Examples that the scale anticipated at first weighs as much as.
ANTICIPATED = 2.0

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True)
class Strata:
    """A population in strata, each in random order.

    Attributes
    ----------
    order
        int64 array, shape (N,): examples, stratum after stratum, shuffled in each.
    stratum
        int64 array, shape (N,): the stratum of each place of `order`.
    place
        int64 array, shape (N,): 0, 1, ... in each stratum.
    sizes
        int64 array, shape (H,).
    """

    order: Array
    stratum: Array
    place: Array
    sizes: Array

    @staticmethod
    def of(groups: Sequence[Array], seed: int) -> Strata:
        """Return `groups` of example numbers, shuffled by `seed`."""
        sizes = np.array([len(group) for group in groups])
        stratum = np.repeat(np.arange(len(groups)), sizes)
        starts = np.cumsum(sizes) - sizes
        place = np.arange(sizes.sum()) - starts[stratum]
        draw = np.random.default_rng(seed)
        order = np.concatenate([draw.permutation(group) for group in groups])
        return Strata(order, stratum, place, sizes)

    @property
    def total(self) -> int:
        """Number of examples, N."""
        return len(self.order)

    def due(self, drawn: Array, rate: Array, count: int) -> tuple[Array, Array]:
        """Return the next `count` examples and their strata, each of shape (count,).

        Parameters
        ----------
        drawn
            Shape (H,): how many of each stratum have been run.
        rate
            Shape (H,), positive: planned share of each in the whole sample. The j-th example is due
            once the sample holds (j + 1/2) / rate, so strata that have had more than is planned now
            wait for the others.
        """
        left = np.flatnonzero(self.place >= drawn[self.stratum])
        when = (self.place[left] + 0.5) / rate[self.stratum[left]]
        when[self.place[left] < AT_ONCE] = 0.0
        chosen = left[np.argsort(when, kind="stable")[:count]]
        return self.order[chosen], self.stratum[chosen]


def next_plan(seen: int) -> int:
    """Return after how many images the plan is made anew: 64, 256, 1024, ..., beyond `seen`."""
    plan = FIRST_PLAN
    while plan <= seen:
        plan *= NEXT_PLAN
    return plan


def neyman(sizes: Array, deviation: Array) -> Array:
    """Return each stratum's planned share of the sample, shape (H,).

    Parameters
    ----------
    sizes, deviation
        Shape (H,): examples, and the standard deviation anticipated in each.
    """
    even = sizes / sizes.sum()
    weight = sizes * deviation
    if not weight.sum() > 0:
        return even
    return EVEN_SHARE * even + (1 - EVEN_SHARE) * weight / weight.sum()


def ladder(members: Array, rungs: int) -> list[Array]:
    """Cut `members` into at most `rungs` groups: sizes 1, 1, 2, 4, ... in proportion."""
    while rungs > 1 and len(members) < SMALLEST * 2 ** (rungs - 1):
        rungs -= 1
    edges = [round(len(members) / 2**k) for k in range(rungs - 1, 0, -1)]
    return [part for part in np.split(members, edges) if len(part)]


@dataclass(frozen=True, eq=False, slots=True)
class FlipDesign:
    """Strata by the reference's margin, smallest first, and what is needed to anticipate flips.

    Attributes
    ----------
    reference
        What answers are anticipated.
    strata
        Of each answer, right or wrong, the strata stand next to each other.
    sign
        Shape (H,): -1 where right answers are anticipated, +1 where wrong ones.
    size
        Shape (H, `QUANTILES`): quantiles of ``|margin|`` in each stratum.
    scale
        First guess of how far margins change, in logits, > 0.
    """

    reference: Reference
    strata: Strata
    sign: Array
    size: Array
    scale: float

    @staticmethod
    def of(reference: Reference, seed: int) -> FlipDesign:
        """Return the design for candidates related to `reference`; under 5 ms for 10,000."""
        size = np.abs(reference.margin)
        groups: list[Array] = []
        sign: list[float] = []
        for right, rungs in ((False, WRONG_STRATA), (True, RIGHT_STRATA)):
            members = np.flatnonzero(reference.right == right)
            parts = ladder(members[np.argsort(size[members], kind="stable")], rungs)
            groups += parts
            sign += [-1.0 if right else 1.0] * len(parts)
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        sizes = [size[group[(at * len(group)).astype(int)]] for group in groups]
        scale = reference.scale
        if scale is None:
            scale = REACH * float(np.median(size))
        return FlipDesign(
            reference,
            Strata.of(groups, seed),
            np.array(sign),
            np.array(sizes, dtype=np.float64),
            max(scale, 1e-6),
        )

    def expected(self, seen: Array, change: Array, square: Array) -> Array:
        """Return the share of flips to expect in each stratum, shape (H,).

        Parameters
        ----------
        seen, change, square
            Shape (H,): examples run in each stratum, and over them the sum of how far the margin
            moved towards a flip, and of its square.

        Notes
        -----
        The change of a margin is seen on every image, a flip on few. With the mean `a` and the
        standard deviation `s` of the changes in a stratum and its two neighbours, an answer of
        margin `m` is taken to flip with ``1/2 exp(-(|m| - a) / s)`` (one minus that where `a`
        exceeds `|m|`): the tail of a Laplace distribution, but 1.4 times as long.
        """
        pool = (square.sum() + ANTICIPATED * self.scale**2) / (seen.sum() + ANTICIPATED)
        near = self.sign[:, None] == self.sign[None, :]
        step = np.abs(np.subtract.outer(np.arange(len(seen)), np.arange(len(seen))))
        near = near & (step <= 1)
        weight = near @ seen + POOLED
        mean = near @ change / weight
        spread = np.sqrt(
            np.maximum((near @ square + POOLED * pool) / weight - mean**2, 1e-12 * pool)
        )
        beyond = (self.size - mean[:, None]) / spread[:, None]
        tail = 0.5 * np.exp(-np.abs(beyond))
        return np.where(beyond > 0, tail, 1 - tail).mean(1)


@dataclass(frozen=True, eq=False, slots=True)
class MeanDesign:
    """Strata by the reference's numbers, ends finest, for numbers rather than right or wrong.

    Attributes
    ----------
    known
        float64, shape (N,): the reference's number for each example; zeros if there is none.
    strata
        In ascending order of `known`; a single one if there is no reference.
    deviation
        Shape (H,): how much the candidate's numbers are anticipated to differ in each, up to a
        factor.
    doubt
        Variance of `known`; 0 if there is no reference.
    """

    known: Array
    strata: Strata
    deviation: Array
    doubt: float

    @staticmethod
    def of(known: Array | None, total: int, seed: int) -> MeanDesign:
        """Return the design for candidates of a model with the numbers `known` (N,), or None."""
        if known is None:
            return MeanDesign(np.zeros(total), Strata.of([np.arange(total)], seed), np.ones(1), 0.0)
        known = np.asarray(known, dtype=np.float64)
        order = np.argsort(known, kind="stable")
        half = total // 2
        low, high = ladder(order[:half], WRONG_STRATA), ladder(order[half:][::-1], RIGHT_STRATA)
        groups = [*low, *high[::-1]]
        # numbers far from the usual change most
        far = [np.abs(known[g] - known[order[half]]).mean() + known[g].std() for g in groups]
        return MeanDesign(known, Strata.of(groups, seed), np.array(far), float(known.var()))
