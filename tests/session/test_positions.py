"""The slider's positions as shares of something else, and where they end."""

import pytest
import torch

from prunevis.graph import CostModel, trace
from prunevis.pruning import rank
from prunevis.session import adjusting
from prunevis.session.positions import POSITIONS, position_steps, standing
from prunevis.session.state import Setting, Stage
from prunevis.session.tables import build_table, with_position
from prunevis.steps import finished


@pytest.fixture
def opened(driver, mlp, mlp_data):
    return driver.open(mlp, mlp_data)


@pytest.fixture
def stage(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    return Stage(1, "As it came", mlp, graph, CostModel(graph), None)


def table_of(stage, extra=(), **setting):
    setting = Setting(**{"ticked": ("fc1", "fc2"), **setting})
    ranking = rank(stage.model, setting.spec(), graph=stage.graph)
    pairs = finished(position_steps(stage, setting, ranking, extra))
    return build_table(stage, setting, ranking, pairs=pairs)


def share(cost, of):
    return {
        "params": 1 - cost.nonzero_params / cost.base_params,
        "macs": 1 - cost.effective_macs / cost.base_macs,
        "bytes": 1 - cost.bytes / cost.base_bytes,
    }[of]


@pytest.mark.parametrize("of", ["params", "macs", "bytes"])
@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_positions_are_shares_of_what_was_chosen(stage, of, granularity, scope):
    criterion = "magnitude" if granularity == "weight" else "l2"
    table = table_of(stage, of=of, granularity=granularity, criterion=criterion, scope=scope)
    assert table.sparsity[:3] == (0.0, 0.01, 0.02)
    for k, position in enumerate(table.sparsity):
        assert share(table.costs[k], of) >= position - 1e-9
        assert table.plan(k).removed == table.removed[k]
    assert list(table.solved) == sorted(table.solved)
    # the end is all that can go
    last = table.ranking.plan(0.9999).removed
    assert table.removed[-1] == last
    assert table.sparsity[-1] == pytest.approx(share(table.costs[-1], of), abs=5e-4)


def test_sparsity_is_every_percent_as_ever(stage):
    assert table_of(stage).sparsity == table_of(stage).solved == POSITIONS


@pytest.mark.parametrize(
    ("setting", "end"),
    [
        ({"pattern": "2:4"}, 0.5),
        ({"pattern": "4x4"}, POSITIONS[-1]),
        ({"granularity": "unit", "criterion": "l1", "min_units": 3}, 8 / 14),
        ({"granularity": "unit", "criterion": "l1", "multiple_of": 4}, 6 / 14),
    ],
)
def test_positions_end_where_no_more_can_go(stage, setting, end):
    table = table_of(stage, **setting)
    if end == POSITIONS[-1]:  # blocks: one of each layer stays
        end = table.ranking.plan(end).achieved_sparsity
    assert table.sparsity[-1] == pytest.approx(end)
    assert table.removed[-1] == table.ranking.plan(0.999).removed
    assert all(s <= end for s in table.sparsity)


def test_a_typed_position_is_solved_too_and_the_oldest_makes_room(stage):
    table = table_of(stage, of="macs")
    more = with_position(table, 0.305)
    k = more.sparsity.index(0.305)
    assert share(more.costs[k], "macs") >= 0.305
    assert more.solved[k - 1] <= more.solved[k] <= more.solved[k + 1]
    for before, after in ((0.205, 0.305), (0.405, 0.305)):
        swapped = with_position(with_position(table, before), after, before)
        assert swapped.sparsity == more.sparsity
        assert swapped.removed == more.removed
        assert swapped.solved == more.solved
        assert swapped.cuts == more.cuts


def test_where_the_slider_stands_on_arriving(stage, mlp):
    weights, units = Setting(), Setting(granularity="unit", criterion="l1", of="macs")
    assert standing(stage, weights) == standing(stage, units) == 0.0
    with torch.no_grad():
        mlp.fc1.weight[:6] = 0
    pruned = Stage(2, "", mlp, stage.graph, CostModel(stage.graph, {"fc1.weight": 72}), None, 0.5)
    assert standing(pruned, weights) == 0.5
    assert standing(pruned, Setting(of="macs")) == 0.42  # 72 of 168, down to whole percents
    assert standing(pruned, Setting(of="params")) == 0.38  # 72 of 186


# -- through the controller ----------------------------------------------------------------------


def test_another_unit_keeps_what_goes(opened):
    session = opened.session
    opened.do("move", 0.5)
    before = session.table.plan_at(0.5)
    opened.do("choose", "of", "macs")
    # 72 of 144 weights are 72 of 168 multiply-adds
    assert session.position == 0.42
    assert session.table.setting.of == "macs"
    after = session.table.plan_at(session.position)
    assert 0 <= before.num_removed - after.num_removed <= 2
    index = session.table.index(0.42)
    assert share(session.table.costs[index], "macs") >= 0.42
    assert session.curve.estimates[index].exact
    opened.do("choose", "of", "sparsity")
    assert session.position == 0.49


def test_what_is_applied_is_what_the_slider_says(opened):
    session = opened.session
    opened.do("choose", "of", "params")
    opened.do("move", 0.4)
    index = session.table.index(0.4)
    removed = session.table.removed[index]
    opened.do("apply")
    zeros = session.network.stage.costs.zeros
    assert (zeros["fc1.weight"], zeros["fc2.weight"]) == (removed["fc1"], removed["fc2"])
    assert session.position == 0.4
    opened.do("undo")
    assert session.position == 0.0


def test_patterns_go_with_weights_and_multiples_with_units(opened):
    session = opened.session
    opened.do("choose", "pattern", "2:4")
    opened.do("move", 0.9)
    assert session.position == session.table.sparsity[-1] == 0.5
    opened.do("choose", "granularity", "unit")
    assert session.setting.pattern is None
    opened.do("choose", "multiple_of", 2)
    opened.do("choose", "of", "units")
    assert session.problem is None
    opened.do("choose", "granularity", "weight")
    assert (session.setting.multiple_of, session.setting.of) == (1, "sparsity")


def test_layers_that_are_all_too_small_stay_and_it_is_said(opened):
    session = opened.session
    opened.do("choose", "granularity", "unit")
    opened.do("choose", "min_units", 100)
    assert "Nothing in this network can be pruned" in session.problem.text
    assert not any(any(removed.values()) for removed in session.table.removed)
    assert session.table.setting == session.setting
    opened.do("choose", "min_units", 2)
    assert session.table.ranking.plan(0.99).num_removed == 10


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("of", "flowers", "nothing called"),
        ("of", "units", "Single weights leave all units in place"),
        ("pattern", "4:2", "keeps N of every M"),
        ("pattern", {"a": 1}, "no such pattern"),
        ("multiple_of", 8, "single weights are to go"),
        ("multiple_of", "8", "whole number"),
        ("min_units", -1, "whole number"),
        ("min_units", 10**12, "whole number"),
    ],
)
def test_forged_choices_are_refused(opened, what, value, message):
    before = opened.session.setting
    opened.do("choose", what, value)
    assert message in opened.session.problem.text
    assert opened.session.setting == before


def test_twenty_typed_positions_are_kept(opened, monkeypatch):
    monkeypatch.setattr(adjusting, "MAX_EXTRA", 2)
    for position in (0.123, 0.234, 0.345):
        opened.do("move", position)
    table = opened.session.table
    assert [s for s in table.sparsity if s not in POSITIONS] == [0.234, 0.345]
    assert len(opened.session.curve.estimates) == len(table.sparsity) == 103
