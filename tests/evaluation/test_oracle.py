import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyMLP, TinyResidual, labelled, seeded
from torch import nn
from torch.nn import functional as F

import prunevis as pv
from prunevis.errors import DataError, ModelError, NonFiniteError, NothingToPruneError, SpecError
from prunevis.evaluation.oracle import oracle, oracle_cost, oracle_steps
from prunevis.evaluation.tails import Tail
from prunevis.graph import trace
from prunevis.pruning.removal import remove_units


def by_hand() -> nn.Module:
    """Two inputs, two linear units h = x, two logits z = V h with V = [[1, 0], [2, 3]]."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[1].weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))
    return model


def test_change_of_loss_by_hand():
    data = torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1])
    # z = (1, 5), target 0: ln(1 + e^4); z = (1, 2), target 1: ln(1 + e^-1)
    whole = (math.log1p(math.exp(4)) + math.log1p(math.exp(-1))) / 2
    # without unit 0: z = (0, 3) and (0, 0); without unit 1: z = (1, 2) twice
    first = (math.log1p(math.exp(3)) + math.log(2)) / 2
    second = (math.log1p(math.exp(1)) + math.log1p(math.exp(-1))) / 2
    found = oracle(by_hand(), data)
    assert found.loss == pytest.approx(whole, abs=1e-6)
    assert found.change["0"].tolist() == pytest.approx([first - whole, second - whole], abs=1e-6)
    assert found.change["0"][0] < 0  # the network is better without it
    assert found.absolute["0"].tolist() == pytest.approx([whole - first, whole - second], abs=1e-6)
    assert (found.num_examples, found.split, found.num_units) == (2, "test", 2)


def test_cost_by_hand():
    cost = oracle_cost(by_hand(), (torch.ones(3, 2), torch.tensor([0, 1, 0])))
    # 8 multiply-adds a whole forward pass, 4 behind the units: (2 × 4 + 8) × 3
    assert (cost.units, cost.examples, cost.macs) == (2, 3, 48)
    assert cost.seconds > 0
    assert "2 units × 3 examples" in str(cost)


def brute_force(model, graph, examples, name):
    """Really remove each unit and run everything."""

    def loss(network):
        with torch.no_grad():
            return float(F.cross_entropy(network(examples.inputs).double(), examples.targets))

    whole = loss(model)
    size = graph.groups[name].size
    every = torch.arange(size)
    return [
        loss(remove_units(model, graph, {name: every[every != unit]}, check=False)) - whole
        for unit in range(size)
    ]


class Unwritable(nn.Module):
    """Reads a value in Python, so that its calls cannot be written down."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 5), nn.Linear(5, 4)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        return self.fc2(x if torch.jit.is_scripting() or x.sum() == x.sum() else x * 2)


@pytest.mark.parametrize(("make", "shape"), [(TinyMLP, (12,)), (TinyResidual, (1, 6, 6))])
def test_same_as_removing_each_unit_and_running_all(make, shape):
    model, examples = seeded(make), labelled(shape, 70, 4)
    graph = trace(model, examples.inputs[:1])
    found = oracle(model, examples)
    assert found.by_removal == ()
    assert set(found.change) == {g.name for g in graph.groups.values() if g.reason is None}
    for name, change in found.change.items():
        expected = brute_force(model, graph, examples, name)
        assert change.tolist() == pytest.approx(expected, abs=2e-6)


def test_what_zeroing_gives_is_compared_with_what_removal_gives(mlp, monkeypatch):
    examples = labelled((12,), 40, 4)
    right = oracle(mlp, examples)
    whole = Tail.without
    monkeypatch.setattr(Tail, "without", lambda self, unit: 1.01 * whole(self, unit))
    found = oracle(mlp, examples)
    assert found.by_removal == ("fc1", "fc2")
    for name, change in found.change.items():
        assert change.tolist() == pytest.approx(right.change[name].tolist(), abs=2e-6)


