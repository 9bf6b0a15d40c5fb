"""95 % intervals: of a plain sample's share, and of totals sampled stratum by stratum.

All of them are for finite populations sampled without replacement, and shrink to nothing as the
last example is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: 97.5 % quantile of the standard normal distribution.
Z = 1.959963984540054
#: Half-widths are this much longer than the formulas say, which know neither that the images were
#: chosen by what had been seen, nor how far from normal a small sample is.
MARGIN = 1.12
#: Examples that the anticipated flip rate of a stratum weighs as much as.
PRIOR = 1.0
#: Flips added where the most unseen ones are anticipated.
PSEUDO_FLIP = 0.5
#: How far the interval of a skewed estimate is moved, per unit of skewness, in standard deviations.
SKEW_SHIFT = 0.2
#: Skewness beyond this is cut.
LARGEST_SKEW = 1.5
#: Most standard errors by which the interval of a mean is moved towards the long tail.
LARGEST_SHIFT = 0.8
#: Degrees of freedom that pooling over strata adds to each stratum's variance.
POOLED = 2.0

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


def paired(gained: int, lost: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of two shares over the same examples.

    Parameters
    ----------
    gained, lost
        Examples that only the second, and only the first of both got right.
    count
        Of all examples, >= 1.

    Returns
    -------
    low, high
        Around ``(gained - lost) / count``, inside [-1, 1]; never of zero width.

    Notes
    -----
    Agresti and Min (2005), "Simple improved confidence intervals for comparing matched
    proportions": Wald's interval with half an example added to each of the four cells.
    """
    more, less, total = gained + 0.5, lost + 0.5, count + 2
    middle = (more - less) / total
    half = Z * float(np.sqrt(max(0.0, more + less - (more - less) ** 2 / total))) / total
    exact = (gained - lost) / count
    return min(exact, max(-1.0, middle - half)), max(exact, min(1.0, middle + half))


def mcnemar(gained: int, lost: int) -> float:
    """Return how likely so lopsided a change is if it were only chance, two-sided, in (0, 1].

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions or
    percentages", with the exact binomial tail: each example that changed sides is a fair coin.
    """
    changed, fewer = gained + lost, min(gained, lost)
    # in logarithms: the coefficients of ten thousand coins have thousands of digits
    k = np.arange(fewer + 1)
    steps = np.log(np.maximum(changed - k + 1.0, 1.0)) - np.log(np.maximum(k, 1.0))
    steps[0] = 0.0
    logs = np.cumsum(steps) - changed * np.log(2.0)
    top = float(logs.max())
    return float(min(1.0, 2 * np.exp(top) * np.exp(logs - top).sum()))


def student(freedom: Array) -> Array:
    """Return the 97.5 % quantile of Student's t with `freedom` >= 2.5 degrees of freedom.

    Fisher's expansion around the normal quantile (Abramowitz and Stegun 26.7.5), three terms:
    within 1 % from 4 degrees on.
    """
    df = np.maximum(freedom, 2.5)
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / df + second / df**2 + third / df**3


