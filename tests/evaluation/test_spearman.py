import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from prunevis.evaluation.spearman import ranks, spearman


def test_by_hand():
    # ranks 1 2 3 4 against 2 1 4 3: d² = 1 + 1 + 1 + 1, 1 − 6 · 4 / (4 · 15)
    assert spearman([1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    assert spearman([1, 2, 3], [9, 8, 7]) == -1.0
    assert spearman([0.5, 0.1], [7, 3]) == 1.0
    assert ranks(np.array([2, 2, 1])).tolist() == [2.5, 2.5, 1.0]


def test_ties_by_hand():
    # ranks 1.5 1.5 3 against 1 2 3: centred −.5 −.5 1 and −1 0 1
    assert spearman([5, 5, 6], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(1.5 * 2))


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [2]), ([3, 3, 3], [1, 2, 3])])
def test_nothing_to_rank(a, b):
    assert math.isnan(spearman(a, b))
    assert math.isnan(spearman(b, a))


@given(st.lists(st.tuples(st.integers(-4, 4), st.floats(-1e6, 1e6)), min_size=2, max_size=60))
def test_same_as_scipy(pairs):
    a, b = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    assert ranks(a).tolist() == rankdata(a).tolist()
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(spearman(a, b))
    else:
        assert spearman(a, b) == pytest.approx(float(spearmanr(a, b).statistic), abs=1e-9)
        assert spearman(a, b) == pytest.approx(spearman(b, a))
        assert -1 <= spearman(a, b) <= 1
