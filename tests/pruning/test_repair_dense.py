"""Repairs of linear layers: by hand, against numpy, and as the formulas predict."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from repaired import change, outputs, plan_of, planned
from torch import nn

from prunevis.errors import SpecError
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, masked, rank, remove, repaired
from prunevis.pruning.repairs.leastsquares import obs_sweep, projection

#: In the order in which they are told apart on the toy layer.
REPAIRS = ("none", "mean", "noiseout", "least-squares")


def toy(h, weight, bias):
    """Return a network whose first layer hands its inputs on, `h` (N, C), read by a second."""
    units = h.shape[1]
    model = nn.Sequential(nn.Linear(units, units), nn.Linear(units, weight.shape[0]))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(units))
        model[0].bias.zero_()
        model[1].weight.copy_(weight)
        model[1].bias.copy_(bias)
    return model.eval()


@pytest.fixture
def correlated():
    """Four units of which 2 follows 0 with a little of 1, and some noise; it goes."""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(4000, 4, generator=generator).abs()
    noise = torch.randn(4000, generator=generator)
    h[:, 2] = 0.8 * h[:, 0] + 0.05 * h[:, 1] + 0.1 * noise + 0.7
    weight = torch.tensor([[0.5, -1.0, 1.0, 0.2], [1.0, 0.3, -0.5, 0.1], [0.1, 0.2, 0.4, -0.3]])
    return toy(h, weight, torch.tensor([0.1, 0.2, -0.3])), h


def test_each_repair_leaves_less_than_the_one_before_and_what_the_moments_predict(correlated):
    model, h = correlated
    left = []
    for repair in REPAIRS:
        plan = planned(model, h, {"0": [2]}, repair)
        left.append(change(model, plan, h))
        if repair != "none":
            damage = repaired(model, plan).damage["1"]
            assert damage.repaired == pytest.approx(left[-1], rel=1e-3)
            assert damage.deleted == pytest.approx(left[0], rel=1e-3)
    assert left[0] > 2 * left[1] > 2 * left[2] > 2 * left[3] * 1.0001

    # what the papers say each must leave: ‖V_u‖² times E[h_u²], var_u, var_u (1 − ρ²)
    x = h.double().numpy()
    length = float(model[1].weight[:, 2].detach().double().square().sum())
    var = x[:, 2].var()
    rho = np.corrcoef(x[:, 2], x[:, 0])[0, 1]
    assert left[0] == pytest.approx(length * (x[:, 2] ** 2).mean(), rel=1e-4)
    assert left[1] == pytest.approx(length * var, rel=1e-4)
    assert left[2] == pytest.approx(length * var * (1 - rho**2), rel=1e-3)
    design = np.c_[x[:, [0, 1, 3]], np.ones(len(x))]
    rest = np.linalg.lstsq(design, x[:, 2], rcond=None)[1][0] / len(x)
    assert left[3] == pytest.approx(length * rest, rel=1e-3)


def test_noiseout_by_hand():
    # h_1 = 2 h_0 + 3 exactly; h_2 has nothing to do with them
    h = torch.tensor([[0.0, 3.0, 1.0], [1.0, 5.0, -1.0], [2.0, 7.0, -1.0], [3.0, 9.0, 1.0]])
    model = toy(h, torch.tensor([[1.0, 10.0, 100.0]]), torch.tensor([0.5]))
    plan = planned(model, h, {"0": [1]}, "noiseout")
    found = repaired(model, plan).tensors
    assert found["1.weight"][0, [0, 2]].tolist() == pytest.approx([21.0, 100.0])  # 1 + 2 · 10
    assert found["1.bias"].tolist() == pytest.approx([30.5])  # 0.5 + 3 · 10
    assert change(model, plan, h) == pytest.approx(0.0, abs=1e-4)


def test_the_mean_by_hand():
    h = torch.tensor([[1.0, 4.0], [3.0, 4.0]])
    model = toy(h, torch.tensor([[1.0, -0.5]]), torch.tensor([0.25]))
    found = repaired(model, planned(model, h, {"0": [1]}, "mean")).tensors
    assert found["1.bias"].tolist() == [0.25 - 2.0]
    assert found["1.weight"].tolist() == [[1.0, -0.5]]  # of full size; the mask takes the column


def test_merging_by_hand():
    """Weights (3, 4 | 5) and (6, 8 | 10) are multiples of each other; (0, 1 | 0) of neither."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]]))
        model[0].bias.copy_(torch.tensor([5.0, 0.0, 10.0]))
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    plan = planned(model, x, {"0": [2]}, "merge")
    found = repaired(model, plan).tensors["2.weight"]
    old = model[2].weight.detach()
    assert torch.allclose(found[:, 0], old[:, 0] + 2 * old[:, 2])
    assert torch.equal(found[:, 1], old[:, 1])
    assert change(model, plan, x) < 1e-10