def net_flips(
    flips: Array, seen: Array, sizes: Array, sign: Array, expected: Array
) -> tuple[Array, Array, Array]:
    """Estimate how many right answers a changed model gains, from a sample of each stratum.

    Parameters
    ----------
    flips
        Shape (..., H): answers among those seen whose correctness is not the anticipated one.
    seen
        Shape (..., H) or (H,): examples drawn from each stratum.
    sizes
        Shape (H,): examples in each stratum, >= 1.
    sign
        Shape (H,): -1 where right answers were anticipated (a flip loses one), +1 where wrong.
    expected
        Shape (..., H): share of flips anticipated in each stratum, in [0, 1].

    Returns
    -------
    value, low, high
        Each of shape (...): the net gain in examples, and its 95 % interval. Both ends are whole
        numbers, as the truth is.

    Notes
    -----
    The value is the usual expansion, ``sum of sign × N_h flips_h / n_h`` (Cochran 1977, *Sampling
    Techniques*, 5.3). The interval must not take a stratum without an observed flip for one that
    has none. So the flips among the unseen are predicted as beta-binomial: `flips` of `seen`, on
    top of a prior of `PRIOR` examples at the anticipated rate, and half a flip spread where unseen
    flips are anticipated. Its mean, variance and skewness are known in closed form; strata add up.
    The variance comes from few examples where few carry most of it, hence Student's t with Welch
    and Satterthwaite's degrees of freedom; flips are rare, hence the shift towards the long tail
    (the first term of Cornish and Fisher's expansion, damped).
    """
    flips, sizes = np.asarray(flips, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    seen = np.broadcast_to(np.asarray(seen, dtype=np.float64), flips.shape)
    unseen = sizes - seen
    value = (sign * sizes * flips / np.maximum(seen, 1)).sum(-1)
    anticipated = unseen * expected
    spread = anticipated / np.maximum(anticipated.sum(-1, keepdims=True), 1e-300)
    hits = flips + PRIOR * expected + PSEUDO_FLIP * spread
    weight = seen + PRIOR + PSEUDO_FLIP * spread
    rate = hits / weight
    mean = unseen * rate
    variance = mean * (1 - rate) * (weight + unseen) / (weight + 1)
    total = variance.sum(-1)
    # as of a gamma variable with that mean and variance, the limit for rare flips
    third = (sign * 2 * variance**2 / np.maximum(mean, 1e-12) * (1 - 2 * rate)).sum(-1)
    deviation = np.sqrt(total)
    skewness = np.clip(third / np.maximum(deviation, 1e-9) ** 3, -LARGEST_SKEW, LARGEST_SKEW)
    freedom = total**2 / np.maximum((variance**2 / np.maximum(seen + PRIOR - 1, 1)).sum(-1), 1e-300)
    middle = (sign * (flips + mean)).sum(-1) + SKEW_SHIFT * skewness * deviation
    half = MARGIN * student(freedom) * deviation
    low, high = np.floor(middle - half), np.ceil(middle + half)
    return value, np.minimum(low, value), np.maximum(high, value)


def stratified_total(
    sums: Array, squares: Array, cubes: Array, seen: Array, sizes: Array, doubt: float = 0.0
) -> tuple[Array, Array, Array]:
    """Estimate the total of a number over a population, from a sample of each stratum.

    Parameters
    ----------
    sums, squares, cubes
        Shape (..., H): sums of the numbers seen in each stratum, of their squares and cubes.
    seen
        Shape (..., H) or (H,): how many were seen, at least 1 in each.
    sizes
        Shape (H,): how many there are.
    doubt
        Square of the deviation of one imagined example, so that equal numbers are never taken for
        a proof that all are equal; >= 0.

    Returns
    -------
    value, low, high
        Each of shape (...): the total, and its 95 % interval.

    Notes
    -----
    Cochran (1977), *Sampling Techniques*, 5.3 and 5.4: expansion stratum by stratum, finite
    population correction, Student's t with Satterthwaite's degrees of freedom. Each variance is
    drawn, with the weight of `POOLED` examples, to that of its neighbours, since a stratum of which
    two equal numbers were seen is not known to be constant. A loss has a long tail: a sample that
    missed it has too low a mean and too small a variance at once. Hall (1992), "On the removal of
    skewness by transformation": both ends move by ``(1 + 2 z^2) / 6`` times the estimate's
    skewness, in standard errors; here at most by `LARGEST_SHIFT`. The third moment of a sample
    without replacement carries ``(1 - f) (1 - 2 f)`` with `f` the share that was seen.
    """
    sums, squares = np.asarray(sums, dtype=np.float64), np.asarray(squares, dtype=np.float64)
    seen = np.broadcast_to(np.asarray(seen, dtype=np.float64), sums.shape)
    sizes = np.asarray(sizes, dtype=np.float64)
    variance, freedom = shrunken_variance(sums, squares, seen, doubt)
    parts = sizes * (sizes - seen) * variance / seen
    total = parts.sum(-1)
    df = total**2 / np.maximum((parts**2 / freedom).sum(-1), 1e-300)
    deviation = np.sqrt(total)
    mean = sums / seen
    third = (cubes - 3 * mean * squares + 2 * mean**2 * sums) / seen
    third = third * (1 - seen / sizes) * (1 - 2 * seen / sizes)
    skewness = (sizes**3 * third / seen**2).sum(-1) / np.maximum(deviation**3, 1e-300)
    shift = np.clip((1 + 2 * Z * Z) / 6 * skewness, -LARGEST_SHIFT, LARGEST_SHIFT) * deviation
    value, half = (sizes * mean).sum(-1), MARGIN * student(df) * deviation
    return value, value + shift - half, value + shift + half


def shrunken_variance(
    sums: Array, squares: Array, seen: Array, doubt: float = 0.0
) -> tuple[Array, Array]:
    """Return each stratum's variance, drawn to its neighbours', and its degrees of freedom.

    Parameters as for `stratified_total`; both results of shape (..., H).
    """
    inside = np.maximum(squares - sums**2 / np.maximum(seen, 1), 0.0)
    degrees = np.maximum(seen - 1, 0.0)
    overall = inside.sum(-1, keepdims=True) / np.maximum(degrees.sum(-1, keepdims=True), 1.0)
    least = doubt / np.maximum(degrees.sum(-1, keepdims=True), 1.0)
    nearby = (with_neighbours(inside) + overall) / (with_neighbours(degrees) + 1) + least
    freedom = degrees + POOLED
    return (inside + POOLED * nearby) / freedom, freedom


def with_neighbours(values: Array) -> Array:
    """Return for each stratum the sum over itself and those next to it, shape (..., H)."""
    found = values.copy()
    found[..., 1:] += values[..., :-1]
    found[..., :-1] += values[..., 1:]
    return found
