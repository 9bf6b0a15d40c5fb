"""Zeros in place: reversible bit for bit, and the same outputs as after removal."""

import pytest
import torch
from tiny_networks import TinyResidual, labelled, seeded, settle_norms, snapshot
from torch import nn

from prunevis.errors import ModelError
from prunevis.graph import trace
from prunevis.pruning import (
    PruningSpec,
    candidate,
    masked,
    masked_tensors,
    rank,
    remove,
    tensor_masks,
)
from prunevis.pruning.masking import MaskedModel
from prunevis.zoo import MODELS, load_model

PICTURE = (1, 6, 6)


def planned(model, example, sparsity=0.5, **spec):
    graph = trace(model, example)
    return rank(model, PruningSpec.make(**spec), graph=graph).plan(sparsity)


@pytest.fixture
def example():
    return labelled(PICTURE, 5, 4).inputs


@pytest.fixture(params=["weight", "unit"])
def plan(request, residual):
    criterion = "magnitude" if request.param == "weight" else "l2"
    return planned(
        residual, torch.zeros(1, *PICTURE), granularity=request.param, criterion=criterion
    )


def test_masks_of_weights_are_those_of_the_plan(residual):
    plan = planned(residual, torch.zeros(1, *PICTURE), layers={"conv1": 0.5, "conv2": 0.0})
    masks = tensor_masks(plan)
    assert list(masks) == ["conv1.weight"]  # only what loses something
    assert torch.equal(masks["conv1.weight"], plan.masks["conv1"])
    tensors = masked_tensors(residual, plan)
    expected = residual.conv1.weight.detach() * plan.masks["conv1"]
    assert torch.equal(tensors["conv1.weight"], expected)
    assert not tensors["conv1.weight"].requires_grad


def test_masks_of_units_by_hand(residual):
    plan = planned(
        residual, torch.zeros(1, *PICTURE), granularity="unit", criterion="l2", layers=["conv1"]
    )
    gone = [unit for unit in range(5) if unit not in plan.kept["conv1"].tolist()]
    assert len(gone) == 2
    masks = tensor_masks(plan)
    # rows that compute the units, their scale and shift, and the columns that read them; the
    # running mean and variance are left alone
    assert set(masks) == {"conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight"}
    for name in ("conv1.weight", "bn1.weight", "bn1.bias"):
        rows = masks[name].flatten(1).any(1) if masks[name].ndim > 1 else masks[name]
        assert (~rows).nonzero().flatten().tolist() == gone
    assert bool(masks["conv2.weight"].any(0).all(-1).all(-1)[plan.kept["conv1"]].all())
    assert not bool(masks["conv2.weight"][:, gone].any())


def test_masked_is_undone_bit_for_bit(residual, plan, example, untouched_model):
    residual.train()
    residual.bn1.eval()
    residual.conv1.weight.requires_grad_(False)
    residual.fc.weight.grad = torch.ones_like(residual.fc.weight)
    check = untouched_model(residual)
    with masked(residual, plan) as same:
        assert same is residual
        for name, mask in tensor_masks(plan).items():
            tensor = dict(residual.named_parameters())[name]
            assert int((tensor != 0).sum()) == int(mask.sum())
    check()


def test_masked_is_undone_after_an_exception(residual, plan, untouched_model):
    check = untouched_model(residual)
    with pytest.raises(ZeroDivisionError), masked(residual, plan):
        1 / 0  # noqa: B018
    check()


def test_masked_restores_negative_zero_and_odd_bits(residual):
    plan = planned(residual, torch.zeros(1, *PICTURE), 0.9)
    with torch.no_grad():
        residual.conv1.weight[0, 0, 0, 0] = -0.0
    before = residual.conv1.weight.detach().clone().view(torch.int32)
    with masked(residual, plan):
        pass
    assert torch.equal(residual.conv1.weight.detach().view(torch.int32), before)


