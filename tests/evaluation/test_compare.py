"""Two networks side by side, by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_networks import TinyMLP, seeded
from torch import nn

import prunevis as pv
from prunevis.data import Examples
from prunevis.errors import SpecError
from prunevis.evaluation import Side, compare_steps
from prunevis.evaluation.intervals import mcnemar, paired

#: Logits of six examples by two networks, three classes; targets beside them.
TARGETS = torch.tensor([0, 1, 2, 0, 1, 2])
BEFORE = torch.tensor(
    [[3.0, 0, 0], [0, 2, 0], [0, 0, 1], [0, 1, 0], [5, 0, 0], [0, 0, 4.0]]
)  # right right right wrong wrong right
AFTER = torch.tensor(
    [[0, 1.0, 0], [0, 2, 0], [4, 0, 0], [2, 0, 0], [0, 0, 1], [0, 0, 1.0]]
)  # wrong right wrong right wrong-differently right


def by_hand():
    inputs = torch.arange(6.0)[:, None]
    return (
        lambda x: BEFORE[x[:, 0].long()],
        lambda x: AFTER[x[:, 0].long()],
        Examples(inputs, TARGETS),
    )


def test_six_examples():
    found = pv.compare(*by_hand())
    assert (found.before.correct, found.after.correct) == (4, 3)
    assert found.difference == pytest.approx(-1 / 6)
    # margins of 2 fell from 1 to -4, of 0 from 3 to -1: the larger fall comes first
    assert found.forgotten.index.tolist() == [2, 0]
    assert found.forgotten.predicted.tolist() == [[2, 0], [0, 1]]
    assert found.forgotten.margin.tolist() == [[1, -4], [3, -1]]
    assert found.forgotten.target.tolist() == [2, 0]
    sure = math.exp(1) / (math.exp(1) + 2)
    assert found.forgotten.confidence[0].tolist() == pytest.approx(
        [sure, math.exp(4) / (math.exp(4) + 2)]
    )
    assert (found.learned.index.tolist(), found.other.index.tolist()) == ([3], [4])
    assert found.num_changed == 4
    assert [(c.count, c.accuracy, c.change) for c in found.classes] == [
        (2, (0.5, 0.5), 0.0),
        (2, (0.5, 0.5), 0.0),
        (2, (1.0, 0.5), -0.5),
    ]
    assert found.p_value == 1.0  # two lost and one gained: three coins
    assert (found.costs, found.layers) == ((None, None), ())
    assert "2 forgotten, 1 learned" in repr(found)


def test_a_network_and_its_pruned_self(mlp, mlp_data, untouched_model):
    pruned = pv.prune(mlp, mlp_data, sparsity=0.75).model
    check = untouched_model(mlp)
    found = pv.compare(mlp, pruned, mlp_data)
    check()
    assert found.before.accuracy == pv.evaluate(mlp, mlp_data).accuracy
    assert found.after.accuracy == pv.evaluate(pruned, mlp_data).accuracy
    assert found.difference == pytest.approx(found.after.accuracy - found.before.accuracy)
    assert len(found.forgotten) - len(found.learned) == found.before.correct - found.after.correct
    assert found.low <= found.difference <= found.high
    zeros = sum(int((p == 0).sum()) for p in pruned.parameters())
    before, after = found.costs
    assert (before.nonzero_params, after.nonzero_params) == (186, 186 - zeros)
    fc1 = found.layers[0]
    alive = int((pruned.fc1.weight != 0).any(1).sum())
    assert (fc1.name, fc1.units) == ("fc1", (mlp.fc1.out_features, alive))
    assert fc1.macs[0] == mlp.fc1.weight.numel()
    assert fc1.macs[1] == int((pruned.fc1.weight != 0).sum())


def test_with_units_taken_out_it_is_smaller(mlp, mlp_data):
    small = pv.prune(mlp, mlp_data, granularity="unit", criterion="l2", sparsity=0.5).model
    found = pv.compare(mlp, small, mlp_data)
    assert found.costs[1].dense_bytes < found.costs[0].dense_bytes
    assert found.layers[0].units == (8, small.fc1.out_features)


def test_the_same_network_twice(mlp, mlp_data):
    found = pv.compare(mlp, mlp, mlp_data)
    assert (found.difference, found.num_changed, found.p_value) == (0.0, 0, 1.0)
    assert found.low < 0 < found.high  # equal on these, not known of others
    assert all(c.change == 0 for c in found.classes if c.count)


def test_other_tasks_are_refused(mlp, mlp_data):
    with pytest.raises(SpecError, match=r"different numbers of classes.*4 classes.*5"):
        pv.compare(mlp, nn.Linear(12, 5), mlp_data)
    known = pv.evaluate(mlp, mlp_data)
    part = mlp_data.test.take(slice(0, 10))
    with pytest.raises(SpecError, match="measured on other examples"):
        list(compare_steps(Side(mlp, known), Side(mlp), part))


def test_a_layer_that_only_one_has(mlp, mlp_data):
    other = nn.Sequential(nn.Linear(12, 4))
    found = pv.compare(mlp, other, mlp_data)
    assert [layer.name for layer in found.layers] == ["fc1", "fc2", "fc3", "0"]
    assert found.layers[-1].params == (None, 52)
    assert found.layers[0].params[1] is None


def test_steps_say_what_they_do_and_rise(mlp, mlp_data):
    steps = list(compare_steps(Side(mlp), Side(seeded(TinyMLP, 3)), mlp_data.test, most=1))
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert steps[0].text == "Measuring the first network"
    assert all(s.result is None for s in steps[:-1])
    assert steps[-1].result.forgotten.confidence[1:].isnan().all()


# -- intervals ---------------------------------------------------------------------------


def test_paired_interval_by_hand():
    # (2 + 1/2 - 10 - 1/2) / 102, with sqrt(13 - 64 / 102) / 102 on both sides
    low, high = paired(2, 10, 100)
    half = 1.959963984540054 * math.sqrt(13 - 64 / 102) / 102
    assert (low, high) == pytest.approx((-8 / 102 - half, -8 / 102 + half))


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (0, 1, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (3, 3, 1.0)],
)
def test_mcnemar_by_hand(gained, lost, p):
    assert mcnemar(gained, lost) == pytest.approx(p)
    assert mcnemar(lost, gained) == pytest.approx(p)


def test_mcnemar_of_thousands():
    assert 0 < mcnemar(2000, 2200) < 0.01
    assert mcnemar(0, 10_000) >= 0


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_interval_holds_the_difference(gained, lost, same):
    count = gained + lost + same
    if not count:
        return
    low, high = paired(gained, lost, count)
    assert -1 <= low <= (gained - lost) / count <= high <= 1
    assert low < high
