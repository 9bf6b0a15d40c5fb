"""Masks are those of `torch.nn.utils.prune`, bit for bit, wherever both define a method.

Equal importances are left out here: which of them torch takes is what its `topk` happens to do.
"""

import copy
import math
from functools import cache

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from prunevis.criteria import CRITERIA, Criterion
from prunevis.errors import SpecError
from prunevis.graph import trace
from prunevis.pruning import (
    PruningSpec,
    made_permanent,
    plan_from_masks,
    plan_of_slices,
    rank,
    read_masks,
)

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)
#: Channels in, of the two convolutions, and neurons.
SHAPES = ((1, 3, 4, 5), (2, 4, 2, 3), (3, 2, 6, 4))
LAYERS = ("one", "two", "three")
amounts = st.one_of(st.floats(0, 0.99), st.integers(0, 4))


class Mixed(nn.Module):
    """Two convolutions and two linear layers."""

    def __init__(self, a, b, c, d):
        super().__init__()
        self.one = nn.Conv2d(a, b, 3, padding=1)
        self.two = nn.Conv2d(b, c, (1, 2))
        self.three = nn.Linear(c * 4 * 3, d)
        self.out = nn.Linear(d, 2)

    def forward(self, x):
        x = torch.relu(self.two(torch.relu(self.one(x))))
        return self.out(torch.relu(self.three(x.flatten(1))))


@cache
def traced(shape):
    model = Mixed(*shape)
    return model, trace(model, torch.zeros(1, shape[0], 4, 4))


