"""One pruned copy that serves plan after plan gives what a copy for each would give."""

import gc

import pytest
import torch
from tiny_networks import TinyResidual, seeded

from prunevis.graph import trace
from prunevis.pruning import PruningSpec, Workspace, candidate, rank


@pytest.fixture
def network():
    model = seeded(TinyResidual).eval()
    return model, trace(model, torch.zeros(1, 1, 6, 6))


def given(model, x):
    with torch.inference_mode():
        return model(x)


@pytest.mark.parametrize("how", [("magnitude", "weight"), ("l2", "unit")])
def test_each_candidate_stays_right_whatever_ran_in_between(network, how, untouched_model):
    model, graph = network
    check = untouched_model(model)
    x = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    ranking = rank(model, PruningSpec.make(*how), graph=graph)
    space = Workspace()
    plans = [ranking.plan(s) for s in (0.3, 0.8, 0.301)]
    ours = [space.candidate(model, plan) for plan in plans]
    theirs = [given(candidate(model, plan), x) for plan in plans]
    for k in (0, 1, 0, 2, 1, 2):
        assert torch.equal(given(ours[k], x), theirs[k])
    assert not torch.equal(theirs[0], theirs[1])
    check()


def test_it_goes_from_one_ranking_and_network_to_the_next(network):
    model, graph = network
    other = seeded(TinyResidual, 1).eval()
    x = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    space, cases = Workspace(), []
    for net in (model, other):
        for how in (("magnitude", "weight"), ("random", "weight"), ("l2", "unit")):
            plan = rank(net, PruningSpec.make(*how), graph=graph).plan(0.5)
            expected = given(candidate(net, plan), x)
            cases.append((space.candidate(net, plan), expected))
    for found, expected in [*cases, *reversed(cases)]:
        assert torch.equal(given(found, x), expected)


def test_it_holds_one_copy_and_no_ranking(network):
    model, graph = network
    x, space = torch.zeros(1, 1, 6, 6), Workspace()
    ranking = rank(model, PruningSpec(), graph=graph)
    for sparsity in (0.2, 0.5, 0.9):
        given(space.candidate(model, ranking.plan(sparsity)), x)
    layers = [graph.layers[name].num_weights for name in ranking.total]
    assert space.nbytes == 4 * sum(layers)
    del ranking
    gc.collect()
    assert space._ranking() is None
    space.clear()
    assert space.nbytes == 0


def test_where_nothing_goes_the_model_itself_will_do(network):
    model, graph = network
    plan = rank(model, PruningSpec(), graph=graph).plan(0.0)
    assert Workspace().candidate(model, plan) is model
