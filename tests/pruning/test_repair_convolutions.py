"""Repairs of convolutions: behind BatchNorm, pooling, flattening, depthwise filters, additions."""

import pytest
import torch
from repaired import change, outputs, plan_of, planned
from tiny_networks import settle_norms
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.graph import trace
from prunevis.pruning import repaired
from prunevis.pruning.repairs.base import RepairContext
from prunevis.pruning.repairs.merging import folded_rows, pair_units

#: Every repair that rebuilds a copy from the unit that it is a copy of.
REBUILD = ("merge", "noiseout", "least-squares")


class Chain(nn.Module):
    """A convolution, whatever comes between, and a reader."""

    def __init__(self, between: nn.Module, reader: nn.Module, bias: bool = True) -> None:
        super().__init__()
        self.a, self.between, self.reader = nn.Conv2d(2, 5, 3, bias=bias), between, reader

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.between(self.a(x)))


class Joined(nn.Module):
    """Two convolutions added channel by channel; the sum is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.na = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.b, self.nb = nn.Conv2d(5, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.na(self.a(x)))
        x = torch.relu(x + self.nb(self.b(x)))
        return self.fc(x.mean((2, 3)))


CASES = {
    "norm": lambda: Chain(nn.Sequential(nn.BatchNorm2d(5), nn.ReLU()), nn.Conv2d(5, 3, 3)),
    "padded reader": lambda: Chain(nn.ReLU(), nn.Conv2d(5, 3, 3, padding=1)),
    "max-pool": lambda: Chain(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), nn.Conv2d(5, 3, 2)),
    "flatten": lambda: Chain(
        nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()), nn.Linear(45, 3)
    ),
    "strided": lambda: Chain(nn.ReLU(), nn.Conv2d(5, 3, 3, stride=2, dilation=2)),
    "no bias": lambda: Chain(nn.ReLU(), nn.Conv2d(5, 3, 3, bias=False)),
    "reader's norm": lambda: Chain(
        nn.ReLU(), nn.Sequential(nn.Conv2d(5, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3))
    ),
    "depthwise": lambda: Chain(
        nn.Sequential(nn.ReLU(), nn.Conv2d(5, 5, 3, groups=5), nn.ReLU()), nn.Conv2d(5, 3, 1)
    ),
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = settle_norms(CASES[name]()).eval()
        return model, torch.randn(24, 2, 8, 8)


def duplicate(model: nn.Module, factor: float = 1.0) -> None:
    """Make unit 3 of `a` a positive multiple of unit 1, up to where it is read."""
    with torch.no_grad():
        for module in model.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is not None and tensor.dim() and tensor.shape[0] == 5:
                    tensor[3] = tensor[1]
        model.a.weight[3] *= factor
        if model.a.bias is not None:
            model.a.bias[3] *= factor


@pytest.mark.parametrize("repair", REBUILD)
@pytest.mark.parametrize("name", CASES)
def test_a_copy_is_rebuilt_exactly(name, repair):
    model, x = made(name)
    # a BatchNorm does not let the factor of a convolution through with its shift
    duplicate(model, 1.0 if name == "norm" else 2.0)
    if name == "depthwise":
        with torch.no_grad():
            model.between[1].bias.zero_()
    deleted = change(model, planned(model, x, {"a": [3]}, "none"), x)
    plan = planned(model, x, {"a": [3]}, repair)
    if name == "depthwise" and repair == "merge":
        assert (
            "filters each of its input channels by itself"
            in repaired(model, plan).skipped["reader"]
        )
        assert change(model, plan, x) == deleted
        return
    assert not repaired(model, plan).skipped
    assert deleted > 1e-3
    assert change(model, plan, x) < 1e-5 * deleted


def test_a_grouped_reader_loses_the_same_position_of_each_group():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2)).eval()
        x = torch.randn(24, 2, 8, 8)
    with torch.no_grad():  # of 0 1 2 | 3 4 5 the last of each is twice the first
        for unit in (0, 3):
            model[0].weight[unit + 2] = 2 * model[0].weight[unit]
            model[0].bias[unit + 2] = 2 * model[0].bias[unit]
    graph = trace(model, x[:1])
    units = {int(u) for m in graph.groups["0"].members if m.role == "producer" for u in m.units}
    assert units == {0, 1, 2}
    deleted = change(model, planned(model, x, {"0": [2]}, "none"), x)
    for repair in ("noiseout", "least-squares"):
        plan = planned(model, x, {"0": [2]}, repair)
        assert change(model, plan, x) < 1e-5 * deleted


@pytest.mark.parametrize("repair", ["none", "mean", "noiseout", "least-squares"])
@pytest.mark.parametrize("name", CASES)
def test_the_moments_predict_what_is_left(name, repair):
    """Every position of every example entered, so the prediction is the figure itself."""
    model, x = made(name)
    plan = planned(model, x, {"a": [0, 3]}, repair)
    found = repaired(model, plan)
    left = change(model, plan, x)
    if repair == "none":
        assert left > 0
        return
    if name == "no bias" and repair == "mean":
        assert "nor a BatchNorm of its own" in found.skipped["reader"]
        return
    if name == "reader's norm":  # the change is looked at behind it
        return
    (damage,) = found.damage.values()
    assert damage.repaired == pytest.approx(left, rel=1e-3)
    assert damage.repaired <= damage.deleted


def test_repairs_get_better_behind_a_norm():
    model, x = made("norm")
    left = [
        change(model, planned(model, x, {"a": [0, 3]}, repair), x)
        for repair in ("none", "mean", "noiseout", "least-squares")
    ]
    assert left == sorted(left, reverse=True)


def test_the_border_error_of_a_padded_reader():
    """A unit that is constant: its mean rebuilds it inside, and misses by the padding outside."""
    model, x = made("padded reader")
    with torch.no_grad():
        model.a.weight[3], model.a.bias[3] = 0.0, 2.0
    plan = planned(model, x, {"a": [3]}, "mean")
    assert "padded with zeros" in repaired(model, plan).notes["reader"]
    dense, zeros, _ = outputs(model, plan, x)
    error = (zeros - dense).abs().amax((0, 1))
    inner, border = error[2:-2, 2:-2].max(), error[0].max()
    assert border > 2 * inner > 0
    # without padding there is nothing to miss
    valid, x = made("max-pool")
    with torch.no_grad():
        valid.a.weight[3], valid.a.bias[3] = 0.0, 2.0
    plan = planned(valid, x, {"a": [3]}, "mean")
    assert not repaired(valid, plan).notes
    assert change(valid, plan, x) < 1e-9


def test_a_constant_goes_into_the_norm_of_a_reader_without_bias():
    model, x = made("reader's norm")
    found = repaired(model, planned(model, x, {"a": [3]}, "mean"))
    assert set(found.tensors) == {"reader.0.weight", "reader.1.running_mean"}
    assert not found.skipped
    lost = found.tensors["reader.1.running_mean"] - model.reader[1].running_mean
    h = torch.relu(model.a(x))
    h[:, [0, 1, 2, 4]] = 0
    expected = F.conv2d(h, model.reader[0].weight, padding=1).mean((0, 2, 3))
    assert torch.allclose(-lost, expected, atol=1e-5)


def test_one_factor_holds_for_a_sum_only_if_it_holds_for_each_part():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = settle_norms(Joined()).eval(), torch.randn(24, 2, 8, 8)
    duplicate(model)
    deleted = change(model, planned(model, x, {"a": [3]}, "none"), x)
    for repair in REBUILD:
        plan = planned(model, x, {"a": [3]}, repair)
        assert not repaired(model, plan).skipped
        # both readers, `b` and `fc`, are mended
        assert change(model, plan, x) < 1e-5 * deleted
    # one part differs: least squares finds what can be saved, a factor cannot
    with torch.no_grad():
        model.b.weight[3] = -model.b.weight[1]
    plan = planned(model, x, {"a": [3]}, "merge")
    assert change(model, plan, x) > 1e-2 * deleted


def test_the_algebra_behind_a_norm():
    """S and B as the papers' reference writes them out, against the folded rows."""
    model, x = made("norm")
    norm = model.between[0]
    with torch.no_grad():
        model.a.bias.zero_()
        model.a.weight[3] = 1.5 * model.a.weight[1]
        norm.weight[1] = norm.weight[1].abs()
        norm.weight[3] = norm.weight[3].abs()
    plan = planned(model, x, {"a": [3]}, "merge")
    tensors = {n: t.detach() for n, t in [*model.named_parameters(), *model.named_buffers()]}
    context = RepairContext(model, plan.graph, tensors, plan, None)
    rows = folded_rows(plan.graph.groups["a"], context)
    sigma = (norm.running_var + norm.eps).sqrt().double()
    gamma, beta = norm.weight.detach().double(), norm.bias.detach().double()
    mu = norm.running_mean.double()
    d, k, s = 3, 1, 1.5
    factor = s * (gamma[d] / gamma[k]) * (sigma[k] / sigma[d])
    shift = (gamma[d] / sigma[d]) * (s * (mu[k] - sigma[k] * beta[k] / gamma[k]) - mu[d]) + beta[d]
    assert float(rows.rows[d].norm() / rows.rows[k].norm()) == pytest.approx(
        float(factor), rel=1e-6
    )
    assert float(rows.shifts[d, 0] - factor * rows.shifts[k, 0]) == pytest.approx(float(shift))
    # behind the norm the outputs are S y + B
    y = norm(model.a(x)).detach().double()
    assert torch.allclose(y[:, d], factor * y[:, k] + shift, atol=1e-4)
    pairs = pair_units(rows, torch.tensor([1]), 5)
    place = pairs.goes.tolist().index(3)
    assert float(pairs.factor[place]) == pytest.approx(float(factor), rel=1e-6)


