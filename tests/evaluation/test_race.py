import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyMLP, TinyResidual, labelled, seeded

import prunevis as pv
from prunevis.errors import DataError, NothingToPruneError, SpecError, UnknownNameError
from prunevis.evaluation.equal import equal_steps
from prunevis.evaluation.exact import evaluate
from prunevis.evaluation.race import race, race_steps, racing
from prunevis.evaluation.race_records import Racer
from prunevis.graph import CostModel, trace
from prunevis.pruning import masked, rank, remove
from prunevis.pruning.spec import PruningSpec
from prunevis.steps import finished

SHARES = (0.2, 0.5)


def equal_plan(ranking, costs, at, share):
    return finished(equal_steps(ranking, costs, at, [share]))[0]


def gone(cost, at):
    """The share of the parameters, or of the multiply-adds if zeros are skipped, that is gone."""
    if at == "params":
        return 1 - cost.nonzero_params / cost.base_params
    return 1 - cost.effective_macs / cost.base_macs


def test_equal_plan_by_hand(mlp):
    """12 → 8 → 6 → 4: 104 + 54 + 28 = 186 parameters, 96 + 48 + 24 = 168 multiply-adds."""
    graph = trace(mlp, torch.ones(1, 12))
    costs = CostModel(graph)
    only = PruningSpec.make("l2", "unit", "layer", layers=["fc2"])
    ranking = rank(mlp, only, graph=graph)
    # a unit of fc2 takes 8 weights, a bias and 4 weights of fc3: 13 parameters, 12 multiply-adds
    for at, each, whole in (("params", 13, 186), ("macs", 12, 168)):
        for units in range(1, 5):
            exactly = units * each / whole
            plan = equal_plan(ranking, costs, at, exactly - 1e-9)
            assert plan.num_removed == units
            assert equal_plan(ranking, costs, at, exactly + 1e-9).num_removed == units + 1
        assert equal_plan(ranking, costs, at, 0.0).num_removed == 0
        assert equal_plan(ranking, costs, at, 0.9) is None  # one unit of fc2 always stays
    assert equal_plan(ranking, costs, "sparsity", 0.5).num_removed == 3


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["params", "macs"]),
    st.sampled_from([("unit", "l2"), ("weight", "magnitude"), ("unit", "random")]),
    st.sampled_from(["layer", "global"]),
    st.floats(0, 0.95),
)
def test_as_much_goes_as_was_asked_and_one_less_is_not_enough(at, what, scope, share):
    model = seeded(TinyResidual)
    graph = trace(model, torch.ones(1, 1, 6, 6))
    costs = CostModel(graph)
    ranking = rank(model, PruningSpec.make(what[1], what[0], scope), graph=graph)
    plan = equal_plan(ranking, costs, at, share)
    if plan is None:
        assert gone(costs.cost(ranking.plan(1 - 1e-9)), at) < share
        return
    assert gone(costs.cost(plan), at) >= share - 1e-9
    if plan.num_removed:  # the next smaller plan is not enough
        fewer = (ranking.plan(k / 2000) for k in range(2000))
        less = max(
            (p for p in fewer if p.num_removed < plan.num_removed), key=lambda p: p.num_removed
        )
        assert gone(costs.cost(less), at) < share


@pytest.mark.parametrize("at", ["params", "macs"])
@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_all_networks_are_equally_small_within_one_unit(residual, residual_data, at, granularity):
    names = ["l2", "apoz"] if granularity == "unit" else ["magnitude"]
    found = race(
        residual, residual_data, names, at=at, granularity=granularity, shares=SHARES, seeds=[0, 1]
    )
    graph = trace(residual, residual_data.test.inputs[:1])
    # what one piece can save at most: a unit of the stem's group, or a weight at all positions
    most = {"params": 9 + 3 + 45 + 45 + 2 + 4, "macs": 36 * (9 + 90) + 4}[at]
    if granularity == "weight":
        most = {"params": 1, "macs": 36}[at]
    whole = graph.num_params if at == "params" else graph.macs
    for racer in found.racers:
        for run in racer.runs:
            for share, point in zip(found.shares, run.points, strict=True):
                left = gone(point.cost, at) - share
                assert -1e-9 <= left <= most / whole, (racer.criterion, share)


def test_figures_are_those_of_evaluate_on_the_removed_network(residual, residual_data):
    found = race(residual, residual_data, ["apoz"], seeds=[3], at="macs", shares=SHARES)
    graph = trace(residual, residual_data.test.inputs[:1])
    statistics = pv.collect_statistics(residual, residual_data, graph=graph, seed=3)
    for name in ("apoz", "random"):
        spec = PruningSpec.make(name, "unit", "global", seed=3)
        ranking = rank(residual, spec, graph=graph, statistics=statistics)
        for share, point in zip(SHARES, found[name].runs[0].points, strict=True):
            plan = equal_plan(ranking, CostModel(graph), "macs", share)
            network = remove(residual, plan)
            assert point.estimate.value == evaluate(network, residual_data).accuracy
            assert point.estimate.exact
            assert point.sparsity == plan.achieved_sparsity
    assert found.baseline.accuracy == evaluate(residual, residual_data).accuracy


