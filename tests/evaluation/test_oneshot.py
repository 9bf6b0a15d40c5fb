"""`prune`: one call, and every bad input a sentence.

Long on purpose: it is the table of bad inputs, one entry each.
"""

import math

import pytest
import torch
from tiny_networks import TinyMLP, answered, labelled, seeded
from torch import nn
from torch.nn.utils import prune as torch_prune
from torch.utils.data import DataLoader, TensorDataset

import prunevis
from prunevis.errors import (
    DataError,
    ModelError,
    NonFiniteError,
    NothingToPruneError,
    SpecError,
    TraceError,
    UnknownNameError,
)
from prunevis.evaluation import Pruned, evaluate, prune
from prunevis.graph import cost, trace
from prunevis.pruning import PruningSpec, masked, rank, remove


def test_weights_in_one_call(mlp, mlp_data, untouched_model):
    check = untouched_model(mlp)
    found = prune(mlp, mlp_data, sparsity=0.75)
    check()
    assert isinstance(found, Pruned)
    assert found.plan.num_removed == 108  # of 96 + 48
    assert {n: int((p == 0).sum()) for n, p in found.model.named_parameters()} == {
        n: found.plan.removed.get(n.removesuffix(".weight"), 0) for n, _ in mlp.named_parameters()
    }
    assert found.accuracy_before == evaluate(mlp, mlp_data).accuracy
    assert found.accuracy_after == evaluate(found.model, mlp_data).accuracy
    with masked(mlp, found.plan):
        assert found.accuracy_after == evaluate(mlp, mlp_data).accuracy
    assert found.cost_before.nonzero_params == 186
    assert found.cost_after.nonzero_params == 78
    assert found.skipped == {}


def test_units_in_one_call(residual, residual_data, untouched_model):
    check = untouched_model(residual)
    found = prune(residual, residual_data, criterion="l1", granularity="unit", sparsity=0.4)
    check()
    assert found.cost_after.num_params == sum(p.numel() for p in found.model.parameters())
    assert found.cost_after.num_params < found.cost_before.num_params
    smaller = remove(residual, found.plan)
    assert found.accuracy_after == evaluate(smaller, residual_data).accuracy
    assert not any(m.training for m in found.model.modules()) or residual.training


def test_it_is_what_its_parts_give(mlp, mlp_data):
    found = prune(mlp, mlp_data, scope="layer", sparsity=0.3, layers={"fc1": 0.5, "fc3": None})
    graph = trace(mlp, mlp_data.test.inputs[:1])
    spec = PruningSpec.make("magnitude", "weight", "layer", 0.3, {"fc1": 0.5, "fc3": None})
    plan = rank(mlp, spec, graph=graph).plan()
    assert found.plan.removed == plan.removed == {"fc1": 48, "fc3": 7}
    assert all(torch.equal(found.plan.masks[n], plan.masks[n]) for n in plan.masks)
    assert found.cost_after.nonzero_params == cost(graph, plan).nonzero_params


@pytest.mark.parametrize(
    "form",
    [
        lambda d: d,
        lambda d: (d.test.inputs, d.test.targets),
        lambda d: TensorDataset(*d.test),
        lambda d: DataLoader(TensorDataset(*d.test), batch_size=7),
    ],
)
def test_any_form_of_data(mlp, mlp_data, form):
    found = prune(mlp, form(mlp_data), sparsity=0.5)
    assert found.before.total == 60
    assert found.accuracy_after == prune(mlp, mlp_data, sparsity=0.5).accuracy_after


def test_statistics_come_from_the_training_part(mlp, mlp_data):
    options = {"criterion": "mean-activation", "granularity": "unit", "sparsity": 0.5}
    statistics = prunevis.collect_statistics(mlp, mlp_data)
    assert statistics.split == "train"
    found = prune(mlp, mlp_data, **options)
    handed = prune(mlp, mlp_data, statistics=statistics, **options)
    for name, kept in found.plan.kept.items():
        assert torch.equal(kept, handed.plan.kept[name])


