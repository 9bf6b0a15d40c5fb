import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.evaluation.intervals import stratified, wilson


def test_wilson_against_published_figures():
    # Newcombe (1998), Statistics in Medicine 17:857, table I: 81/263, 15/148, 0/20, 1/29
    for right, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        got = wilson(right, count)
        assert got == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_wilson_shrinks_with_the_rest_of_a_finite_population():
    low, high = wilson(50, 100)
    near_low, near_high = wilson(50, 100, population=400)
    assert near_high - 0.5 == pytest.approx((high - 0.5) * np.sqrt(3 / 4))
    assert 0.5 - near_low == pytest.approx((0.5 - low) * np.sqrt(3 / 4))
    assert wilson(50, 100, population=100) == (0.5, 0.5)


def test_stratified_value_is_the_expanded_change():
    # wrong: 1 of 10 seen of 100 now right; right: 2 of 20 seen of 400 now wrong
    value, low, high = stratified(
        np.array([1, 2]), np.array([10, 20]), np.array([100, 400]), np.array([False, True])
    )
    assert value == pytest.approx(400 + 100 * 0.1 - 400 * 0.1)
    assert low < value < high
    assert low == np.floor(low)
    assert high == np.ceil(high)


def test_no_observed_flip_is_not_certainty():
    sizes = np.array([500, 500, 300, 8700])
    known = np.array([False, False, True, True])
    value, low, high = stratified(np.zeros(4), np.array([20, 20, 30, 60]), sizes, known)
    assert value == 9000
    assert low < 9000 < high
    assert high - low < 1000


def test_all_seen_is_exact():
    sizes, known = np.array([5, 10]), np.array([False, True])
    value, low, high = stratified(np.array([2, 3]), sizes, sizes, known)
    assert value == low == high == 9


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 4))
def test_interval_holds_the_value_and_what_was_seen(seed, right, wrong):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 200, right + wrong)
    known = np.arange(right + wrong) >= wrong
    seen = rng.integers(0, sizes + 1)
    flips = rng.integers(0, seen + 1)
    value, low, high = stratified(flips, seen, sizes, known)
    seen_right = np.where(known, seen - flips, flips).sum()
    assert seen_right <= low <= value + 1e-9
    assert value - 1e-9 <= high <= seen_right + (sizes - seen).sum()
    assert low >= 0
    assert high <= sizes.sum()