def test_figures_of_weights_are_those_of_the_masked_network(mlp, mlp_data):
    found = race(mlp, mlp_data, ["magnitude"], granularity="weight", seeds=[0], shares=[0.6])
    plan = rank(mlp, PruningSpec.make("magnitude"), data=mlp_data).plan(0.6)
    with masked(mlp, plan):
        assert found["magnitude"].mean.tolist() == [evaluate(mlp, mlp_data).accuracy]


def test_what_draws_runs_once_a_seed_and_what_does_not_once(mlp, mlp_data):
    found = race(mlp, mlp_data, ["l1", "apoz"], shares=SHARES)
    assert [len(racer.runs) for racer in found.racers] == [1, 3, 3]
    assert [racer.criterion for racer in found.racers] == ["l1", "apoz", "random"]
    assert "same for every seed" in found["l1"].note
    assert found["random"].note == ""
    assert found["l1"].std.tolist() == [0.0, 0.0]
    assert [run.seed for run in found["random"].runs] == [0, 1, 2]
    assert found["apoz"].seconds > 0


def test_mean_and_spread_by_hand(monkeypatch):
    table = np.array([[0.8, 0.5], [0.6, 0.5], [0.7, np.nan]])
    monkeypatch.setattr(Racer, "accuracy", table)
    racer = Racer("x", "X", ())
    assert racer.mean[0] == pytest.approx(0.7)
    assert np.isnan(racer.mean[1])  # a mean of two seeds is not comparable with one of three
    assert racer.std[0] == pytest.approx(0.1)  # √((.01 + .01 + 0) / 2)
    assert (racer.low[0], racer.high[0]) == (0.6, 0.8)


def test_a_network_that_cannot_be_that_small_has_no_point(mlp, mlp_data):
    found = race(mlp, mlp_data, ["l2"], seeds=[0], at="params", shares=[0.1, 0.99])
    assert found["l2"].runs[0].points[1] is None
    assert np.isnan(found["l2"].mean[1])
    assert "–" in repr(found)


def test_fewer_images_give_estimates(mlp, mlp_data):
    found = race(mlp, mlp_data, ["l2"], seeds=[0], images=20, shares=[0.5])
    estimate = found["l2"].runs[0].points[0].estimate
    assert (estimate.seen, estimate.exact) == (20, False)


def test_cancelled_halfway_the_model_is_as_it_was(residual, residual_data, untouched_model):
    check = untouched_model(residual)
    steps = race_steps(residual, residual_data, ["apoz"], shares=SHARES)
    for progress in steps:
        if progress.done:
            break
    steps.close()
    check()


def test_progress_rises_to_the_end(mlp, mlp_data):
    reports = list(race_steps(mlp, mlp_data, ["l2"], shares=SHARES))
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == reports[-1].total == (1 + 3) * 2
    assert [r.result is None for r in reports] == [True] * (len(done) - 1) + [False]
    assert "Random, seed 2" in {report.text for report in reports}


def test_data_of_one_class(mlp):
    examples = labelled((12,), 30, 4)
    data = examples.inputs, torch.zeros(30, dtype=torch.long)
    assert "All examples are of class 0" in race(mlp, data, seeds=[0], shares=[0.5]).baseline.note


def test_refusals(mlp, mlp_data):
    with pytest.raises(UnknownNameError, match="l3"):
        race(mlp, mlp_data, ["l3"])
    with pytest.raises(SpecError, match="does not score single weights"):
        race(mlp, mlp_data, ["l2"], granularity="weight")
    with pytest.raises(SpecError, match="No criterion is named"):
        race(mlp, mlp_data, [])
    with pytest.raises(SpecError, match="equal sparsity, parameters or multiply-adds"):
        race(mlp, mlp_data, at="seconds")
    with pytest.raises(SpecError, match="needs seeds"):
        race(mlp, mlp_data, seeds=[])
    with pytest.raises(SpecError, match="whole number from 0"):
        race(mlp, mlp_data, seeds=[-1])
    with pytest.raises(SpecError, match="at least 0 and below 1"):
        race(mlp, mlp_data, shares=[1.0])
    with pytest.raises(SpecError, match="`shares` is empty"):
        race(mlp, mlp_data, shares=[])
    with pytest.raises(DataError, match="no examples"):
        race(mlp, (torch.zeros(0, 12), torch.zeros(0, dtype=torch.long)))
    with pytest.raises(NothingToPruneError, match="BatchNorm"):
        race(mlp, mlp_data, ["bn-scale"])
    assert racing("l2", "unit") == ["l2", "random"]


def test_public_name_and_words(mlp, mlp_data):
    assert pv.race is race
    found = race(seeded(TinyMLP), mlp_data, ["l2"], seeds=[0], shares=[0.5])
    assert "share of sparsity gone" in repr(found)
    with pytest.raises(KeyError):
        found["apoz"]
