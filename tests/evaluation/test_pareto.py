from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis import pareto_front
from prunevis.errors import DataError


@pytest.mark.parametrize(
    ("cost", "accuracy", "front"),
    [
        ([1, 2, 3, 4], [0.5, 0.8, 0.7, 0.9], [0, 1, 3]),
        ([4, 3, 2, 1], [0.9, 0.7, 0.8, 0.5], [3, 2, 0]),
        ([2, 2, 2], [0.1, 0.9, 0.5], [1]),  # at one cost only the best
        ([1, 2, 3], [0.9, 0.9, 0.8], [0]),  # as accurate, but dearer
        ([1, 1, 2], [0.9, 0.9, 0.9], [0, 1]),  # twins do not beat each other
        ([1, 2, math.nan], [math.nan, 0.5, 0.9], [1]),
        ([], [], []),
    ],
)
def test_by_hand(cost, accuracy, front):
    assert pareto_front(cost, accuracy).tolist() == front


# few values, so that ties are common
grid = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@given(st.lists(st.tuples(grid, grid), max_size=30))
def test_none_on_it_is_beaten_and_each_off_it_is_by_one_on_it(points):
    cost, accuracy = ([p[k] for p in points] for k in (0, 1))
    front = pareto_front(cost, accuracy).tolist()

    def beats(a: int, b: int) -> bool:
        no_worse = cost[a] <= cost[b] and accuracy[a] >= accuracy[b]
        return no_worse and (cost[a] < cost[b] or accuracy[a] > accuracy[b])

    for i in range(len(points)):
        beaten = any(beats(j, i) for j in range(len(points)))
        assert (i in front) is not beaten
        assert i in front or any(beats(j, i) for j in front)


@given(st.lists(st.tuples(grid, grid), min_size=1, max_size=30), st.randoms())
def test_order_does_not_matter(points, random):
    shuffled = list(points)
    random.shuffle(shuffled)
    fronts = [
        np.array(each)[pareto_front([p[0] for p in each], [p[1] for p in each])].tolist()
        for each in (points, shuffled)
    ]
    assert fronts[0] == fronts[1]
    assert fronts[0] == sorted(fronts[0])


@pytest.mark.parametrize(("cost", "accuracy"), [([1, 2], [0.5]), ([[1]], [[0.5]])])
def test_lengths_that_differ(cost, accuracy):
    with pytest.raises(DataError, match="a cost and an accuracy"):
        pareto_front(cost, accuracy)