@pytest.mark.parametrize("training", [True, False])
def test_flags_gradients_and_frozen_parameters(mlp, mlp_data, untouched_model, training):
    mlp.train(training)
    mlp.fc2.train(not training)
    mlp.requires_grad_(False)
    mlp.fc3.weight.requires_grad_(True).grad = torch.ones(4, 6)
    check = untouched_model(mlp)
    found = prune(mlp, mlp_data, sparsity=0.5)
    check()
    assert {n: p.requires_grad for n, p in found.model.named_parameters()} == {
        n: p.requires_grad for n, p in mlp.named_parameters()
    }
    smaller = prune(mlp, mlp_data, criterion="l2", granularity="unit", sparsity=0.5).model
    assert not smaller.fc1.weight.requires_grad
    check()


def test_repr_of_weights(mlp, mlp_data):
    lines = repr(prune(mlp, mlp_data, sparsity=0.75)).splitlines()
    assert lines[0] == ("Pruned: 108 of 144 weights set to zero (75.0%) by magnitude, scope global")
    assert [line.split()[0] for line in lines[1:]] == ["accuracy", "parameters", "FLOPs", "bytes"]
    assert "186 → " in lines[2]
    assert "78  (2.4× fewer)" in lines[2]
    assert "fewer if zeros were skipped)" in lines[3]
    assert "smaller as bitmask)" in lines[4]
    assert len({line.index("→") for line in lines[1:]}) == 1


def test_repr_of_units_says_what_was_left_out(residual, residual_data):
    residual.bn0, residual.bn2 = nn.Identity(), nn.Identity()
    found = prune(residual, residual_data, criterion="bn-scale", granularity="unit", sparsity=0.4)
    text = repr(found)
    assert text.startswith("Pruned: 2 of 5 units taken out (40.0%) by bn-scale")
    assert "fewer after removal)" in text
    assert "\n  left out stem: " in text
    assert set(found.skipped) == {"stem"}


def test_nothing_goes(mlp, mlp_data):
    found = prune(mlp, mlp_data, sparsity=0.0)
    assert found.plan.num_removed == 0
    assert found.accuracy_before == found.accuracy_after
    assert found.model is not mlp
    for old, new in zip(mlp.parameters(), found.model.parameters(), strict=True):
        assert torch.equal(old, new)
        assert old.data_ptr() != new.data_ptr()


# -- bad input -------------------------------------------------------------------------------------


class Broken(nn.Module):
    """A forward that fails on the second batch size or always."""

    def __init__(self, error):
        super().__init__()
        self.fc1, self.fc2, self.error = nn.Linear(12, 6), nn.Linear(6, 4), error

    def forward(self, x):
        x = self.fc2(torch.relu(self.fc1(x)))
        raise self.error


class Gives(TinyMLP):
    """A tiny network whose answer is made something else."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(super().forward(x))


class NoParameters(nn.Module):
    def forward(self, x):
        return x[:, :4] * 2


class OnlyNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(12)

    def forward(self, x):
        return self.bn(x)[:, :4]


class Flat(nn.Module):
    """A forward with a hard-coded size of the batch."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)).view(2, 6))


def with_masks(model):
    torch_prune.l1_unstructured(model.fc1, "weight", amount=0.5)
    return model


def with_value(model, value, name="fc2.weight"):
    with torch.no_grad():
        model.get_parameter(name).view(-1)[3] = value
    return model


def tiny():
    return seeded(TinyMLP)


EXAMPLES = labelled((12,), 20, 4)
X, Y = EXAMPLES

