"""Units are taken out of a copy, which then gives what zeros in place give."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.errors import ModelError, SpecError
from prunevis.graph.trace import trace
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove, remove_units
from prunevis.pruning.spec import PruningSpec


class Small(nn.Module):
    """Convolution, norm, depthwise, pooling, flatten, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.d = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.fc1, self.fc2 = nn.Linear(12 * 9, 8), nn.Linear(8, 5)
        self.register_buffer("gain", torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.d(F.silu(self.bn(self.a(x))))
        x = F.max_pool2d(x, 2).flatten(1)
        return self.fc2(torch.sigmoid(self.fc1(x)) * self.gain)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def graph(model):
    return trace(model, torch.zeros(1, 1, 6, 6))


def masked_output(model, graph, kept, x):
    """Zero every member of the units that leave, by hand, and run."""
    tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
    for name, units in kept.items():
        for member in graph.groups[name].members:
            gone = (member.units >= 0) & ~torch.isin(member.units, units)
            if member.role != "statistic":
                tensors[member.tensor].index_fill_(member.axis, gone.nonzero().flatten(), 0)
    return torch.func.functional_call(model, tensors, (x,))


def test_removed_equals_masked(model, graph):
    kept = {"a": torch.tensor([4, 0, 3]), "fc1": torch.tensor([1, 2, 7])}
    smaller = remove_units(model, graph, kept).eval()
    x = torch.randn(4, 1, 6, 6)
    torch.testing.assert_close(smaller(x), masked_output(model.eval(), graph, kept, x))


def test_sizes_that_modules_state_agree_with_their_tensors(model, graph):
    smaller = remove_units(model, graph, {"a": torch.tensor([0, 5]), "fc1": torch.arange(3)})
    assert (smaller.a.in_channels, smaller.a.out_channels) == (1, 2)
    assert (smaller.d.in_channels, smaller.d.out_channels, smaller.d.groups) == (2, 4, 2)
    assert smaller.bn.num_features == 2
    assert (smaller.fc1.in_features, smaller.fc1.out_features) == (36, 3)
    assert (smaller.fc2.in_features, smaller.fc2.out_features) == (3, 5)
    assert smaller.gain.shape == (3,)
    assert torch.equal(smaller.d.weight, model.d.weight[[0, 1, 10, 11]])


def test_the_smaller_network_can_be_traced_removed_from_and_trained(model, graph):
    smaller = remove_units(model, graph, {"a": torch.arange(4)})
    again = trace(smaller, torch.zeros(1, 1, 6, 6))
    assert again.groups["a"].size == 4
    smallest = remove_units(smaller, again, {"a": torch.arange(2)}).train()
    before = smallest.a.weight.detach().clone()
    optimiser = torch.optim.SGD(smallest.parameters(), lr=0.1)
    F.cross_entropy(smallest(torch.randn(4, 1, 6, 6)), torch.arange(4)).backward()
    optimiser.step()
    assert not torch.equal(before, smallest.a.weight)


def test_the_original_is_bit_identical_and_shares_nothing(model, graph):
    model.train()
    model.bn.eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    smaller = remove_units(model, graph, {"a": torch.arange(3)})
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in state.items())
    assert model.fc2.training
    assert not model.bn.training
    assert not smaller.bn.training
    assert smaller.fc2.training
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in smaller.state_dict().values())
    assert torch.equal(smaller.bn.running_mean, model.bn.running_mean[:3])


def test_frozen_parameters_types_and_layout_are_kept(model, graph):
    model.double()
    model.a.weight.requires_grad_(False)
    model.d.to(memory_format=torch.channels_last)
    graph = trace(model, torch.zeros(1, 1, 6, 6, dtype=torch.float64))
    smaller = remove_units(model, graph, {"a": torch.arange(3)})
    assert not smaller.a.weight.requires_grad
    assert smaller.a.bias.requires_grad
    assert smaller.a.weight.dtype == torch.float64
    assert isinstance(smaller.a.weight, nn.Parameter)


def test_tied_parameters_stay_tied():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2)
    )
    model[3].weight = model[1].weight
    graph = trace(model, torch.zeros(1, 4))
    smaller = remove_units(model, graph, {"0": torch.tensor([0, 2, 5])})
    assert smaller[3].weight is smaller[1].weight
    assert smaller[1].weight.shape == (3, 3)
    assert (smaller[3].in_features, smaller[3].out_features) == (3, 3)


def test_nothing_to_remove_gives_a_copy(model, graph):
    smaller = remove_units(model, graph, {})
    assert smaller is not model
    x = torch.randn(2, 1, 6, 6)
    assert torch.equal(smaller.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ({"b": torch.arange(3)}, "There is no channel group `b`.*Expected: a, fc1, fc2"),
        ({"a": torch.arange(0)}, "No unit of `a` would be left.*at least one"),
        ({"a": torch.tensor([0, 6])}, "numbers from 0 to 5, each once. Got: from 0 to 6"),
        ({"a": torch.tensor([-1, 0])}, "Got: from -1"),
        ({"a": torch.tensor([1, 1])}, "not 2 different units"),
        ({"a": torch.ones(6, dtype=torch.bool)}, "by their numbers.*Got: torch.bool"),
        ({"fc2": torch.arange(3)}, "`fc2` gives the model's outputs"),
    ],
)
def test_wrong_requests(model, graph, kept, sentence):
    with pytest.raises(SpecError, match=sentence):
        remove_units(model, graph, kept)


