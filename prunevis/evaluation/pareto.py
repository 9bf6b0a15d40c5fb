"""Which points of a trade-off nobody beats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunevis.errors import DataError


def pareto_front(cost: Any, accuracy: Any) -> NDArray[np.int64]:
    """Return the points that no other beats in both: the Pareto front.

    A point is beaten by one that costs no more and is at least as accurate, and is better in one of
    the two (Pareto dominance). Points with NaN are left out.

    Parameters
    ----------
    cost
        Shape (points,); less is better: parameters, multiply-adds, seconds. For a figure of which
        more is better, such as a compression ratio, give its negative.
    accuracy
        Shape (points,); more is better.

    Returns
    -------
    NDArray
        int64: places in `cost`, ascending by cost, equal points in their order.

    Raises
    ------
    DataError
        If the two differ in length, or are not flat.

    Examples
    --------
    >>> pareto_front([1, 2, 3, 4], [0.5, 0.8, 0.7, 0.9]).tolist()
    [0, 1, 3]
    """
    costs, values = (np.asarray(part, dtype=np.float64) for part in (cost, accuracy))
    if costs.ndim != 1 or costs.shape != values.shape:
        raise DataError(
            "Every point of a front has a cost and an accuracy.",
            expected="two flat arrays of one length",
            got=f"shapes {costs.shape} and {values.shape}",
        )
    known = np.flatnonzero(~(np.isnan(costs) | np.isnan(values)))
    # by cost, among equals the most accurate first; the sort is stable
    order = known[np.lexsort((-values[known], costs[known]))]
    front: list[int] = []
    for place in order:
        # so far `front` ends in the most accurate of all that cost no more
        last = front[-1] if front else place
        twin = values[place] == values[last] and costs[place] == costs[last]
        if twin or values[place] > values[last]:
            front.append(int(place))
    return np.array(front, dtype=np.int64)
