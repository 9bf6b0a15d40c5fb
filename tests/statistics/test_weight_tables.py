import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.layers import ChannelGroup, LayerInfo, Member, ModelGraph
from prunevis.statistics import (
    count_within,
    cut_table,
    first_position,
    largest_gone,
    position_table,
    summarize_weights,
    unit_axis,
    unit_cut_table,
    unit_rows,
    weight_histogram,
)

weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=4, max_side=6, min_side=0),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
).map(torch.from_numpy)


def test_histogram_by_hand():
    found = weight_histogram(torch.tensor([[-2.0, -1.0, -0.5], [0.0, 0.5, 2.0]]), bins=4)
    np.testing.assert_array_equal(found.edges, [-2.0, -1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(found.counts, [1, 2, 2, 1])  # -1 opens a bin, 2 closes the last
    assert (found.bins, found.total) == (4, 6)


@pytest.mark.parametrize(
    ("weight", "limit", "where"),
    [
        (torch.zeros(3, 2), 1.0, {4: 6}),
        (torch.empty(0, 4), 1.0, {}),
        (torch.full((5,), 0.25), 0.25, {7: 5}),
        (torch.full((5,), -0.25), 0.25, {0: 5}),
        (torch.tensor([1e-45, 0.0]), 1e-45, {4: 1, 7: 1}),
    ],
    ids=["zeros", "empty", "constant", "negative constant", "denormal"],
)
def test_histogram_of_degenerate_weights(weight, limit, where):
    found = weight_histogram(weight, bins=8)
    assert found.edges[-1] == pytest.approx(limit, rel=0.5)
    assert {i: int(n) for i, n in enumerate(found.counts) if n} == where


@settings(deadline=None)
@given(weights, st.integers(1, 90))
def test_histogram_counts_every_weight_once_and_is_symmetric(weight, bins):
    found = weight_histogram(weight, bins)
    assert found.total == weight.numel()
    assert found.counts.shape == (bins,)
    np.testing.assert_array_equal(found.edges, -found.edges[::-1])
    assert (np.diff(found.edges) > 0).all()


@settings(deadline=None)
@given(weights, st.floats(0.125, 8))
def test_histogram_of_scaled_weights(weight, factor):
    here = weight_histogram(weight, 16)
    scaled = weight_histogram(weight.double() * 4.0, 16)
    np.testing.assert_array_equal(here.counts, scaled.counts)
    np.testing.assert_allclose(
        weight_histogram(weight.double() * factor).edges[-1],
        here.edges[-1] * factor if weight.abs().sum() else 1.0,
    )


def test_histogram_agrees_with_numpy():
    weight = torch.randn(64, 50, generator=torch.Generator().manual_seed(0))
    found = weight_histogram(weight)
    expected, _ = np.histogram(weight.double().numpy(), bins=found.edges)
    np.testing.assert_array_equal(found.counts, expected)


def test_histogram_refuses_what_it_cannot_draw():
    with pytest.raises(NonFiniteError, match=r"weights are NaN or infinite\. Got: 2 of 3"):
        weight_histogram(torch.tensor([1.0, float("nan"), float("inf")]))
    with pytest.raises(SpecError, match="at least one bin"):
        weight_histogram(torch.ones(2), bins=0)


def test_summary_by_hand():
    found = summarize_weights(torch.tensor([[1.0, -1.0], [0.0, 4.0]]))
    assert (found.count, found.zeros, found.minimum, found.maximum) == (4, 1, -1.0, 4.0)
    assert found.mean == 1.0
    assert found.std == pytest.approx(np.sqrt(3.5))
    assert summarize_weights(torch.empty(0)).count == 0


def test_cut_table_by_hand():
    weight = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    ranks = torch.tensor([2, 0, 1, 3])
    histogram = weight_histogram(weight, bins=4)  # one weight a bin
    table = cut_table(weight, ranks, [0, 1, 2, 3], histogram)
    assert table.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]]
    assert cut_table(weight, ranks, [3, 0], histogram).tolist() == [[1, 1, 1, 0], [0] * 4]
    assert cut_table(weight, ranks, [], histogram).shape == (0, 4)


