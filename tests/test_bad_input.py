"""What people get wrong at the front door: a sentence each, and the model stays as it was."""

import copy

import pytest
import torch
from tiny_networks import TinyMLP, seeded
from torch import nn

import prunevis as pv


@pytest.fixture
def refused(mlp, untouched_model):
    """Return a function that checks that a call raises a sentence and leaves the model alone."""
    check = untouched_model(mlp)

    def refuses(call, match, error=pv.PrunevisError):
        with pytest.raises(error, match=match):
            call()
        check()

    return refuses


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"pattern": "2:4", "sparsity": 0.9}, r"'2:4' lets at most 0\.5 of the weights go"),
        ({"of": "macs"}, r"how much of the macs is to stay.*keep=0\.5"),
        ({"keep": 0.5, "sparsity": 0.5}, "a sparsity or a share to keep, not both"),
        ({"layers": [("fc1", 0.5), ("fc1", 0.2)]}, "names 'fc1' twice"),
    ],
)
def test_no_argument_of_a_request_is_ignored(refused, mlp, mlp_data, asked, match):
    refused(lambda: pv.prune(mlp, mlp_data, **asked), match, pv.SpecError)


@pytest.mark.parametrize(
    ("sparsities", "match"),
    [
        (0.5, r"Sparsities are several numbers.*Got: 0\.5.*Write \[0\.5\]"),
        ([], "`sparsities` is empty"),
        ("0.5", "Sparsities are several numbers"),
        ([None], r"at least 0 and below 1.*Got: None.*Where: sparsities"),
    ],
)
def test_sparsities_are_several_numbers(refused, mlp, mlp_data, sparsities, match):
    refused(lambda: pv.tradeoff(mlp, mlp_data, sparsities=sparsities), match, pv.SpecError)
    refused(lambda: pv.sensitivity(mlp, mlp_data, sparsities=sparsities), match, pv.SpecError)


def test_a_curve_ends_where_its_pattern_does(refused, mlp, mlp_data):
    curve = pv.tradeoff(mlp, mlp_data, pattern="2:4", images=20)
    assert curve.points[-1].sparsity == 0.5
    refused(
        lambda: pv.tradeoff(mlp, mlp_data, pattern="2:4", sparsities=[0.1, 0.6]),
        r"at most 0\.5 of the weights go\. Got: 0\.6",
        pv.SpecError,
    )


def test_seeds_and_shares_of_a_race_are_several_numbers(refused, mlp, mlp_data):
    refused(lambda: pv.race(mlp, mlp_data, seeds=3), r"Seeds are several.*Got: 3.*range\(3\)")
    refused(lambda: pv.race(mlp, mlp_data, shares=0.5), r"several numbers.*Where: shares")
    refused(lambda: pv.race(mlp, mlp_data, shares=[]), "`shares` is empty")


@pytest.mark.parametrize("criterion", ["l2", "apoz"])
def test_classes_do_not_leave_where_accuracy_is_measured(refused, mlp, mlp_data, criterion):
    match = r"units of `fc3` are the network's outputs, one a class.*granularity=.weight."
    options = {"criterion": criterion, "granularity": "unit", "layers": ["fc1", "fc3"]}
    refused(lambda: pv.prune(mlp, mlp_data, **options), match, pv.SpecError)
    refused(lambda: pv.tradeoff(mlp, mlp_data, **options), match, pv.SpecError)
    refused(lambda: pv.sensitivity(mlp, mlp_data, **options), match, pv.SpecError)
    refused(lambda: pv.oracle(mlp, mlp_data, layers=["fc3"]), match, pv.SpecError)
    # who wants that can have it
    graph = pv.trace(mlp, mlp_data.test.inputs[:1])
    spec = pv.PruningSpec.make("l2", "unit", layers=["fc3"])
    assert pv.remove(mlp, pv.rank(mlp, spec, graph=graph).plan()).fc3.out_features == 2


def test_nobody_is_led_to_prune_classes():
    alone = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    data = torch.randn(20, 12), torch.arange(20) % 4
    with pytest.raises(pv.NothingToPruneError, match=r"or the other granularity\.$"):
        pv.prune(alone, data, criterion="l2", granularity="unit")
    with pytest.raises(pv.NothingToPruneError, match="name the output layer in `layers`"):
        pv.prune(alone, data)
    assert pv.prune(alone, data, layers=["1"]).plan.num_removed == 24


@pytest.mark.parametrize("criterion", ["apoz", "wanda", "taylor-2019", "snip"])
def test_statistics_of_another_network_are_refused(refused, mlp, mlp_data, criterion):
    granularity = pv.CRITERIA[criterion].granularities[0]
    options = {"inputs": True, "gradients": True}
    other = seeded(TinyMLP, seed=1)
    wide = seeded(lambda: nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)))
    spec = pv.PruningSpec.make(criterion, granularity)
    graph = pv.trace(mlp, mlp_data.test.inputs[:1])
    for stranger in (other, wide):
        found = pv.collect_statistics(stranger, mlp_data, **options)
        match = "statistics belong to another network, or its weights have changed.*Collect them"
        refused(lambda f=found: pv.rank(mlp, spec, graph=graph, statistics=f), match, pv.SpecError)
    own = pv.collect_statistics(mlp, mlp_data, **options)
    assert pv.rank(copy.deepcopy(mlp), spec, graph=graph, statistics=own).total
    refused(lambda: own.joined(found), "statistics are of different networks", pv.SpecError)