def test_masked_model_computes_the_same_and_changes_nothing(
    residual, plan, example, untouched_model
):
    check = untouched_model(residual)
    other = MaskedModel(residual, masked_tensors(residual, plan)).eval()
    with torch.no_grad():
        got = other(example)
        with masked(residual, plan):
            expected = residual(example)
        dense = residual(example)
    assert torch.equal(got, expected)
    assert not torch.equal(got, dense)
    check()


def test_candidates(residual, plan, example, untouched_model):
    check = untouched_model(residual)
    found = candidate(residual, plan)
    assert found is not residual
    with torch.no_grad():
        got = found(example)
        with masked(residual, plan):
            expected = residual(example)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    fewer = sum(p.numel() for p in found.parameters()) < sum(
        p.numel() for p in residual.parameters()
    )
    assert fewer == (plan.granularity == "unit")
    check()


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_where_nothing_goes_the_model_itself_will_do(residual, granularity):
    criterion = "magnitude" if granularity == "weight" else "l1"
    plan = planned(
        residual, torch.zeros(1, *PICTURE), 0.0, granularity=granularity, criterion=criterion
    )
    assert candidate(residual, plan) is residual
    assert tensor_masks(plan) == {}
    with masked(residual, plan):
        pass


@pytest.mark.parametrize(
    "apply", [masked_tensors, candidate, lambda m, p: masked(m, p).__enter__()]
)
def test_a_plan_for_another_network(residual, plan, apply):
    other = seeded(TinyResidual)
    other.conv2 = nn.Conv2d(5, 7, 3, padding=1, bias=False)
    other.bn2 = nn.BatchNorm2d(7)
    before = snapshot(other)["values"]
    with pytest.raises(
        ModelError, match=r"another network.*conv2\.weight`? of shape \(6, 5, 3, 3\)"
    ):
        apply(other, plan)
    assert all(torch.equal(before[n], t) for n, t in snapshot(other)["values"].items())
    del other.conv2
    with pytest.raises(ModelError, match=r"another network.*no such tensor"):
        apply(other, plan)


class Pointwise(nn.Module):
    """Gives something else than zero for zero: only masking the readers too is right."""

    def __init__(self, activation):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)
        self.activation = activation

    def forward(self, x):
        return self.b(self.activation(self.a(x)))


@pytest.mark.parametrize("activation", [torch.sigmoid, torch.cos, torch.exp, nn.SELU()])
def test_whatever_the_activation_makes_of_zero(activation):
    model = seeded(lambda: Pointwise(activation))
    plan = planned(model, torch.zeros(1, 4), granularity="unit", criterion="l2")
    x = labelled((4,), 5, 3).inputs
    with torch.no_grad():
        smaller = remove(model, plan)(x)
        with masked(model, plan):
            torch.testing.assert_close(model(x), smaller, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def zoo():
    """The four architectures with random weights and statistics, traced."""
    found = {}
    for name in MODELS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = settle_norms(load_model(name, pretrained=False))
        found[name] = model, trace(model, torch.zeros(1, 1, 28, 28))
    return found


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("name", list(MODELS))
def test_masked_equals_removed_on_the_zoo(zoo, name, scope, untouched_model):
    model, graph = zoo[name]
    check = untouched_model(model)
    inputs = labelled((1, 28, 28), 3, 3).inputs
    ranking = rank(model, PruningSpec.make("l2", "unit", scope), graph=graph)
    for sparsity in (0.3, 0.8):
        plan = ranking.plan(sparsity)
        smaller = remove(model, plan).eval()
        with torch.no_grad():
            small = smaller(inputs)
            with masked(model, plan):
                zeros = model(inputs)
            replaced = MaskedModel(model, masked_tensors(model, plan)).eval()(inputs)
        assert torch.equal(zeros, replaced)
        scale = float(zeros.abs().max())
        torch.testing.assert_close(small, zeros, rtol=0, atol=1e-5 * max(1.0, scale))
        # it is smaller, and not by chance
        assert sum(p.numel() for p in smaller.parameters()) < graph.num_params
    check()