BAD_MODELS = {
    "no network": (lambda: "lenet5", ModelError, r"not a torch\.nn\.Module.*Got: str"),
    "a forward that raises": (
        lambda: seeded(lambda: Broken(ValueError("the wrong moon"))),
        TraceError,
        "forward pass raised ValueError: the wrong moon.*example_input",
    ),
    "a hard-coded batch": (
        lambda: seeded(Flat),
        ModelError,
        r"forward raised an error.*shape '\[2, 6\]' is invalid for input.*a batch of inputs",
    ),
    "NaN weights": (
        lambda: with_value(tiny(), math.nan),
        NonFiniteError,
        r"`fc2\.weight` holds 1 NaN or infinite value.*checkpoint",
    ),
    "infinite weights": (
        lambda: with_value(tiny(), math.inf, "fc1.bias"),
        NonFiniteError,
        r"`fc1\.bias` holds 1 NaN or infinite value",
    ),
    "masks of torch.nn.utils.prune": (
        lambda: with_masks(tiny()),
        ModelError,
        r"torch\.nn\.utils\.prune masks are attached to `fc1`.*prunevis\.made_permanent",
    ),
    "outputs of three axes": (
        lambda: seeded(lambda: Gives(lambda y: y[:, None].expand(-1, 5, -1))),
        ModelError,
        r"not one row of logits.*Expected: \(20, classes\).*Got: \(20, 5, 4\)",
    ),
    "outputs of one axis": (
        lambda: seeded(lambda: Gives(lambda y: y.sum(1))),
        ModelError,
        "not one row of logits",
    ),
    "outputs in a dict": (
        lambda: seeded(lambda: Gives(lambda y: {"logits": y})),
        ModelError,
        "does not give one tensor of logits.*Got: dict",
    ),
    "no tensor at all": (
        lambda: seeded(lambda: Gives(lambda y: None)),
        TraceError,
        "returned no tensor",
    ),
    "outputs that are NaN": (
        lambda: seeded(lambda: Gives(lambda y: y / 0 * 0)),
        NonFiniteError,
        "gives NaN or infinite outputs. Got: 20 of 20",
    ),
    "no parameters": (NoParameters, NothingToPruneError, "Nothing in this network can be pruned"),
    "nothing to prune": (OnlyNorm, NothingToPruneError, "no convolution or linear layer"),
    "only an output layer": (
        lambda: nn.Linear(12, 4),
        NothingToPruneError,
        "besides the output layer.*name the output layer",
    ),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_models(kind, untouched_model):
    make, error, match = BAD_MODELS[kind]
    model = make()
    check = untouched_model(model) if isinstance(model, nn.Module) else lambda: None
    with pytest.raises(error, match=f"(?s){match}"):
        prune(model, (X, Y), sparsity=0.5)
    check()


BAD_DATA = {
    "shapes the model does not take": (
        lambda: (X[:, :5], Y),
        ModelError,
        "forward.*(shapes cannot be multiplied|raised)",
    ),
    "labels above the classes": (
        lambda: (X, Y + 1),
        DataError,
        "fewer outputs than the data have classes. Expected: at least 5 outputs. Got: 4",
    ),
    "negative labels": (lambda: (X, Y - 1), DataError, "outside the model's classes"),
    "an empty loader": (
        lambda: DataLoader(TensorDataset(X[:0], Y[:0])),
        DataError,
        "The loader gives no batch",
    ),
    "no data": (lambda: None, DataError, "kind that cannot be read"),
    "NaN inputs": (
        lambda: (X.clone().fill_(math.nan), Y),
        DataError,
        "Some inputs are NaN or infinite",
    ),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data(kind, mlp, untouched_model):
    make, error, match = BAD_DATA[kind]
    check = untouched_model(mlp)
    with pytest.raises(error, match=match):
        prune(mlp, make(), sparsity=0.5)
    check()


BAD_REQUESTS = [
    ({"sparsity": 80}, SpecError, r"Did you mean 0\.8\?"),
    ({"criterion": "l3"}, UnknownNameError, "There is no criterion called 'l3'"),
    ({"granularity": "unit"}, SpecError, "does not score single units"),
    ({"scope": "all"}, SpecError, "There is no scope 'all'"),
    ({"layers": ["fc7"]}, SpecError, r"There is no layer called 'fc7'.*Did you mean 'fc\d'"),
    ({"layers": ["fc1"], "seed": -3}, SpecError, "A seed is a whole number"),
]


@pytest.mark.parametrize(("request_", "error", "match"), BAD_REQUESTS)
def test_bad_requests(mlp, mlp_data, untouched_model, request_, error, match):
    check = untouched_model(mlp)
    with pytest.raises(error, match=match):
        prune(mlp, mlp_data, **request_)
    check()


def test_a_model_that_cannot_be_copied(mlp, mlp_data, untouched_model):
    class NoCopy:
        def __deepcopy__(self, memo):
            raise RuntimeError("not this one")

    mlp.thing = NoCopy()
    check = untouched_model(mlp)
    with pytest.raises(ModelError, match=r"cannot be copied.*not this one"):
        prune(mlp, mlp_data, sparsity=0.5)
    with pytest.raises(ModelError, match=r"cannot be copied.*not this one"):
        prune(mlp, mlp_data, criterion="l2", granularity="unit", sparsity=0.5)
    check()


def test_one_class_is_said(mlp):
    data = (X, torch.full((20,), 2))
    found = prune(mlp, data, sparsity=0.5)
    assert "All examples are of class 2" in found.before.note
    assert "All examples are of class 2" in repr(found.before)


class Tied(nn.Module):
    """Two layers of one weight, after a layer of their own where `stem` says so."""

    def __init__(self, stem):
        super().__init__()
        self.stem = nn.Linear(6, 6) if stem else nn.Identity()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.out(torch.relu(self.second(torch.relu(self.first(x)))))


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_tied_parameters_stay_tied(granularity, untouched_model):
    model = seeded(lambda: Tied(stem=True))
    data = answered(model, labelled((6,), 20, 4))
    check = untouched_model(model)
    criterion = "magnitude" if granularity == "weight" else "l2"
    found = prune(model, data, criterion=criterion, granularity=granularity, sparsity=0.5)
    check()
    pruned = found.model
    assert pruned.first.weight is pruned.second.weight
    assert found.cost_before.base_params == 42 + 36 + 12 + 28
    assert found.cost_after.nonzero_params == sum(int((p != 0).sum()) for p in pruned.parameters())
    assert found.cost_after.nonzero_params < found.cost_before.base_params


def test_tied_parameters_whose_other_use_must_stay(untouched_model):
    # the columns of the shared weight read the network's own input, so no row may leave
    model = seeded(lambda: Tied(stem=False))
    data = answered(model, labelled((6,), 20, 4))
    check = untouched_model(model)
    with pytest.raises(NothingToPruneError, match=r"`first`: .* reads what no layer computes"):
        prune(model, data, criterion="l2", granularity="unit", sparsity=0.5)
    check()
    assert prune(model, data, sparsity=0.5).plan.num_removed == 18


def test_wrong_example_input(mlp, mlp_data):
    with pytest.raises(TraceError, match=r"forward pass raised.*Got: an example of shape \(5,\)"):
        prune(mlp, mlp_data, sparsity=0.5, example_input=torch.zeros(1, 5))


def test_a_network_seen_for_the_first_time(untouched_model):
    """Depthwise, transposed and dilated convolutions, another norm, a skip by concatenation."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(2, 6, 3, padding=2, dilation=2)
            self.d = nn.Conv2d(6, 6, 3, padding=1, groups=6)
            self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
            self.down = nn.AvgPool2d(2)
            self.mix = nn.Conv2d(11, 8, 1)
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            a = torch.tanh(self.a(x))
            b = self.down(self.up(nn.functional.gelu(self.d(a))))
            x = torch.sigmoid(self.mix(torch.cat([a, b], 1)))
            return self.fc(x.amax((2, 3)))

    model = seeded(Odd)
    data = answered(model, labelled((2, 8, 8), 24, 3))
    check = untouched_model(model)
    for scope in ("layer", "global"):
        found = prune(model, data, criterion="l2", granularity="unit", scope=scope, sparsity=0.5)
        assert found.plan.num_removed > 0
        assert found.cost_after.num_params == sum(p.numel() for p in found.model.parameters())
    check()