def test_a_forward_that_cannot_be_written_down_is_run_itself():
    model, examples = seeded(Unwritable), labelled((12,), 40, 4)
    graph = trace(seeded(Plain), examples.inputs[:1])
    found = oracle(model, examples, graph=graph)
    assert found.by_removal == ("fc1",)
    assert found.change["fc1"].tolist() == pytest.approx(
        brute_force(model, graph, examples, "fc1"), abs=2e-6
    )


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def test_a_unit_that_never_fires_changes_nothing_at_all(mlp):
    with torch.no_grad():
        mlp.fc1.bias[[2, 5]] = -100.0
    found = oracle(mlp, labelled((12,), 50, 4)).change["fc1"]
    assert (found == 0).nonzero()[:, 0].tolist() == [2, 5]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 33))
def test_batches_do_not_matter(seed, count):
    model, examples = seeded(TinyMLP, seed), labelled((12,), count, 4, seed)
    found = oracle(model, examples, images=None)
    graph = trace(model, examples.inputs[:1])
    assert found.change["fc2"].tolist() == pytest.approx(
        brute_force(model, graph, examples, "fc2"), abs=2e-6
    )


def test_training_part_and_a_sample_of_a_seed(mlp, mlp_data):
    found = [oracle(mlp, mlp_data, images=20, seed=seed) for seed in (0, 0, 1)]
    assert (found[0].split, found[0].num_examples) == ("train", 20)
    assert torch.equal(found[0].change["fc1"], found[1].change["fc1"])
    assert not torch.equal(found[0].change["fc1"], found[2].change["fc1"])


def test_layers_that_are_asked_for(residual, residual_data):
    found = oracle(residual, residual_data, layers=["conv2", "stem"])
    assert list(found.change) == ["stem"]  # one group, by the addition


def test_cancelled_halfway_the_model_is_as_it_was(residual, residual_data, untouched_model):
    residual.train()
    check = untouched_model(residual)
    steps = oracle_steps(residual, residual_data)
    for progress in steps:
        if progress.done > 3:
            break
    steps.close()
    check()


def test_progress_rises_to_the_end(mlp, mlp_data):
    reports = list(oracle_steps(mlp, mlp_data))
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert (done[-1], reports[-1].total) == (14, 14)
    assert [report.result is None for report in reports] == [True] * (len(done) - 1) + [False]


def test_data_of_one_class_still_have_a_loss(mlp):
    examples = labelled((12,), 30, 4)
    found = oracle(mlp, (examples.inputs, torch.zeros(30, dtype=torch.long)))
    assert all(bool(torch.isfinite(change).all()) for change in found.change.values())


def test_refusals(mlp, mlp_data):
    with pytest.raises(DataError, match="no examples"):
        oracle(mlp, (torch.zeros(0, 12), torch.zeros(0, dtype=torch.long)))
    with pytest.raises(SpecError, match="whole number from 1"):
        oracle(mlp, mlp_data, images=0)
    with pytest.raises(SpecError, match="no layer called 'fc9'"):
        oracle(mlp, mlp_data, layers=["fc9"])
    with pytest.raises(SpecError, match="units of `fc3` are the network's outputs, one a class"):
        oracle(mlp, mlp_data, layers=["fc3"])
    with pytest.raises(NothingToPruneError, match="No unit of this network"):
        oracle(nn.Sequential(nn.Linear(12, 4)), mlp_data)
    with pytest.raises(DataError, match="fewer outputs"):
        oracle(mlp, (torch.zeros(2, 12), torch.tensor([0, 9])))
    with pytest.raises(ModelError, match="forward raised"):
        oracle(mlp, (torch.zeros(2, 5), torch.tensor([0, 1])), graph=trace(mlp, torch.ones(1, 12)))
    with torch.no_grad():
        mlp.fc2.weight[0, 0] = math.nan
    with pytest.raises(NonFiniteError, match="1 NaN or infinite value"):
        oracle(mlp, mlp_data)


def test_public_names():
    assert pv.oracle is oracle
    assert pv.oracle_cost is oracle_cost