@settings(max_examples=50, deadline=None)
@given(weights, st.lists(st.integers(0, 1300), max_size=12), st.integers(0, 2**31))
def test_cut_table_is_the_histogram_of_what_goes(weight, cuts, seed):
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.randperm(weight.numel(), generator=generator).reshape(weight.shape)
    histogram = weight_histogram(weight, 10)
    cuts = [*cuts, weight.numel()]
    table = cut_table(weight, ranks, cuts, histogram)
    np.testing.assert_array_equal(table[-1], histogram.counts)  # at the last cut everything goes
    np.testing.assert_array_equal(table.sum(1), np.minimum(cuts, weight.numel()))
    assert (table <= histogram.counts).all()
    for cut, row in zip(cuts, table, strict=True):
        rest = cut_table(weight[ranks >= cut], ranks[ranks >= cut], [2**40], histogram)
        np.testing.assert_array_equal(row + rest[0], histogram.counts)


def test_cut_table_refuses_ranks_of_another_weight():
    weight = torch.ones(2, 3)
    histogram = weight_histogram(weight)
    with pytest.raises(SpecError, match=r"Expected: \(2, 3\). Got: \(3, 2\)"):
        cut_table(weight, torch.zeros(3, 2, dtype=torch.int64), [1], histogram)
    with pytest.raises(SpecError, match=r"one rank for each unit on the axis.*axis 1"):
        unit_cut_table(weight, torch.arange(2), [1], histogram, axis=1)


def test_unit_cut_table_takes_whole_rows_or_columns():
    weight = torch.tensor([[-2.0, 0.5], [-0.5, 2.0]])
    histogram = weight_histogram(weight, bins=4)
    rows = unit_cut_table(weight, torch.tensor([1, 0]), [0, 1, 2], histogram)
    assert rows.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    columns = unit_cut_table(weight, torch.tensor([1, 0]), [1], histogram, axis=1)
    assert columns.tolist() == [[0, 0, 1, 1]]


def test_cut_table_is_fast_enough_for_a_slider():
    weight = torch.randn(500, 800)
    ranks = torch.randperm(400_000).reshape(500, 800)
    cuts, histogram = np.linspace(0, 400_000, 101).astype(int), weight_histogram(weight)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        cut_table(weight, ranks, cuts, histogram)
        times.append(time.perf_counter() - start)
    # 19 ms on an idle core; the bound leaves room for a busy machine, not for a Python loop (5 s)
    assert min(times) < 0.15


def _layer(kind, weight, units, group=None):
    return LayerInfo(
        "a", kind, "a.weight", None, tuple(weight.shape), units, 1, weight.numel(), weight.numel(),
        group, (), (), None, False, None, None,
    )  # fmt: skip


def _graph(layer, axis=None):
    groups = {}
    if axis is not None:
        units = torch.arange(layer.num_units)
        member = Member("a.weight", axis, units, "producer", "a")
        groups["a"] = ChannelGroup("a", layer.num_units, ("a",), (), (member,), (), None, False)
    return ModelGraph({"a": layer}, groups, {}, 0, (1,), None, (), (), {})


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.Linear(4, 6),
        torch.nn.Conv2d(4, 6, 3),
        torch.nn.Conv2d(4, 6, 3, groups=2),
        torch.nn.Conv1d(6, 6, 2, groups=6),
        torch.nn.ConvTranspose2d(4, 6, 3),
        torch.nn.ConvTranspose2d(4, 6, 2, groups=2),
    ],
    ids=str,
)
def test_unit_rows_are_the_weights_that_move_the_unit(module):
    module.requires_grad_(False)
    layer = _layer(type(module).__name__, module.weight, 6)
    graph = _graph(layer)
    shape = (1, 4) if isinstance(module, torch.nn.Linear) else (1, module.in_channels, 5, 5)
    inputs = torch.ones(shape[:3] if isinstance(module, torch.nn.Conv1d) else shape)
    for unit in range(6):
        weight = torch.zeros_like(module.weight)
        places = unit_rows(graph, layer, torch.arange(weight.numel()).reshape(weight.shape))
        weight.view(-1)[places[unit]] = 1.0
        module.weight.copy_(weight)
        answer = module(inputs) - module.bias.reshape(-1, *[1] * (inputs.ndim - 2))
        moved = answer.abs().flatten(2).sum((0, 2)) if inputs.ndim > 2 else answer.abs()[0]
        assert moved.nonzero().flatten().tolist() == [unit]


