"""Masks of `torch.nn.utils.prune`: read, made permanent, attached; state dicts with and without."""

import copy

import pytest
import torch
from tiny_networks import TinyMLP, assert_same, seeded, snapshot
from torch import nn
from torch.nn.utils import prune

from prunevis import trace
from prunevis.errors import ModelError, SpecError
from prunevis.pruning import (
    PruningSpec,
    attach_masks,
    made_permanent,
    masked,
    masked_state,
    plain_state,
    plan_from_masks,
    rank,
    read_masks,
)

X = torch.linspace(-1, 1, 24).reshape(2, 12)


@pytest.fixture
def graph():
    return trace(seeded(TinyMLP), torch.zeros(1, 12))


@pytest.fixture
def pruned(mlp):
    """A network of which torch has pruned two layers and a bias, and that has run."""
    prune.l1_unstructured(mlp.fc1, "weight", 0.5)
    prune.l1_unstructured(mlp.fc1, "weight", 0.5)
    prune.random_unstructured(mlp.fc2, "weight", 0.25)
    prune.l1_unstructured(mlp.fc1, "bias", 3)
    mlp(X)
    return mlp


def test_masks_are_read_by_layer(pruned):
    masks = read_masks(pruned)
    assert {name: int((~mask).sum()) for name, mask in masks.items()} == {"fc1": 72, "fc2": 12}
    assert masks["fc1"].dtype == torch.bool
    assert torch.equal(masks["fc1"], pruned.fc1.weight_mask.bool())
    assert {n: int((~m).sum()) for n, m in read_masks(pruned, "bias").items()} == {"fc1": 3}
    masks["fc1"].fill_(False)
    assert pruned.fc1.weight_mask.sum() == 24
    assert read_masks(nn.Linear(2, 2)) == {}


def test_a_copy_with_masks_made_permanent(pruned, graph):
    before = {k: v.detach().clone() for k, v in pruned.state_dict().items()}
    pruned.fc1.train()
    made = made_permanent(pruned)
    assert sorted(dict(made.named_parameters())) == sorted(graph.tensors)
    assert not any(m._forward_pre_hooks for m in made.modules())
    assert torch.equal(made.fc1.weight, pruned.fc1.weight_orig * pruned.fc1.weight_mask)
    assert made.fc1.weight.requires_grad
    assert isinstance(made.fc1.weight, nn.Parameter)
    assert made.fc1.training
    assert not made.fc2.training
    assert torch.equal(made(X), pruned(X))
    # the model itself still carries its masks
    assert prune.is_pruned(pruned)
    after = pruned.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    # and the copy can be traced and pruned on
    ranking = rank(made, graph=trace(made, torch.zeros(1, 12)))
    assert ranking.already == {"fc1": 72, "fc2": 12}
    assert trace(made, torch.zeros(1, 12)).layers.keys() == graph.layers.keys()


def test_a_refusal_names_the_cure(pruned):
    with pytest.raises(ModelError, match=r"prunevis\.made_permanent\(model\)"):
        trace(pruned, X)


def test_a_model_without_masks_is_copied(mlp):
    made = made_permanent(mlp)
    assert made is not mlp
    assert torch.equal(made.fc1.weight, mlp.fc1.weight)
    with pytest.raises(ModelError, match=r"not a torch\.nn\.Module"):
        made_permanent("lenet5")  # type: ignore[arg-type]


def test_shared_tensors_of_which_one_is_masked():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    prune.l1_unstructured(model[0], "weight", 0.5)
    with pytest.raises(ModelError, match=r"`0\.weight` is masked, and `1\.weight` is the same"):
        made_permanent(model)
    prune.random_unstructured(model[1], "weight", 0.5)
    both = model[0].weight_mask * model[1].weight_mask
    made = made_permanent(model)
    assert made[0].weight is made[1].weight
    assert torch.equal(made[0].weight, model[0].weight_orig * both)


def test_models_that_cannot_be_copied(mlp, graph):
    mlp.generator = (k for k in ())
    with pytest.raises(ModelError, match="cannot be copied: TypeError"):
        made_permanent(mlp)
    with pytest.raises(ModelError, match="cannot be copied"):
        attach_masks(mlp, rank(mlp, graph=graph).plan(0.5))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_plan_goes_out_as_masks_and_comes_back(mlp, graph, scope):
    before = snapshot(mlp)
    plan = rank(mlp, PruningSpec.make(scope=scope), graph=graph).plan(0.6)
    carrying = attach_masks(mlp, plan)
    assert_same(before, snapshot(mlp))
    assert prune.is_pruned(carrying)
    assert isinstance(carrying.fc1.weight_orig, nn.Parameter)
    assert torch.equal(carrying.fc1.weight_orig, mlp.fc1.weight)
    with masked(mlp, plan):
        expected = mlp(X)
    assert torch.equal(carrying(X), expected)
    back = plan_from_masks(graph, read_masks(carrying))
    assert back.removed == plan.removed
    assert all(torch.equal(back.masks[n], plan.masks[n]) for n in plan.masks)
    assert back.granularity == "weight"
    assert back.threshold is None
    # gradients reach what stays, and torch's own `remove` works on it
    carrying(X).sum().backward()
    assert not carrying.fc1.weight_orig.grad[~plan.masks["fc1"]].any()
    prune.remove(carrying.fc1, "weight")
    assert torch.equal(carrying.fc1.weight == 0, ~plan.masks["fc1"])