def test_units_that_point_elsewhere_are_only_deleted_and_it_says_how_many():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 0.1], [-1.0, 0.0]]))
        model[0].bias.zero_()
    found = repaired(model, planned(model, torch.randn(8, 2), {"0": [1, 2]}, "merge"))
    assert found.notes["2"].startswith("1 of 2 units were merged")
    old = model[2].weight.detach()
    factor = (4.01) ** 0.5
    assert torch.allclose(found.tensors["2.weight"][:, 0], old[:, 0] + factor * old[:, 1])


def test_merging_is_refused_behind_an_activation_that_no_factor_passes():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)).eval()
    plan = planned(model, torch.randn(8, 3), {"0": [0]}, "merge")
    found = repaired(model, plan)
    assert found.skipped == {"2": "`0` is followed by sigmoid, which no factor passes through."}
    assert not found.tensors


@given(
    st.integers(2, 7), st.integers(1, 4), st.integers(0, 2**16), st.data()
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_least_squares_is_what_numpy_finds(units, rows, seed, data):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(200, units)) @ generator.normal(size=(units, units))
    x += generator.normal(size=units)
    goes = data.draw(
        st.lists(st.integers(0, units - 1), min_size=1, max_size=units - 1, unique=True)
    )
    stays = [unit for unit in range(units) if unit not in goes]
    centred = torch.tensor(x - x.mean(0))
    found = projection(
        centred.T @ centred / 200, torch.tensor(goes), torch.tensor(stays), ridge=1e-12
    )
    design = np.c_[x[:, stays], np.ones(200)]
    expected = np.linalg.lstsq(design, x[:, goes], rcond=None)[0][:-1].T
    assert np.allclose(found.numpy(), expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


def test_dead_duplicate_and_constant_units_are_no_trouble():
    """The covariance of what stays is singular: a unit twice, one dead, one constant."""
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(60, 6, generator=generator)
    h[:, 1], h[:, 3], h[:, 4] = h[:, 0], 0.0, 2.5
    model = toy(h, torch.randn(3, 6, generator=generator), torch.zeros(3))
    for repair in ("noiseout", "least-squares"):
        # 0 goes while its copy stays; the constant one goes; the dead one stays
        plan = planned(model, h, {"0": [0, 4]}, repair)
        assert change(model, plan, h) < 1e-6
    # nothing that stays ever varies
    plan = planned(model, h, {"0": [0, 1, 2, 5]}, "least-squares")
    assert all(bool(t.isfinite().all()) for t in repaired(model, plan).tensors.values())


def test_fewer_examples_than_units_are_told():
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(5, 8, generator=generator)
    model = toy(h, torch.randn(3, 8, generator=generator), torch.zeros(3))
    found = repaired(model, planned(model, h, {"0": [0]}, "least-squares"))
    assert found.notes["1"].startswith("5 samples for 7 columns: only the ridge")


def test_a_reader_without_bias_is_fitted_through_zero_and_the_mean_refused():
    generator = torch.Generator().manual_seed(2)
    h = torch.rand(200, 3, generator=generator) + 1.0
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2, bias=False)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3))
        model[0].bias.zero_()
    found = repaired(model, planned(model, h, {"0": [2]}, "mean"))
    assert "neither a bias nor a BatchNorm of its own" in found.skipped["1"]
    plan = planned(model, h, {"0": [2]}, "least-squares")
    new = repaired(model, plan).tensors["1.weight"].double().numpy()
    x, old = h.double().numpy(), model[1].weight.detach().double().numpy()
    slope = np.linalg.lstsq(x[:, :2], x[:, 2], rcond=None)[0]
    assert np.allclose(new[:, :2], old[:, :2] + np.outer(old[:, 2], slope), atol=2e-3)
    line = planned(model, h, {"0": [2]}, "noiseout")
    left = [change(model, p, h) for p in (planned(model, h, {"0": [2]}, "none"), line, plan)]
    assert left[0] > 5 * left[1] > left[2]


