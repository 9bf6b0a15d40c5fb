import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.evaluation.intervals import (
    MARGIN,
    net_flips,
    shrunken_variance,
    stratified_total,
    student,
    wilson,
)


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


def test_student_quantiles_against_tables():
    # 97.5 % quantiles of t with 4, 10, 30 and many degrees of freedom
    got = student(np.array([4.0, 10.0, 30.0, 1e9]))
    assert got == pytest.approx([2.776, 2.228, 2.042, 1.960], rel=0.01)


def test_value_is_the_expanded_net_change():
    # wrong: 1 of 10 seen of 100 now right; right: 2 of 20 seen of 400 now wrong
    value, low, high = net_flips(
        np.array([1, 2]),
        np.array([10, 20]),
        np.array([100, 400]),
        np.array([1.0, -1.0]),
        np.array([0.1, 0.1]),
    )
    assert value == pytest.approx(100 * 0.1 - 400 * 0.1)
    assert low < value < high
    assert low == np.floor(low)
    assert high == np.ceil(high)


def test_no_observed_flip_is_not_certainty():
    sizes, sign = np.array([500, 500, 300, 8700]), np.array([1.0, 1.0, -1.0, -1.0])
    seen = np.array([20, 20, 30, 60])
    few = net_flips(np.zeros(4), seen, sizes, sign, np.full(4, 1e-4))
    many = net_flips(np.zeros(4), seen, sizes, sign, np.full(4, 0.05))
    for value, low, high in (few, many):
        assert value == 0
        assert low < 0 < high
    assert few[2] - few[1] < many[2] - many[1] < 1200
    assert few[2] - few[1] >= 2


def test_all_seen_is_exact():
    sizes, sign = np.array([5, 10]), np.array([1.0, -1.0])
    value, low, high = net_flips(np.array([2, 3]), sizes, sizes, sign, np.array([0.3, 0.3]))
    assert value == low == high == -1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 4))
def test_interval_holds_the_value_whatever_is_seen(seed, right, wrong):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 200, right + wrong)
    sign = np.where(np.arange(right + wrong) >= wrong, -1.0, 1.0)
    seen = rng.integers(0, sizes + 1)
    flips = rng.integers(0, seen + 1)
    value, low, high = net_flips(flips, seen, sizes, sign, rng.random(right + wrong))
    assert np.isfinite([value, low, high]).all()
    assert low <= value <= high


def test_stratified_total_by_hand():
    # 1, 3 of 10 and 5, 5 of 20: means 2 and 5; sums of squares 2 and 0 on one degree each, and the
    # overall variance, 2 on 2 degrees, once more: 3 on 3 degrees nearby
    sums, squares = np.array([4.0, 10.0]), np.array([10.0, 50.0])
    seen, sizes = np.array([2, 2]), np.array([10, 20])
    variance, freedom = shrunken_variance(sums, squares, seen)
    assert variance == pytest.approx([(2 + 2 * 1) / 3, (0 + 2 * 1) / 3])
    assert freedom.tolist() == [3.0, 3.0]
    # 1 + 27 and 125 + 125: no skewness, so the interval is symmetric
    value, low, high = stratified_total(sums, squares, np.array([28.0, 250.0]), seen, sizes)
    assert value == pytest.approx(10 * 2 + 20 * 5)
    parts = np.array([10 * 8 * (4 / 3) / 2, 20 * 18 * (2 / 3) / 2])
    df = parts.sum() ** 2 / (parts**2 / 3).sum()
    half = MARGIN * student(df) * np.sqrt(parts.sum())
    assert (low, high) == (pytest.approx(value - half), pytest.approx(value + half))


def test_equal_numbers_are_doubted():
    seen, sizes = np.array([4, 4]), np.array([10, 20])
    value, low, high = stratified_total(*np.zeros((3, 2)), seen, sizes, 9.0)
    assert low < value < high


def test_the_interval_of_a_mean_moves_towards_the_long_tail():
    # 0 nine times and 10 once, of 1,000
    value, low, high = stratified_total(*([[10.0], [100.0], [1000.0]]), [10], [1000])
    assert high - value > value - low > 0


def test_stratified_total_of_all_is_exact():
    sums, squares, cubes = np.array([[4.0, 10.0], [10.0, 50.0], [28.0, 250.0]])
    found = stratified_total(sums, squares, cubes, np.array([2, 2]), np.array([2, 2]))
    assert found == (14.0, 14.0, 14.0)
