"""Sweeps and one-shot pruning by a share of what a network costs, by multiples and patterns."""

import pytest

from prunevis.errors import SpecError
from prunevis.evaluation import prune, tradeoff


def test_positions_can_be_shares_of_multiply_adds(mlp, mlp_data):
    result = tradeoff(mlp, mlp_data, sparsities=[0.25, 0.5], of="macs")
    assert [point.sparsity for point in result.points] == [0.25, 0.5]
    for point in result.points:
        left = point.cost.effective_macs / point.cost.base_macs
        assert left <= 1 - point.sparsity
        assert point.achieved == 1 - left
    assert "at macs removed 25%" in repr(result)
    # by default as far as can be: 26 of 168 are left where all goes that can
    ends = tradeoff(mlp, mlp_data, of="macs", images=20).points
    assert [point.sparsity for point in ends] == [k / 20 for k in range(17)]
    with pytest.raises(SpecError, match="cannot be kept"):
        tradeoff(mlp, mlp_data, sparsities=[0.99], of="macs")
    rounded = tradeoff(
        mlp, mlp_data, criterion="l1", granularity="unit", multiple_of=2, min_units=3,
        sparsities=[0.9],
    )  # fmt: skip
    assert rounded.points[0].achieved == (4 + 2) / 14


def test_a_share_of_the_multiply_adds_is_kept(mlp, mlp_data):
    found = prune(
        mlp, mlp_data, criterion="l2", granularity="unit", keep=0.5, of="macs", multiple_of=2
    )
    assert found.cost_after.effective_macs <= 84
    assert found.model.fc1.out_features % 2 == found.model.fc2.out_features % 2 == 0
    pattern = prune(mlp, mlp_data, pattern="2:4", sparsity=0.5)
    kept = pattern.model.fc1.weight != 0
    assert (kept.reshape(-1, 4).sum(1) == 2).all()