def test_outputs_leave_only_if_asked_for(model, graph):
    smaller = remove_units(model, graph, {"fc2": torch.tensor([1, 3])}, allow_output=True).eval()
    x = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(smaller(x), model.eval()(x)[:, [1, 3]])


def test_units_with_a_reason_are_refused_by_it():
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    graph = trace(model, torch.zeros(1, 4))
    with pytest.raises(SpecError, match=r"`0` cannot be removed.*native_layer_norm` in `1`"):
        remove_units(model, graph, {"0": torch.arange(3)}, allow_output=True)


class HardCoded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 6, 3), nn.Linear(6 * 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).view(-1, 6 * 16))


def test_sizes_hard_coded_in_forward_are_found_by_trying():
    model = HardCoded()
    graph = trace(model, torch.zeros(1, 1, 6, 6))
    assert "uses a size that is hard-coded there" in str(graph.groups["conv"].reason)
    with pytest.raises(SpecError, match=r"Units of `conv` cannot be removed.*hard-coded"):
        remove_units(model, graph, {"conv": torch.arange(3)})


class OneLine(nn.Module):
    """Calls on one line of which one is hard-coded: only that one is to blame."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.out = nn.Conv2d(1, 6, 3), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x)).view(-1, 6, 16).mean(2)
        return self.out(torch.relu(self.fc(y)))


def test_what_is_hard_coded_is_named_and_nothing_else():
    graph = trace(OneLine(), torch.zeros(1, 1, 6, 6))
    assert str(graph.groups["conv"].reason).startswith("`aten.view` in the model's own forward")
    assert graph.groups["fc"].reason is None


class Counting(nn.Module):
    """Divides by its number of channels, which removal changes and zeros do not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.out(y / torch.tensor(float(y.shape[1])))


def test_networks_that_would_answer_differently_are_refused():
    model = Counting()
    graph = trace(model, torch.zeros(1, 1, 6, 6))
    with pytest.raises(ModelError, match="other outputs than with zeros in place"):
        remove_units(model, graph, {"conv": torch.arange(3)})
    assert remove_units(model, graph, {"conv": torch.arange(3)}, check=False) is not model


class Auxiliary(nn.Module):
    """Hides a head from the trace: it runs only in training, and after ten calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out, self.aux = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 2, 1), nn.Conv2d(6, 2, 1)
        self.hidden = True

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.training and not self.hidden:
            return self.out(y) + self.aux(y)
        return self.out(y)


def test_a_head_that_the_trace_never_saw_is_named():
    model = Auxiliary()
    graph = trace(model, torch.zeros(1, 1, 6, 6))
    model.hidden = False
    with pytest.raises(ModelError, match=r"training mode.*`aux` was not reached when"):
        remove_units(model, graph, {"conv": torch.arange(3)})


def test_a_head_for_training_only_is_removed_from_too():
    model = Auxiliary()
    model.hidden = False
    graph = trace(model, torch.zeros(1, 1, 6, 6))
    smaller = remove_units(model, graph, {"conv": torch.arange(3)}).train()
    assert smaller.aux.in_channels == 3
    assert smaller(torch.zeros(2, 1, 6, 6)).shape == (2, 2, 4, 4)


def test_models_that_cannot_be_copied(model, graph):
    model.lock = threading.Lock()
    with pytest.raises(ModelError, match=r"cannot be copied: TypeError.*lock"):
        remove_units(model, graph, {"a": torch.arange(3)})


def test_graphs_of_another_network(graph):
    other = Small()
    other.fc1 = nn.Linear(12 * 9, 9)
    with pytest.raises(ModelError, match=r"of another network.*`fc1\.weight` of shape \(8, 108\)"):
        remove_units(other, graph, {"a": torch.arange(3)})


def make_plan(graph, granularity, cuts):
    names = {name: graph.groups[name].size for name in cuts}
    if granularity == "weight":
        names = {name: graph.layers[name].num_weights for name in cuts}
    return PruningPlan(
        graph=graph,
        spec=PruningSpec(granularity=granularity),
        ranks={name: torch.arange(size) for name, size in names.items()},
        cuts=cuts,
        removed=cuts,
        total=names,
    )


def test_a_plan_is_carried_out(model, graph):
    smaller = remove(model, make_plan(graph, "unit", {"a": 2, "fc1": 5}))
    assert torch.equal(smaller.fc1.bias, model.fc1.bias[5:])
    assert torch.equal(smaller.a.weight, model.a.weight[2:])


def test_a_plan_of_weights_is_refused(model, graph):
    with pytest.raises(SpecError, match="Single weights cannot be removed, only masked"):
        remove(model, make_plan(graph, "weight", {"a": 2}))
