"""Repaired candidates are measured side by side as they are one by one."""

from __future__ import annotations

import pytest
import torch
from odd_networks import RECORDED, made
from side_by_side import assert_exact, engine_of, measured, ranked
from tiny_networks import TinyResidual, assert_same, labelled, seeded, snapshot

from prunevis.errors import NothingToPruneError
from prunevis.evaluation import Sampler, evaluate, prune
from prunevis.evaluation.naming import mended_names
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, Workspace, candidate, masked, mending_of, rank, repaired

SPARSITIES = (0.0, 0.3, 0.6)


def mended(name, granularity, repair):
    model, examples = made(RECORDED[name])
    try:
        ranking = ranked(model, examples, granularity)
    except NothingToPruneError:
        pytest.skip("nothing of this network can be pruned so")
    data = (examples.inputs, examples.targets)
    return model, examples, ranking.mended(mending_of(repair, model, ranking.graph, data=data))


@pytest.mark.parametrize(
    ("granularity", "repair"),
    [("unit", "least-squares"), ("unit", "merge"), ("unit", "batchnorm"), ("weight", "obs")],
)
@pytest.mark.parametrize("name", RECORDED)
def test_ends_with_the_figures_of_evaluate(name, granularity, repair):
    model, examples, ranking = mended(name, granularity, repair)
    before = snapshot(model)
    plans = [None, *(ranking.plan(s) for s in SPARSITIES)]
    sampler = Sampler(examples, evaluate(model, examples))
    engine = engine_of(model, ranking, examples)
    for _ in range(3):  # from the second time on activations are kept, then used
        assert_exact(measured(engine, sampler, plans), model, examples)
    # the same cuts, only deleted, through the same engine
    plain = [ranking.mended(None).plan(s) for s in SPARSITIES]
    assert_exact(measured(engine, sampler, plain), model, examples)
    assert_exact(measured(engine, sampler, plans), model, examples)
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("granularity", ["unit", "weight"])
def test_what_a_repair_changed_is_found_by_comparing(granularity):
    repair = "least-squares" if granularity == "unit" else "mean"
    model, _, ranking = mended("mlp", granularity, repair)
    plan = ranking.plan(0.5)
    changed = set(repaired(model, plan).tensors)
    assert changed
    found = mended_names(model, plan, candidate(model, plan))
    # what nothing is left of changes nothing: a mean leaves the weights as they are
    assert found <= changed
    assert {name for name in changed if name.endswith("bias")} <= found
    deleted = ranking.mended(None).plan(0.5)
    assert mended_names(model, deleted, candidate(model, deleted)) == set()


@pytest.mark.parametrize(("granularity", "repair"), [("unit", "least-squares"), ("weight", "obs")])
def test_one_copy_serves_repaired_and_deleted_in_turn(granularity, repair):
    model = seeded(TinyResidual).eval()
    examples = labelled((1, 6, 6), 40, 4)
    criterion = "l2" if granularity == "unit" else "magnitude"
    spec = PruningSpec.make(criterion, granularity, repair=repair)
    ranking = rank(model, spec, data=(examples.inputs, examples.targets))
    space, x = Workspace(), examples.inputs[:3]
    plans = [ranking.plan(0.3), ranking.mended(None).plan(0.3), ranking.plan(0.6)]
    ours = [space.candidate(model, plan) for plan in plans]
    with torch.inference_mode():
        theirs = [candidate(model, plan)(x) for plan in plans]
        for k in (0, 1, 0, 2, 1, 2):
            assert torch.equal(ours[k](x), theirs[k])
    assert not torch.equal(theirs[0], theirs[1])


@pytest.mark.parametrize(("granularity", "repair"), [("unit", "least-squares"), ("weight", "obs")])
def test_pruning_in_one_call(granularity, repair, residual, residual_data, untouched_model):
    check = untouched_model(residual)
    criterion = "l2" if granularity == "unit" else "magnitude"
    found = prune(
        residual, residual_data, criterion=criterion, granularity=granularity, repair=repair
    )
    check()
    x = residual_data.test.inputs
    with torch.no_grad(), masked(residual, found.plan):
        expected = residual(x)
    with torch.no_grad():
        assert torch.allclose(found.model.eval()(x), expected, atol=1e-5)
    assert found.plan.spec.repair == repair
    graph = trace(residual, x[:1])
    assert found.plan.mending.statistics.split == "train"
    assert set(found.plan.mending.statistics.inputs) == set(graph.layers)