@st.composite
def networks(draw):
    model, graph = traced(draw(st.sampled_from(SHAPES)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    everything = torch.cat([model.get_submodule(n).weight.flatten().abs() for n in LAYERS])
    assume(len(everything.unique()) == everything.numel())
    return model, graph


def modules(model):
    return [(model.get_submodule(name), "weight") for name in LAYERS]


def same(plan, model):
    """Whether the plan's masks are those that torch attached; layers without count as whole."""
    theirs = read_masks(model)
    return all(
        torch.equal(plan.masks.get(n, torch.ones(1, dtype=torch.bool).expand_as(t)), t)
        for n, t in theirs.items()
    )


def empties(model, amount, names=LAYERS):
    """Whether torch would leave nothing of a layer, where one weight stays here."""
    sizes = [model.get_submodule(n).weight.numel() for n in names]
    return any((amount if isinstance(amount, int) else round(amount * n)) >= n for n in sizes)


# -- unstructured --------------------------------------------------------------------------------


@quick
@given(networks(), amounts)
def test_l1_unstructured(drawn, amount):
    model, graph = drawn
    assume(not empties(model, amount))
    plan = rank(model, PruningSpec.make(scope="layer"), graph=graph).plan(amount=amount)
    for module, name in modules(model):
        prune.l1_unstructured(module, name, amount)
    assert same(plan, model)


@quick
@given(networks(), amounts)
def test_global_unstructured(drawn, amount):
    model, graph = drawn
    plan = rank(model, PruningSpec.make(), graph=graph).plan(amount=amount)
    prune.global_unstructured(modules(model), pruning_method=prune.L1Unstructured, amount=amount)
    assume(all(bool(mask.any()) for mask in read_masks(model).values()))
    assert same(plan, model)


@quick
@given(networks(), st.lists(amounts, min_size=2, max_size=4), st.sampled_from(["layer", "global"]))
def test_repeated_amounts_are_relative_to_what_is_left(drawn, several, scope):
    model, graph = drawn
    ours = copy.deepcopy(model)
    for amount in several:
        left = [int((ours.get_submodule(n).weight != 0).sum()) for n in LAYERS]
        assume(not isinstance(amount, int) or amount < min(left))
        plan = rank(ours, PruningSpec.make(scope=scope), graph=graph).plan(amount=amount)
        if scope == "layer":
            for module, name in modules(model):
                prune.l1_unstructured(module, name, amount)
        else:
            prune.global_unstructured(
                modules(model), pruning_method=prune.L1Unstructured, amount=amount
            )
        assume(all(bool(mask.any()) for mask in read_masks(model).values()))
        assert same(plan, model)
        ours = made_permanent(model)


class TorchRandom(Criterion):
    """Draws as `random_unstructured` does: highest first to go, one stream through all layers."""

    label = formula = source = "torch"
    summary = "Draws as torch does."
    url = "https://pytorch.org"
    granularities = ("weight",)
    needs = frozenset()
    random = True

    def score(self, layer, context):
        return -torch.rand_like(context.weight(layer))


@pytest.fixture
def torch_random():
    CRITERIA.register("torch-random")(TorchRandom)
    yield
    CRITERIA._entries.pop("torch-random")


def test_random_unstructured_with_torch_s_draws(torch_random):
    @quick
    @given(networks(), amounts, st.integers(0, 99))
    def check(drawn, amount, seed):
        model, graph = drawn
        assume(not empties(model, amount))
        spec = PruningSpec.make("torch-random", scope="layer")
        # torch draws nothing where nothing goes
        assume(amount if isinstance(amount, int) else round(amount * 6) > 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            plan = rank(model, spec, graph=graph).plan(amount=amount)
            torch.manual_seed(seed)
            for module, name in modules(model):
                prune.random_unstructured(module, name, amount)
        assert same(plan, model)

    check()


@quick
@given(networks(), amounts, st.integers(0, 99))
def test_our_random_draws_as_torch_s_importances(drawn, amount, seed):
    # our streams are one a layer and seed, so they cannot be torch's single one; given the same
    # importances both take the same
    model, graph = drawn
    assume(not empties(model, amount))
    ranking = rank(model, PruningSpec.make("random", scope="layer", seed=seed), graph=graph)
    for (module, name), layer in zip(modules(model), LAYERS, strict=True):
        scores = ranking.importance[layer]
        prune.l1_unstructured(module, name, amount, importance_scores=scores)
    assert same(ranking.plan(amount=amount), model)


# -- structured ----------------------------------------------------------------------------------


def slices_left(model, amount, dim):
    sizes = [model.get_submodule(n).weight.shape[dim] for n in LAYERS]
    return all((amount if isinstance(amount, int) else round(amount * n)) < n for n in sizes)


@quick
@given(
    networks(),
    amounts,
    st.sampled_from([1, 2, 0.5, 3, math.inf, -math.inf]),
    st.sampled_from([0, 1, -1, -2]),
)
def test_ln_structured(drawn, amount, n, dim):
    model, graph = drawn
    assume(slices_left(model, amount, dim))
    for module, _ in modules(model):
        others = [d for d in range(module.weight.dim()) if d != dim % module.weight.dim()]
        norms = torch.linalg.vector_norm(module.weight, ord=n, dim=others)
        assume(len(norms.unique()) == len(norms))
    plan = plan_of_slices(model, graph, amount, n=n, dim=dim)
    for module, name in modules(model):
        prune.ln_structured(module, name, amount, n, dim)
    assert same(plan, model)


@quick
@given(networks(), st.lists(amounts, min_size=2, max_size=3), st.sampled_from([0, 1]))
def test_ln_structured_repeated_and_upon_single_weights(drawn, several, dim):
    model, graph = drawn
    for module, name in modules(model):
        prune.l1_unstructured(module, name, 0.4)
    for amount in several:
        before = read_masks(model)
        for mask in before.values():
            others = [d for d in range(mask.dim()) if d != dim]
            left = int((mask.sum(others) > 0).sum())
            assume((amount if isinstance(amount, int) else round(amount * left)) < left)
        # the model as it stands: its own weights, and what was gone before
        plan = plan_of_slices(made_permanent(model), graph, amount, n=1, dim=dim, masks=before)
        for module, name in modules(model):
            prune.ln_structured(module, name, amount, 1, dim)
        assert same(plan, model)


@quick
@given(networks(), amounts, st.sampled_from([0, 1]), st.integers(0, 99))
def test_random_structured_with_the_same_generator(drawn, amount, dim, seed):
    model, graph = drawn
    assume(slices_left(model, amount, dim))
    generator = torch.Generator().manual_seed(seed)
    plan = plan_of_slices(model, graph, amount, n="random", dim=dim, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module, name in modules(model):
            prune.random_structured(module, name, amount, dim)
    assert same(plan, model)


@quick
@given(networks(), amounts, st.sampled_from([("l1", 1), ("l2", 2)]))
def test_units_kept_are_the_rows_that_ln_structured_keeps(drawn, amount, norm):
    model, graph = drawn
    assume(slices_left(model, amount, 0))
    criterion, n = norm
    spec = PruningSpec.make(criterion, "unit", "layer")
    plan = rank(model, spec, graph=graph).plan(amount=amount)
    for module, name in modules(model):
        prune.ln_structured(module, name, amount, n, 0)
    for layer, mask in read_masks(model).items():
        assert torch.equal(mask.flatten(1).any(1).nonzero().flatten(), plan.kept[layer])


# -- given masks, and none -----------------------------------------------------------------------


@quick
@given(networks(), st.integers(0, 99))
def test_custom_from_mask_and_identity(drawn, seed):
    model, graph = drawn
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for (module, name), layer in zip(modules(model), LAYERS, strict=True):
        masks[layer] = torch.rand(module.weight.shape, generator=generator) > 0.5
        prune.custom_from_mask(module, name, masks[layer])
    assert same(plan_from_masks(graph, masks), model)

    whole, _ = drawn[0], graph
    for module, name in modules(whole):
        prune.remove(module, name)
        prune.identity(module, name)
    # identity takes nothing, and says so with masks of ones
    assert all(bool(mask.all()) for mask in read_masks(whole).values())
    assert plan_from_masks(graph, read_masks(whole)).num_removed == 0


# -- by hand, and what is refused ----------------------------------------------------------------


def test_amounts_by_hand(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    ranking = rank(mlp, PruningSpec.make(scope="layer"), graph=graph)
    assert ranking.plan(amount=0.25).removed == {"fc1": 24, "fc2": 12}
    assert ranking.plan(amount=10).removed == {"fc1": 10, "fc2": 10}
    together = rank(mlp, PruningSpec.make(), graph=graph)
    assert together.plan(amount=10).num_removed == 10
    assert together.plan(amount=144).num_removed == 142  # one of each layer stays
    assert together.plan(amount=36).spec.sparsity == 0.25
    with torch.no_grad():
        mlp.fc1.weight[0] = 0  # 12 of 96
    ranking = rank(mlp, PruningSpec.make(scope="layer"), graph=graph)
    assert ranking.plan(amount=0.5).removed == {"fc1": 12 + 42, "fc2": 24}
    assert ranking.plan(amount=1).removed == {"fc1": 13, "fc2": 1}


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (49, r"more than is left\. Expected: a whole number from 0 to 48\. Got: 49\. .*`fc2`"),
        (-1, "An amount is a share or a number"),
        (1.0, "at least 0 and below 1"),
        ("much", "An amount is a share or a number"),
        (True, "An amount is a share or a number"),
    ],
)
def test_amounts_that_cannot_be_met(mlp, amount, message):
    ranking = rank(mlp, PruningSpec.make(scope="layer"), graph=trace(mlp, torch.zeros(1, 12)))
    with pytest.raises(SpecError, match=message):
        ranking.plan(amount=amount)
    with pytest.raises(SpecError, match="takes one of sparsity, amount and keep"):
        ranking.plan(0.5, amount=0.5)


def test_slices_that_cannot_be_had(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    with pytest.raises(SpecError, match="no dimension 2"):
        plan_of_slices(mlp, graph, 0.5, dim=2)
    with pytest.raises(SpecError, match="no layer called 'fc9'"):
        plan_of_slices(mlp, graph, 0.5, layers=["fc9"])
    with pytest.raises(SpecError, match="order of a norm is a number"):
        plan_of_slices(mlp, graph, 0.5, n="nuc")
    with pytest.raises(SpecError, match=r"more than is left.*`fc2`"):
        plan_of_slices(mlp, graph, 7)
    # equal norms: the first goes first; and one slice stays of each layer
    with torch.no_grad():
        mlp.fc2.weight.fill_(1)
    mask = plan_of_slices(mlp, graph, 4, layers=["fc2"]).masks["fc2"]
    assert mask[:, 0].tolist() == [False] * 4 + [True] * 2
    assert plan_of_slices(mlp, graph, 0.99, layers=["fc2"]).masks["fc2"].sum() == 8
