"""Spearman's rank correlation, with ties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the place of each value, from 1; equal values share the mean of their places.

    Examples
    --------
    >>> ranks(np.array([10.0, 30.0, 10.0, 20.0])).tolist()
    [1.5, 4.0, 1.5, 3.0]
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place.reshape(-1)]


def spearman(some: Any, others: Any) -> float:
    """Return Spearman's ρ, in [-1, 1]: the correlation of ranks.

    ``1 − 6 Σ d² / (N (N² − 1))`` where no values are equal (Molchanov et al. 2016, appendix); with
    ties the correlation of average ranks, as in `scipy.stats.spearmanr`.

    Parameters
    ----------
    some, others
        Finite numbers, shape (N,).

    Returns
    -------
    float
        NaN for fewer than two numbers, or where all of one side are equal: then nothing is ranked.
    """
    a = ranks(np.asarray(some, dtype=np.float64).reshape(-1))
    b = ranks(np.asarray(others, dtype=np.float64).reshape(-1))
    if len(a) < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(float(a @ b) / scale, -1.0, 1.0)) if scale > 0 else math.nan