def test_unit_axis_follows_the_graph_before_the_kind():
    weight = torch.arange(6.0).reshape(2, 3)
    layer = _layer("Linear", weight, 3, group="a")
    assert unit_axis(_graph(layer, axis=1), layer) == 1  # e.g. a weight used transposed
    assert unit_rows(_graph(layer, axis=1), layer, weight).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert unit_axis(_graph(layer), layer) == 0


def test_first_positions_by_hand():
    ranks = np.array([[0, 3], [1, 2]], np.int32)
    # nothing goes at position 0, rank 0 at 1, all but the last rank at 2 and 3
    assert first_position(ranks, np.array([0, 1, 3, 3])).tolist() == [[1, 4], [2, 2]]
    assert first_position(np.empty(0, np.int32), np.array([1])).tolist() == []


@pytest.mark.parametrize("total", [1000, 200_000, 3_000_000])
@pytest.mark.parametrize("crowded", [False, True])
def test_first_positions_are_those_of_a_search(total, crowded):
    rng = np.random.default_rng(total)
    ranks = rng.integers(0, total, (50, 40)).astype(np.int32)
    ranks[0, 0] = total - 1
    # typed positions may be as close together as they like
    cuts = np.concatenate([rng.integers(0, total, 100), np.arange(20) + total // 2])
    cuts = np.sort(cuts if crowded else cuts[:100])
    ranks[1] = cuts[:40]
    ranks[2] = cuts[:40] - 1
    expected = np.searchsorted(cuts, ranks, side="right")
    np.testing.assert_array_equal(first_position(ranks, cuts), expected)


def test_the_table_of_positions_is_the_cut_table():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(30, 20, generator=generator)
    ranks = torch.randperm(600, generator=generator).reshape(30, 20)
    cuts, histogram = np.array([0, 100, 100, 450]), weight_histogram(weight, 12)
    first = first_position(ranks.numpy(), cuts)
    np.testing.assert_array_equal(
        position_table(weight, first, 4, histogram), cut_table(weight, ranks, cuts, histogram)
    )


def test_other_weights_in_the_same_bins():
    histogram = weight_histogram(torch.tensor([-2.0, 1.0]), bins=4)
    # 3 lies outside; 2 closes the last bin
    found = count_within(torch.tensor([[-2.0, 3.0, 0.0], [2.0, 0.5, 1.5]]), histogram)
    assert found.tolist() == [1, 0, 2, 2]
    expected, _ = np.histogram([-2.0, 3.0, 0.0, 2.0, 0.5, 1.5], bins=histogram.edges)
    assert found.tolist() == expected.tolist()


def test_the_largest_that_goes_by_hand():
    weight = torch.tensor([[0.0, -3.0], [2.0, 1.0]])
    # the zero went before anything else; 2 goes at position 1, -3 and 1 at 3; nothing at 4
    found = largest_gone(weight, np.array([0, 3, 1, 3]), 5)
    assert found.tolist() == [0.0, 2.0, 2.0, 3.0, 3.0]


def test_large_layers_are_counted_piece_by_piece():
    weight = torch.randn(3, 50_000, generator=torch.Generator().manual_seed(1))
    values, summary = weight.double().numpy(), summarize_weights(weight)
    assert summary.mean == pytest.approx(values.mean(), rel=1e-9)
    assert summary.std == pytest.approx(values.std(), rel=1e-12)
    assert (summary.minimum, summary.maximum) == (values.min(), values.max())
    histogram = weight_histogram(weight)
    assert histogram.total == count_within(weight, histogram).sum() == 150_000
    first = np.arange(150_000) % 7
    table = position_table(weight, first, 6, histogram)
    assert table[-1].sum() == (first < 6).sum()
    expected = [np.abs(values.reshape(-1)[first <= k]).max() for k in range(6)]
    assert largest_gone(weight, first, 6).tolist() == expected