def test_a_plan_of_units_masks_all_that_they_lie_in(residual):
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    plan = rank(residual, PruningSpec.make("l2", "unit", "layer"), graph=graph).plan(0.5)
    carrying = attach_masks(residual, plan).eval()
    x = torch.linspace(-1, 1, 36).reshape(1, 1, 6, 6)
    with masked(residual, plan):
        torch.testing.assert_close(carrying(x), residual(x))
    assert {"stem", "conv1", "conv2", "bn0", "bn1", "bn2"} <= read_masks(carrying).keys()
    assert {"bn0", "bn1", "bn2"} == read_masks(carrying, "bias").keys()


def test_masks_upon_masks(pruned, graph):
    made = made_permanent(pruned)
    plan = rank(made, PruningSpec.make(scope="layer"), graph=graph).plan(0.9)
    carrying = attach_masks(pruned, plan)
    kinds = {h._tensor_name: type(h) for h in carrying.fc1._forward_pre_hooks.values()}
    assert kinds == {"bias": prune.L1Unstructured, "weight": prune.PruningContainer}
    assert all(torch.equal(read_masks(carrying)[n], plan.masks[n]) for n in plan.masks)
    # the mask of the bias is still there
    assert read_masks(carrying, "bias").keys() == {"fc1"}


def test_plans_and_masks_of_another_network(mlp, graph):
    plan = rank(mlp, graph=graph).plan(0.5)
    other = nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 4))
    with pytest.raises(ModelError, match=r"another network.*fc1\.weight of shape \(8, 12\)"):
        attach_masks(other, plan)
    wider = copy.deepcopy(mlp)
    wider.fc1 = nn.Linear(12, 9)
    with pytest.raises(ModelError, match=r"another network.*Got: \(9, 12\)"):
        attach_masks(wider, plan)
    with pytest.raises(ModelError, match=r"another network.*no such tensor"):
        masked_state(other.state_dict(), plan)
    with pytest.raises(SpecError, match=r"mask for 'fc4', and no such layer.*Did you mean 'fc3'"):
        plan_from_masks(graph, {"fc4": torch.ones(8, 12)})
    with pytest.raises(SpecError, match=r"not the shape.*\(8, 12\)\. Got: \(12, 8\)"):
        plan_from_masks(graph, {"fc1": torch.ones(12, 8)})
    with pytest.raises(SpecError, match="other numbers than 0 and 1"):
        plan_from_masks(graph, {"fc1": torch.full((8, 12), 0.5)})


def test_masks_that_take_all_of_a_layer(graph):
    plan = plan_from_masks(graph, {"fc1": torch.zeros(8, 12), "fc2": torch.ones(6, 8).tolist()})
    assert plan.removed == {"fc1": 96, "fc2": 0}
    assert plan.achieved_sparsity == pytest.approx(96 / 144)
    assert not plan_from_masks(graph, {"fc1": torch.zeros(8, 12)}).masks["fc1"].any()
    assert plan_from_masks(graph, {}).num_removed == 0


# -- state dicts ---------------------------------------------------------------------------------


def test_a_state_dict_with_masks_becomes_a_plain_one(pruned, mlp):
    state = pruned.state_dict()
    kept = {k: v.clone() for k, v in state.items()}
    plain = plain_state(state)
    assert set(plain) == {f"fc{k}.{w}" for k in (1, 2, 3) for w in ("weight", "bias")}
    made = made_permanent(pruned)
    assert all(torch.equal(plain[k], v) for k, v in made.state_dict().items())
    fresh = made_permanent(copy.deepcopy(made))
    fresh.load_state_dict(plain)
    assert all(torch.equal(state[k], kept[k]) for k in state)


def test_names_that_only_look_like_masks_are_passed_on():
    state = {"attn_mask": torch.ones(2), "a.weight_orig": torch.ones(2), "b": torch.ones(1)}
    assert plain_state(state).keys() == state.keys()
    wrong = {"weight_orig": torch.ones(2), "weight_mask": torch.ones(3)}
    with pytest.raises(ModelError, match=r"`weight` and its mask differ in shape"):
        plain_state(wrong)


def test_a_plain_state_dict_becomes_one_with_masks(mlp, graph):
    plan = rank(mlp, graph=graph).plan(0.5)
    carrying = attach_masks(mlp, plan)
    state = masked_state(mlp.state_dict(), plan)
    assert state.keys() == carrying.state_dict().keys()
    assert all(torch.equal(state[k], v) for k, v in carrying.state_dict().items())
    carrying.load_state_dict(state)
    again = plain_state(state)
    with masked(mlp, plan):
        assert all(torch.equal(again[k], v) for k, v in mlp.state_dict().items())
