"""Patterns of zeros, by hand and as properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyResidual, seeded
from torch import nn

from prunevis.errors import SpecError
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank
from prunevis.pruning.patterns import block_scores, blocks_of, highest_of_each, pattern_of

quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
GRAPH = trace(seeded(TinyResidual), torch.zeros(1, 1, 6, 6))


def ranked(weight, **spec):
    """Rank one layer of a given weight, before an output layer."""
    weight = torch.as_tensor(weight, dtype=torch.float32)
    model = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0]), nn.Linear(len(weight), 2))
    with torch.no_grad():
        model[0].weight.copy_(weight)
    graph = trace(model, torch.zeros(1, weight.shape[1]))
    return rank(model, PruningSpec.make(**spec), graph=graph)


def test_names_of_patterns():
    two = pattern_of("2:4")
    assert (two.kind, two.first, two.second, two.most) == ("n:m", 2, 4, 0.5)
    block = pattern_of("1x8")
    assert (block.kind, block.first, block.second, block.most) == ("block", 1, 8, 1.0)
    assert pattern_of("block") == pattern_of("4x4") == pattern_of("4 × 4")
    assert pattern_of(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4:2", r"keeps N of every M.*1 ≤ N < M ≤ 64.*Got: 4:2"),
        ("0:4", "keeps N of every M"),
        ("2:400", "keeps N of every M"),
        ("1x1", "A block has rows and columns"),
        ("99x1", "A block has rows and columns"),
        ("two of four", "There is no such pattern"),
        (24, "There is no such pattern"),
        ("2:4" * 99, r"no such pattern.*Got: '2:42:4"),
    ],
)
def test_names_that_are_none(text, message):
    with pytest.raises(SpecError, match=message):
        PruningSpec.make(pattern=text)


def test_patterns_are_of_weights():
    with pytest.raises(SpecError, match=r"pattern is one of weights.*granularity=.weight."):
        PruningSpec.make("l1", "unit", pattern="2:4")


def test_two_of_four_by_hand():
    # two groups of four, and a rest of two that keeps both
    ranking = ranked([[1.0, 4, 2, 3, 8, 5, 7, 6, 0.1, 0.2]], pattern="2:4")
    plan = ranking.plan(0.999)
    assert plan.masks["0"].int().tolist() == [[0, 1, 0, 1, 1, 0, 1, 0, 1, 1]]
    assert plan.removed == {"0": 4}
    assert plan.achieved_sparsity == 0.4
    # before that end the least important of those that may go have gone
    assert ranking.plan(0.3).masks["0"].int().tolist() == [[0, 1, 0, 1, 1, 0, 1, 1, 1, 1]]
    assert ranking.plan(0.2).threshold == 2.0


def test_equals_in_a_group_go_from_the_front():
    plan = ranked(torch.ones(2, 4), pattern="2:4").plan(0.5)
    assert plan.masks["0"].int().tolist() == [[0, 0, 1, 1]] * 2


def test_zeros_need_not_stay_for_a_pattern():
    ranking = ranked([[0.0, 0, 0, 3, 1, 2, 3, 4], [0.0] * 8], pattern="2:4")
    assert ranking.already == {"0": 11}
    assert ranking.plan(0.0).removed == {"0": 11}
    assert ranking.plan(0.999).masks["0"].int().tolist() == [[0, 0, 0, 1, 0, 0, 1, 1], [0] * 8]
    # a layer of zeros keeps one, as ever
    assert ranked(torch.zeros(1, 8), pattern="2:4").plan(0.9).removed == {"0": 7}


def test_blocks_by_hand():
    weight = [[1.0, 1, 9, 9, 5], [1, 1, 9, 9, 5], [2, 2, 0, 0, 1]]
    ranking = ranked(weight, pattern="2x2")
    # blocks of 2 × 2, at the border 2 × 1, 1 × 2 and 1 × 1; means 1, 9, 5, 2, 0, 1
    assert ranking.importance["0"].tolist() == [
        [1, 1, 9, 9, 5], [1, 1, 9, 9, 5], [2, 2, ranking.importance["0"].min(), *[
            ranking.importance["0"].min(), 1]],
    ]  # fmt: skip
    assert ranking.already == {"0": 2}
    # all of 15: 2 are zero, then 4 of mean 1, 1 of mean 1, 2, 2, and the last 4 stay
    assert [ranking.plan(k / 15).removed["0"] for k in range(15)] == [
        2, 2, 2, 2, 2, 6, 6, 7, 7, 9, 9, 11, 11, 11, 11,
    ]  # fmt: skip
    assert ranking.plan(6 / 15).masks["0"].int().tolist() == [
        [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 0, 0, 1],
    ]  # fmt: skip
    assert ranking.plan(6 / 15).threshold == 1.0


@quick
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 19)),
    st.integers(0, 99),
    st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 5)]),
)
def test_the_highest_of_each_are_those_that_a_sort_finds(shape, seed, how):
    kept, every = how
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(2).round()
    found = highest_of_each(scores, kept, every)
    for row, mask in zip(scores, found, strict=True):
        for part, here in zip(row.split(every), mask.split(every), strict=True):
            best = part.sort(stable=True).indices[-kept:]
            assert here.nonzero().flatten().tolist() == sorted(best.tolist())


@quick
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_every_weight_is_in_one_block(shape, rows, columns):
    of = blocks_of(shape, rows, columns)
    matrix = of.reshape(shape[0], -1)
    assert of.unique().tolist() == list(range(int(of.max()) + 1))
    for k in range(int(of.max()) + 1):
        row, column = (matrix == k).nonzero(as_tuple=True)
        assert int(row.max() - row.min()) < rows
        assert int(column.max() - column.min()) < columns
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(rows))
    means = [float(scores[of == k].mean()) for k in range(int(of.max()) + 1)]
    assert block_scores(scores, of).tolist() == pytest.approx(means, abs=1e-6)


@quick
@given(
    st.sampled_from(["2:4", "1:4", "3:8", "2x2", "1x4", "3x5"]),
    st.sampled_from(["layer", "global"]),
    st.sampled_from(["magnitude", "random"]),
    st.lists(st.floats(0, 0.999), min_size=2, max_size=5),
    st.integers(0, 999),
)
def test_patterns_with_any_criterion(pattern, scope, criterion, sparsities, seed):
    model = seeded(TinyResidual, seed)
    with torch.no_grad():
        model.conv1.weight[seed % 5, :3] = 0
    spec = PruningSpec.make(criterion, scope=scope, seed=seed, pattern=pattern)
    ranking = rank(model, spec, graph=GRAPH)
    kind = pattern_of(pattern)
    before = None
    for sparsity in [*sorted(sparsities), 0.9999]:
        plan = ranking.plan(sparsity)
        for name, mask in plan.masks.items():
            assert int((~mask).sum()) == plan.removed[name] < mask.numel()
            if before is not None:
                assert not bool((mask & ~before[name]).any())
            if kind.kind == "block":
                of = blocks_of(tuple(mask.shape), kind.first, kind.second)
                for k in of.unique():
                    assert len(mask[of == k].unique()) == 1
        before = plan.masks
    if kind.kind == "n:m":
        for name, mask in before.items():
            left = mask & (model.get_submodule(name).weight != 0)
            for row in left.reshape(len(left), -1):
                for part in row.split(kind.second):
                    assert int(part.sum()) <= kind.first
