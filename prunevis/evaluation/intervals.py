"""95 % intervals for shares: of a simple sample, and of a sample drawn stratum by stratum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: 97.5 % quantile of the standard normal distribution.
Z = 1.959963984540054
#: Examples that the prior of a stratum's flip rate weighs as much as.
SHRINK = 2.0
#: Flips added to the stratum of smallest margin that is not exhausted.
PSEUDO_FLIP = 0.25

Array = NDArray[Any]


def wilson(right: int, count: int, *, population: int | None = None) -> tuple[float, float]:
    """Return the 95 % score interval of a share, inside [0, 1].

    Parameters
    ----------
    right, count
        Successes among `count` examples, ``count >= 1``.
    population
        Size of the finite population that the sample was drawn from without replacement; both
        arms shrink by ``sqrt(1 - count / population)``. None: infinite.

    Notes
    -----
    Wilson (1927), "Probable inference, the law of succession, and statistical inference". Never of
    zero width, unlike the textbook interval at 0 or `count` successes.
    """
    share = right / count
    middle = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = (Z / (1 + Z * Z / count)) * np.sqrt(
        share * (1 - share) / count + Z * Z / (4 * count * count)
    )
    shrink = 1.0 if population is None else np.sqrt(max(0.0, 1 - count / population))
    low = share - shrink * (share - (middle - half))
    high = share + shrink * (middle + half - share)
    # max/min against the share itself: rounding must not put it outside of its own interval
    return float(min(share, max(0.0, low))), float(max(share, min(1.0, high)))


def stratified(
    flips: Array, seen: Array, sizes: Array, known_right: Array
) -> tuple[Array, Array, Array]:
    """Estimate how many answers a changed model gets right, from a sample of each stratum.

    Within a stratum the reference model's answers are either all right or all wrong, and what is
    counted are *flips*: answers whose correctness differs from the reference's. The estimate is
    the reference's known count plus the expanded flips, ``± N_h × flips_h / n_h``.

    Parameters
    ----------
    flips
        Shape (..., H): flips among the `seen` examples of each stratum.
    seen, sizes
        Shape (H,): examples drawn from each stratum, of how many; one that none was drawn from
        counts as unchanged in the value and as unknown in the width.
    known_right
        bool, shape (H,). Strata of one kind stand next to each other, smallest margin first.

    Returns
    -------
    value, low, high
        Each of shape (...): expected number of right answers, and a 95 % interval of it.

    Notes
    -----
    The variance of a stratified sample is the sum over strata of
    ``N_h^2 (1 - n_h / N_h) q_h (1 - q_h) / (n_h - 1)`` (Cochran 1977, *Sampling Techniques*, 5.3).
    With the observed rate as `q_h` a stratum without a flip would count as certain, though it only
    is *unlikely* to flip. So `q_h` is drawn, with the weight of `SHRINK` examples, towards the rate
    in the stratum and its neighbour of smaller margin, where flips are likelier (the width errs on
    the wide side), and of the strata not yet exhausted the one of smallest margin gets a quarter of
    a flip on top, the next a sixteenth, and so on. The interval is centred at the shrunken rates
    and rounded outwards to whole examples. Simulated on LeNet-300-100 and LeNet-5, both
    granularities, sparsities from 5 to 95 %, it covers in at least 93 % of cases at every stage
    from 128 images on; the plain formula in as little as 5 % (two flips in 10,000 images).
    """
    flips = np.asarray(flips, dtype=np.float64)
    seen, sizes = np.asarray(seen, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    sign = np.where(known_right, -1.0, 1.0)
    drawn = np.maximum(seen, 1)
    rate = flips / drawn
    open_share = 1 - seen / sizes
    prior = np.empty_like(rate)
    extra = np.zeros_like(seen)
    for kind in (False, True):
        members = np.flatnonzero(np.asarray(known_right) == kind)
        weight = PSEUDO_FLIP
        for place, h in enumerate(members):
            near = members[max(0, place - 1) : place + 1]
            prior[..., h] = (flips[..., near].sum(-1) + 0.5) / (drawn[near].sum() + 1)
            if open_share[h] > 0:
                extra[h] = weight
                weight /= 4
    shrunk = (flips + SHRINK * prior + extra) / (drawn + SHRINK + 2 * extra)
    freedom = np.maximum(drawn - 1, 1)
    variance = (sizes**2 * open_share * shrunk * (1 - shrunk) / freedom).sum(-1)
    base = sizes[np.asarray(known_right)].sum()
    value = base + (sign * sizes * rate).sum(-1)
    middle = value + (sign * sizes * open_share * (shrunk - rate)).sum(-1)
    half = Z * np.sqrt(variance)
    # What was seen is certain: at least the right answers seen, at most those plus all unseen.
    right_seen = np.where(known_right, seen - flips, flips).sum(-1)
    unseen = (sizes - seen).sum()
    # The truth is a whole number; near the end, where few flips are left, that matters.
    low = np.clip(np.floor(middle - half), right_seen, right_seen + unseen)
    high = np.clip(np.ceil(middle + half), right_seen, right_seen + unseen)
    return value, np.minimum(low, value), np.maximum(high, value)