def test_statistics_of_norms_are_those_of_the_pruned_network():
    model, x = made("reader's norm")
    plan = planned(model, x, {"a": [0, 3]}, "batchnorm")
    found = repaired(model, plan).tensors
    assert set(found) == {"reader.1.running_mean", "reader.1.running_var"}
    with torch.no_grad():
        h = torch.relu(model.a(x))
        h[:, [0, 3]] = 0
        y = model.reader[0](h)
    assert torch.allclose(found["reader.1.running_mean"], y.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(found["reader.1.running_var"], y.var((0, 2, 3)), rtol=1e-4)
    assert int(model.reader[1].num_batches_tracked) == 0
    # of units that go the old ones stay, and no variance is zero
    model, x = made("norm")
    plan = planned(model, x, {"a": [0, 3]}, "batchnorm")
    found = repaired(model, plan).tensors["between.0.running_var"]
    assert torch.equal(found[[0, 3]], model.between[0].running_var[[0, 3]])
    assert not torch.equal(found, model.between[0].running_var)
    assert change(model, plan, x) > 0


def test_a_layer_that_is_called_twice_is_refused(mlp):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.fc = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = torch.relu(self.a(x))
            return self.fc(torch.relu(self.b(torch.relu(self.b(x)))))

    model = Twice().eval()
    x = torch.randn(30, 4)
    plan = planned(model, x, {"a": [1]}, "least-squares")
    found = repaired(model, plan)
    assert found.skipped == {
        "b": "`b` is called several times, and reads something else each time."
    }
    assert set(found.tensors) == {"fc.weight", "fc.bias"}


def test_plans_without_statistics_are_for_repairs_without_data():
    model, x = made("padded reader")
    plan = plan_of(trace(model, x[:1]), {"a": [3]}, "merge")
    assert plan.mending.statistics is None
    assert set(repaired(model, plan).tensors) <= {"reader.weight"}