def test_a_repair_refuses_statistics_of_another_network(refused, mlp, mlp_data):
    found = pv.collect_statistics(seeded(TinyMLP, seed=1), mlp_data, inputs=True)
    spec = pv.PruningSpec.make("l2", "unit", repair="least-squares")
    refused(
        lambda: pv.rank(mlp, spec, data=mlp_data, statistics=found),
        "statistics belong to another network",
        pv.SpecError,
    )


def test_plans_of_another_network_are_refused(refused, mlp, mlp_data):
    wide = seeded(lambda: nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)))
    graph = pv.trace(wide, mlp_data.test.inputs[:1])
    for granularity, criterion in (("weight", "magnitude"), ("unit", "l2")):
        plan = pv.rank(wide, pv.PruningSpec.make(criterion, granularity), graph=graph).plan()
        match = "is of another network|made for another network"
        refused(lambda p=plan: pv.masked(mlp, p).__enter__(), match, pv.ModelError)
        refused(lambda p=plan: pv.attach_masks(mlp, p), match, pv.ModelError)
        refused(lambda p=plan: pv.masked_state(mlp.state_dict(), p), match, pv.ModelError)
    refused(lambda: pv.remove(mlp, plan), match, pv.ModelError)
    refused(lambda: pv.fine_tune(mlp, mlp_data, plan=plan), match, pv.ModelError)


def test_a_model_without_numbers_is_refused(mlp_data):
    with torch.device("meta"):
        model = TinyMLP()
    example = mlp_data.test.inputs[:1]
    graph = pv.trace(model, example)  # needs none
    assert pv.cost(graph).num_params == 186
    for call in (
        lambda: pv.prune(model, mlp_data),
        lambda: pv.evaluate(model, mlp_data),
        lambda: pv.rank(model, graph=graph),
        lambda: pv.collect_statistics(model, mlp_data),
        lambda: pv.oracle(model, mlp_data),
        lambda: pv.race(model, mlp_data),
        lambda: pv.tradeoff(model, mlp_data),
        lambda: pv.agreement(model, mlp_data),
        lambda: pv.fine_tune(model, mlp_data),
        lambda: pv.plan_of_slices(model, graph, 0.5),
        lambda: list(pv.estimate_accuracy(model, mlp_data)),
    ):
        with pytest.raises(pv.ModelError, match=r"on the meta device.*to_empty\(device='cpu'\)"):
            call()


@pytest.mark.parametrize("wrong", ["x", None, 3])
def test_what_is_no_plan(refused, mlp, mlp_data, wrong):
    graph = pv.trace(mlp, mlp_data.test.inputs[:1])
    match = rf"This is no plan.*Got: {type(wrong).__name__}.*rank\(model"
    refused(lambda: pv.remove(mlp, wrong), match, pv.SpecError)
    refused(lambda: pv.masked(mlp, wrong).__enter__(), match, pv.SpecError)
    refused(lambda: pv.attach_masks(mlp, wrong), match, pv.SpecError)
    refused(lambda: pv.masked_state(mlp.state_dict(), wrong), match, pv.SpecError)
    refused(lambda: pv.repaired(mlp, wrong), match, pv.SpecError)
    if wrong is not None:
        refused(lambda: pv.cost(graph, wrong), match, pv.SpecError)
        refused(lambda: pv.fine_tune(mlp, mlp_data, plan=wrong), match, pv.SpecError)


def test_a_model_where_something_else_belongs(refused, mlp, mlp_data):
    graph = pv.trace(mlp, mlp_data.test.inputs[:1])
    match = r"This is no traced network.*Got: TinyMLP.*prunevis\.trace\(model"
    for call in (
        lambda: pv.cost(mlp),
        lambda: pv.CostModel(mlp),
        lambda: pv.explain_coupling(mlp, "fc1"),
        lambda: pv.rank(mlp, graph=mlp),
        lambda: pv.plan_from_masks(mlp, {}),
        lambda: pv.plan_of_slices(mlp, mlp, 0.5),
        lambda: pv.collect_statistics(mlp, mlp_data, graph=mlp),
        lambda: pv.tradeoff(mlp, mlp_data, graph=mlp),
        lambda: pv.sensitivity(mlp, mlp_data, graph=mlp),
    ):
        refused(call, match, pv.SpecError)
    refused(lambda: pv.plan_from_masks(graph, None), r"by the names of layers.*Got: NoneType")
    refused(lambda: pv.plain_state(None), r"no state dict.*Got: NoneType.*state_dict\(\)")
    refused(lambda: pv.masked_state(None, None), "no state dict")
    refused(lambda: pv.rank(mlp, "magnitude", graph=graph), r"no request.*PruningSpec\.make")
    refused(
        lambda: pv.rank(mlp, graph=graph, statistics=mlp_data), r"no statistics.*Got: Data.*Pass"
    )
    refused(lambda: pv.explain_coupling(graph, None), "no layer called 'None'")


def test_one_layer_may_be_named_alone(mlp, mlp_data):
    one = pv.oracle(mlp, mlp_data, layers="fc2", images=8)
    assert list(one.change) == ["fc2"]
    assert pv.oracle_cost(mlp, mlp_data, layers="fc2", images=8).units == 6
