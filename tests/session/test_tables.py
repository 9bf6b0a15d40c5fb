"""What positions cost, and what is known of them."""

import pytest

from prunevis.evaluation import AccuracyEstimate, evaluate
from prunevis.graph import CostModel, cost, trace
from prunevis.pruning import rank
from prunevis.session import tables
from prunevis.session.state import Curve, Setting, Stage
from prunevis.session.tables import (
    KEPT_CURVES,
    POSITIONS,
    Curves,
    build_table,
    keep,
    with_position,
)


@pytest.fixture
def stage(mlp, mlp_data):
    graph = trace(mlp, mlp_data.test.inputs[:1])
    return Stage(1, "As it came", mlp, graph, CostModel(graph), evaluate(mlp, mlp_data))


def table_of(stage, extra=(), **setting):
    setting = Setting(**{"ticked": ("fc1", "fc2"), **setting})
    ranking = rank(stage.model, setting.spec(), graph=stage.graph)
    return build_table(stage, setting, ranking, extra)


def estimate(value, seen, total=60):
    return AccuracyEstimate(value, value, value, seen, total, seen == total)


def test_positions_are_every_percent_and_all_that_can_go():
    assert len(POSITIONS) == 101
    assert POSITIONS[:3] == (0.0, 0.01, 0.02)
    assert POSITIONS[-2:] == (0.99, 0.999)


@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_table_holds_what_plans_and_costs_say(stage, granularity, scope):
    criterion = "magnitude" if granularity == "weight" else "l2"
    table = table_of(stage, granularity=granularity, scope=scope, criterion=criterion)
    assert table.sparsity == POSITIONS
    for k in (0, 37, 80, 100):
        plan = table.ranking.plan(POSITIONS[k])
        assert table.removed[k] == plan.removed
        assert table.cuts[k] == plan.cuts
        assert table.threshold[k] == plan.threshold
        assert table.costs[k] == cost(stage.graph, plan)
    params = [c.nonzero_params for c in table.costs]
    assert params == sorted(params, reverse=True)


def test_extra_positions_are_in_order(stage):
    table = table_of(stage, extra=(0.123, 0.5, 0.9954))
    assert len(table.sparsity) == 103  # 0.5 was there
    assert list(table.sparsity) == sorted(table.sparsity)
    assert table.sparsity[table.index(0.123)] == 0.123
    assert table.sparsity[table.index(0.9949)] == 0.9954


@pytest.mark.parametrize("sparsity", [0.0004, 0.1234, 0.9954, 0.9995])
def test_a_position_put_in_is_the_same_as_all_computed_anew(stage, sparsity):
    put, anew = with_position(table_of(stage), sparsity), table_of(stage, extra=(sparsity,))
    for field in ("key", "sparsity", "costs", "removed", "cuts", "threshold"):
        assert getattr(put, field) == getattr(anew, field), field
    assert put.sparsity[put.index(sparsity)] == sparsity


@pytest.mark.parametrize(
    ("asked", "nearest"), [(0, 0.0), (0.004, 0.0), (0.006, 0.01), (0.9999, 0.999), (0.5, 0.5)]
)
def test_the_nearest_position(stage, asked, nearest):
    table = table_of(stage)
    assert table.sparsity[table.index(asked)] == nearest


def test_keys_tell_settings_and_stages_apart(stage):
    keys = {
        table_of(stage, **setting).key
        for setting in (
            {},
            {"scope": "layer"},
            {"criterion": "random"},
            {"criterion": "random", "seed": 1},
            {"ticked": ("fc1",)},
            {"own": (("fc1", 0.5),)},
        )
    }
    assert len(keys) == 6
    assert table_of(stage).key == table_of(stage, extra=(0.123,)).key


def test_what_is_known_only_gets_better(stage):
    curves, table = Curves(), table_of(stage)
    assert curves.get(table, 50) is None
    assert curves.put(table, 50, estimate(0.5, 20))
    assert not curves.put(table, 50, estimate(0.9, 20))
    assert not curves.put(table, 50, estimate(0.9, 10))
    assert curves.put(table, 50, estimate(0.6, 30))
    assert curves.put(table, 50, estimate(0.7, 60))
    assert not curves.put(table, 50, estimate(0.9, 30))
    assert curves.get(table, 50).value == 0.7
    snapshot = curves.snapshot(table)
    assert isinstance(snapshot, Curve)
    assert snapshot.key == table.key
    assert [e is not None for e in snapshot.estimates].index(True) == 50
    assert snapshot.known == 1


def test_a_snapshot_does_not_change(stage):
    curves, table = Curves(), table_of(stage)
    before = curves.snapshot(table)
    curves.put(table, 50, estimate(0.7, 60))
    assert before.known == 0
    assert curves.snapshot(table).known == 1


def test_positions_of_one_plan_share_what_is_known(stage):
    curves = Curves()
    table = table_of(stage, granularity="unit", criterion="l2")  # 14 units, 101 positions
    curves.put(table, 50, estimate(0.7, 60))
    same = [k for k in range(101) if table.removed[k] == table.removed[50]]
    assert len(same) > 1
    assert curves.snapshot(table).known == len(same)


def test_extra_positions_keep_what_is_known(stage):
    curves, table = Curves(), table_of(stage)
    curves.put(table, 50, estimate(0.7, 60))
    longer = table_of(stage, extra=(0.123,))
    assert curves.get(longer, longer.index(0.5)).value == 0.7


def test_other_settings_know_nothing_of_it(stage):
    curves, table = Curves(), table_of(stage)
    curves.put(table, 50, estimate(0.7, 60))
    assert curves.get(table_of(stage, scope="layer"), 50) is None


def test_the_oldest_settings_are_forgotten(stage):
    curves, first = Curves(), table_of(stage)
    curves.put(first, 50, estimate(0.7, 60))
    others = [table_of(stage, criterion="random", seed=k) for k in range(KEPT_CURVES)]
    for other in others[:-1]:
        curves.put(other, 50, estimate(0.5, 60))
    assert curves.get(first, 50).value == 0.7  # looked at, so the newest now
    curves.put(others[-1], 50, estimate(0.5, 60))
    assert curves.get(first, 50).value == 0.7
    assert curves.get(others[0], 50) is None
    curves.clear()
    assert curves.get(first, 50) is None


def test_a_setting_makes_its_request():
    setting = Setting("unit", "l1", "layer", 7, ("a", "b"), (("b", 0.25),))
    spec = setting.spec(0.5)
    assert (spec.criterion, spec.granularity, spec.scope) == ("l1", "unit", "layer")
    assert (spec.seed, spec.sparsity) == (7, 0.5)
    assert spec.layer_names == ("a", "b")
    assert spec.own_sparsity == {"b": 0.25}


def test_rankings_are_kept_while_they_are_small(stage, monkeypatch):
    ranking = table_of(stage).ranking
    kept = {}
    for k in range(12):
        keep(kept, f"a{k}", ranking)
    assert list(kept) == [f"a{k}" for k in range(3, 12)]
    # of large ones the present one only, and what fits besides
    monkeypatch.setattr(tables, "OTHER_RANKINGS", 2 * ranking.nbytes)
    keep(kept, "b", ranking)
    assert list(kept) == ["a10", "a11", "b"]
    monkeypatch.setattr(tables, "OTHER_RANKINGS", ranking.nbytes - 1)
    keep(kept, "b", ranking)
    assert list(kept) == ["b"]