def test_the_sweep_over_weights_by_hand():
    """Two equal inputs: what the first column loses the second takes over whole."""
    moment = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    weight = torch.tensor([[3.0, 1.0], [2.0, 5.0]], dtype=torch.float64)
    kept = torch.tensor([[False, True], [True, True]])
    found = obs_sweep(weight, kept, moment)
    assert found[0].tolist() == pytest.approx([0.0, 1 + 3 / 1.01])  # damped by one per cent
    assert found[1].tolist() == [2.0, 5.0]
    assert torch.equal(obs_sweep(weight, kept, moment, block=1), found)


def test_the_sweep_leaves_less_than_zeros_do():
    generator = torch.Generator().manual_seed(3)
    # twelve inputs of five kinds, so that what goes can be made good
    x = torch.randn(300, 5, generator=generator) @ torch.randn(5, 12, generator=generator)
    model = nn.Sequential(nn.Linear(12, 6)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(6, 12, generator=generator))
    graph = trace(model, x[:1])
    left = {}
    for repair in ("none", "mean", "obs"):
        spec = PruningSpec.make(sparsity=0.5, layers=["0"], repair=repair)
        plan = rank(model, spec, graph=graph, data=(x + 1, torch.zeros(300).long())).plan()
        with torch.no_grad():
            dense = model(x + 1)
            with masked(model, plan):
                left[repair] = float((model(x + 1) - dense).square().mean())
                assert int((model[0].weight == 0).sum()) == plan.num_removed
    assert left["none"] > left["mean"] > 1.3 * left["obs"]


def test_a_plan_made_by_hand_without_statistics_says_what_it_lacks(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    with pytest.raises(SpecError, match="reads what layers read, and that was not collected"):
        plan_of(graph, {"fc1": [0]}, "least-squares")
    with pytest.raises(SpecError, match="runs calibration examples"):
        plan_of(graph, {"fc1": [0]}, "batchnorm")
    with pytest.raises(SpecError, match="collect_statistics"):
        rank(mlp, PruningSpec.make("l2", "unit", repair="mean"), graph=graph)
    with pytest.raises(SpecError, match="'obs' does not mend the loss of units"):
        PruningSpec.make("l2", "unit", repair="obs")
    with pytest.raises(SpecError, match="'least-squares' does not mend the loss of weights"):
        PruningSpec.make(repair="least-squares")


def test_statistics_of_another_network_are_no_reason_to_guess(mlp):
    """Layers whose inputs were not collected are plainly pruned, and it is said."""
    x = torch.randn(50, 12)
    plan = planned(mlp, x, {"fc1": [1, 2], "fc2": [0]}, "least-squares")
    plan.mending.statistics.inputs.pop("fc3")
    found = repaired(mlp, plan)
    assert set(found.skipped) == {"fc3"}
    assert "was not collected" in found.skipped["fc3"]
    assert set(found.tensors) == {"fc2.weight", "fc2.bias"}
    _, zeros, smaller = outputs(mlp, plan, x)
    assert torch.allclose(zeros, smaller, atol=1e-6)


def test_nothing_of_the_network_changes(mlp, mlp_data):
    before = {name: tensor.clone() for name, tensor in mlp.state_dict().items()}
    state = torch.get_rng_state()
    spec = PruningSpec.make("l2", "unit", sparsity=0.5, repair="least-squares")
    ranking = rank(mlp, spec, data=mlp_data)
    plan = ranking.plan()
    assert repr(plan).endswith("repaired: least-squares)")
    assert "repaired" not in repr(ranking.mended(None).plan())
    with masked(mlp, plan):
        assert not torch.equal(mlp.fc2.bias, before["fc2.bias"])
    smaller = remove(mlp, plan)
    assert smaller.fc2.bias.shape == plan.kept["fc2"].shape
    assert all(torch.equal(mlp.state_dict()[name], value) for name, value in before.items())
    assert torch.equal(state, torch.get_rng_state())
