"""ShrinkBench's protocol: the share that stays, and curves read at equal multiply-adds."""

import pytest

from prunevis.reproduce.blalock2020 import at_equal_speedup, means, share_kept


def test_what_is_not_pruned_counts_as_size():
    # 1000 parameters, 900 prunable, 5 times smaller: 200 stay, 100 of them anyway
    assert share_kept(1000, 900, 5) == pytest.approx(100 / 900)
    assert share_kept(1000, 1000, 4) == pytest.approx(0.25)
    assert share_kept(1000, 900, 1) == 1
    # LeNet-5 without its classifier and biases: 500 + 25,000 + 400,000 of 431,080
    assert share_kept(431_080, 425_500, 32) * 425_500 == pytest.approx(431_080 / 32 - 5_580)


def test_a_ratio_that_what_stays_forbids_is_refused():
    with pytest.raises(ValueError, match="900 of 1,000 cannot make it 10× smaller"):
        share_kept(1000, 900, 10)


def _row(method, seed, compression, accuracy, speedup):
    return {
        "method": method,
        "seed": seed,
        "compression": compression,
        "accuracy": accuracy,
        "theoretical_speedup": speedup,
    }


def test_means_are_over_seeds():
    rows = [_row("a", 0, 2, 0.5, 2.0), _row("a", 1, 2, 0.7, 4.0), _row("b", 0, 2, 0.1, 9.0)]
    assert means(rows, "a", "accuracy") == {2: pytest.approx(0.6)}
    assert means(rows, "a", "theoretical_speedup") == {2: pytest.approx(3.0)}


def test_methods_are_compared_where_both_save_as_much():
    # a falls from 1 at 1× to 0 at 16×, a line over the logarithm; b stays, but goes to 4× alone
    rows = [_row("a", 0, 1, 1.0, 1.0), _row("a", 0, 2, 0.0, 16.0)]
    rows += [_row("b", 0, 1, 0.4, 1.0), _row("b", 0, 2, 0.4, 4.0)]
    # from 2× (0.75) to 4× (0.5): 0.625 on average
    assert at_equal_speedup(rows, "a", "b") == (pytest.approx(0.625), pytest.approx(0.4))
