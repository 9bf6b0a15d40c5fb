from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunevis.errors import SpecError
from prunevis.evaluation.exact import evaluate
from prunevis.evaluation.positions import coarse_to_fine
from prunevis.evaluation.sensitivity import sensitivity, sensitivity_steps
from prunevis.evaluation.tradeoff import tradeoff, tradeoff_steps
from prunevis.graph.cost import cost
from prunevis.graph.trace import trace
from prunevis.pruning.masking import candidate
from prunevis.pruning.ranking import rank
from prunevis.pruning.spec import PruningSpec


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)
        )


@pytest.fixture
def data(model):
    """Labels are the model's own answers, so that it starts at 100 %."""
    inputs = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return inputs, model(inputs).argmax(1)


@given(st.integers(0, 300))
def test_coarse_to_fine_visits_each_position_once(count):
    order = coarse_to_fine(count)
    assert sorted(order) == list(range(count))
    for done in (5, 9, 17):  # never further from a visited one than the last round's gaps
        if count > done:
            visited = sorted(order[:done])
            gaps = [b - a for a, b in pairwise(visited)]
            assert max(gaps) <= -(-(count - 1) // (done - 1)) + 1


def test_coarse_to_fine_by_hand():
    assert coarse_to_fine(9) == [0, 8, 4, 2, 6, 1, 3, 5, 7]
    assert coarse_to_fine(2) == [0, 1]
    assert coarse_to_fine(1) == [0]


@pytest.mark.parametrize(("granularity", "criterion"), [("weight", "magnitude"), ("unit", "l2")])
def test_points_are_what_evaluate_and_cost_say(model, data, granularity, criterion):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    graph = trace(model, data[0][:1])
    result = tradeoff(
        model, data, criterion=criterion, granularity=granularity, sparsities=[0.9, 0.0, 0.5]
    )
    assert [p.sparsity for p in result.points] == [0.0, 0.5, 0.9]
    assert result.baseline.accuracy == 1.0
    ranking = rank(model, PruningSpec.make(criterion, granularity), graph=graph)
    for point in result.points:
        plan = ranking.plan(point.sparsity)
        exact = evaluate(candidate(model, plan), data).accuracy
        assert point.estimate.exact
        assert point.estimate.value == exact
        assert point.achieved == plan.achieved_sparsity
        assert point.cost.nonzero_params == cost(graph, plan).nonzero_params
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert "100.00% at sparsity 0%" in repr(result)


def test_fewer_images_give_estimates(model, data):
    baseline = evaluate(model, data)
    result = tradeoff(model, data, sparsities=[0.0, 0.6], images=64, baseline=baseline)
    assert result.baseline is baseline
    assert result.points[0].estimate.exact  # nothing goes, so it is known
    second = result.points[1].estimate
    assert second.seen == 64
    assert not second.exact
    assert second.low <= evaluate(candidate(model, _plan(model, data, 0.6)), data).accuracy
    assert evaluate(candidate(model, _plan(model, data, 0.6)), data).accuracy <= second.high


def _plan(model, data, sparsity):
    graph = trace(model, data[0][:1])
    return rank(model, PruningSpec.make(), graph=graph).plan(sparsity)


def test_sweep_reports_ends_first(model, data):
    reports = list(tradeoff_steps(model, data, sparsities=[0.0, 0.25, 0.5, 0.75, 0.9]))
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    two = next(r for r in reports if r.done == 2)
    assert [p.sparsity for p in two.points] == [0.0, 0.9]
    assert reports[-1].result is not None
    assert all(r.result is None for r in reports[:-1])


def test_sweep_errors(model, data):
    with pytest.raises(SpecError, match="at least 0 and below 1"):
        tradeoff(model, data, sparsities=[0.5, 1.0])
    with pytest.raises(SpecError, match="`images` is a whole number from 1"):
        tradeoff(model, data, images=0)
    with pytest.raises(SpecError, match="no layer called 'nope'"):
        tradeoff(model, data, layers=["nope"])


def test_sensitivity_prunes_one_layer_at_a_time(model, data):
    result = sensitivity(model, data, sparsities=(0.8, 0.2), images=None)
    assert result.sparsities == (0.2, 0.8)
    assert list(result.estimates) == ["0", "2"]
    assert "model's outputs" in result.skipped["4"]
    pruned = model[2].weight.detach().clone()
    count = round(0.8 * pruned.numel())
    pruned.flatten()[pruned.flatten().abs().argsort(stable=True)[:count]] = 0
    alone = nn.Sequential(*model)
    alone[2] = nn.Linear(12, 8)
    with torch.no_grad():
        alone[2].weight.copy_(pruned)
        alone[2].bias.copy_(model[2].bias)
    assert result.estimates["2"][1].value == evaluate(alone, data).accuracy


def test_sensitivity_of_units_with_few_images(model, data):
    result = sensitivity(
        model, data, criterion="l2", granularity="unit", sparsities=[0.5], images=32, layers=["2"]
    )
    assert list(result.estimates) == ["2"]
    assert result.estimates["2"][0].seen == 32
    assert result.skipped == {}
    assert "1 layers at 1 sparsities" in repr(result)


def test_sensitivity_of_an_activation_criterion_collects_statistics(model, data):
    result = sensitivity(
        model, data, criterion="mean-activation", granularity="unit", sparsities=[0.5]
    )
    assert set(result.estimates) == {"0", "2"}


def test_layers_that_a_criterion_cannot_score_are_named(data):
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU())
    model.append(nn.Linear(5, 3))
    result = sensitivity(model, data, criterion="bn-scale", granularity="unit", sparsities=[0.5])
    assert list(result.estimates) == ["0"]
    assert set(result.skipped) == {"3", "5"}
    assert all(result.skipped.values())


def test_units_tied_by_an_addition_are_scanned_once(data):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 8)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            x = torch.relu(self.first(x))
            return self.out(torch.relu(x + self.second(x)))

    result = sensitivity(Residual(), data, criterion="l2", granularity="unit", sparsities=[0.5])
    assert list(result.estimates) == ["first"]
    assert "`first`" in result.skipped["second"]


def test_scan_reports(model, data):
    reports = list(sensitivity_steps(model, data, sparsities=[0.1, 0.5, 0.9]))
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    four = next(r for r in reports if r.done == 4)
    assert {tuple(points) for points in four.estimates.values()} == {(0.1, 0.9)}
    assert reports[-1].result is not None
