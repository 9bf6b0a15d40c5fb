"""Units that stay, units that leave together: by hand, and as properties over groups of layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyResidual, seeded
from torch import nn

from prunevis.errors import NothingToPruneError, SpecError
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank, remove

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)


class Joined(nn.Module):
    """`a` and `b` side by side are added to `c`: one group of 14 units, of which a has 8."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 8)
        self.b = nn.Linear(4, 6)
        self.c = nn.Linear(4, 14)
        self.d = nn.Linear(14, 9)
        self.out = nn.Linear(9, 3)

    def forward(self, x):
        x = torch.relu(torch.cat([self.a(x), self.b(x)], 1) + self.c(x))
        return self.out(torch.relu(self.d(x)))


def joined(worst="a"):
    model = seeded(Joined)
    with torch.no_grad():
        for layer in (model.a, model.b, model.c):
            layer.weight.fill_(1)
        getattr(model, worst).weight.mul_(1e-3)
        # units of the joined layers in the order of their numbers
        model.c.weight.mul_(torch.arange(1, 15)[:, None] / 100)
    return model


JOINED = trace(joined(), torch.zeros(1, 4))
RESIDUAL = trace(seeded(TinyResidual), torch.zeros(1, 1, 6, 6))


def ranked(model, graph=JOINED, criterion="l1", scope="layer", **spec):
    return rank(model, PruningSpec.make(criterion, "unit", scope, **spec), graph=graph)


def left(plan, group="a"):
    """How many units of `a`, `b` and `c` are left."""
    kept = plan.kept[group]
    return int((kept < 8).sum()), int((kept >= 8).sum()), len(kept)


@pytest.mark.parametrize("worst", ["a", "b"])
def test_no_layer_of_a_group_is_emptied(worst):
    # all of one layer scores below all of the other
    model = joined(worst)
    plan = ranked(model).plan(0.999)
    assert left(plan) == (1, 1, 2)
    smaller = remove(model, plan)
    assert (smaller.a.out_features, smaller.b.out_features) == (1, 1)
    assert smaller(torch.zeros(2, 4)).shape == (2, 3)


def test_least_units_by_hand():
    plan = ranked(joined("a"), min_units=3).plan(0.999)
    assert left(plan) == (3, 3, 6)
    # the best of each: the units of the highest numbers
    assert plan.kept["a"].tolist() == [5, 6, 7, 11, 12, 13]
    assert len(plan.kept["d"]) == 3
    # what is asked for beyond that is not reached, and said
    assert plan.achieved_sparsity == (8 + 6) / 23


def test_multiples_by_hand():
    ranking = ranked(joined("a"), scope="layer", multiple_of=4)
    # a has 8, b 6: first b's two that are too many, then four by four, a's first
    assert [left(ranking.plan(s)) for s in (0, 0.15, 0.2, 0.4, 0.5, 0.6, 0.999)] == [
        (8, 6, 14), (8, 4, 12), (8, 4, 12), (4, 4, 8), (4, 4, 8), (4, 4, 8), (4, 4, 8),
    ]  # fmt: skip
    assert [len(ranking.plan(s).kept["d"]) for s in (0, 0.1, 0.4, 0.999)] == [9, 8, 4, 4]
    assert ranking.plan(0.999).kept["a"].tolist() == [4, 5, 6, 7, 10, 11, 12, 13]


def test_groups_too_small_for_a_multiple_stay_and_it_is_said():
    ranking = ranked(joined(), multiple_of=8)
    # b has six, so that the group of three layers can lose four of a only: not a multiple of 8
    assert ranking.total == {"d": 9}
    assert ranking.skipped == {"a": "Of its 14 units none can leave: layers keep a multiple of 8."}
    assert ranking.plan(0.9).removed == {"d": 1}
    assert "and at least 5." in ranked(joined(), multiple_of=4, min_units=5).skipped["a"]
    with pytest.raises(NothingToPruneError, match=r"`d`: It has 9 units, and at least 20 of each"):
        ranked(joined(), min_units=20)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"multiple_of": 0}, r"`multiple_of` is a whole number of units.*1 to 4096\. Got: 0"),
        ({"multiple_of": 8.0}, "whole number of units"),
        ({"min_units": True}, "`min_units` is a whole number"),
        ({"min_units": 10**9}, "`min_units` is a whole number"),
        ({"granularity": "weight", "min_units": 2}, r"counts units, and single weights are to go"),
    ],
)
def test_numbers_of_units_that_are_none(spec, message):
    with pytest.raises(SpecError, match=message):
        PruningSpec.make(**{"criterion": "l1", "granularity": "unit", **spec})


@quick
@given(
    st.integers(0, 999),
    st.sampled_from(["layer", "global"]),
    st.sampled_from([1, 2, 3, 4]),
    st.integers(1, 4),
    st.lists(st.floats(0, 0.999), min_size=2, max_size=4),
    st.booleans(),
)
def test_every_layer_keeps_what_was_asked(seed, scope, multiple, least, sparsities, residual):
    model, graph = (
        (seeded(TinyResidual, seed), RESIDUAL) if residual else (seeded(Joined, seed), JOINED)
    )
    spec = {"scope": scope, "multiple_of": multiple, "min_units": least, "criterion": "random"}
    try:
        ranking = ranked(model, graph, seed=seed, **spec)
    except NothingToPruneError:
        return
    free = {name: ranking.total[name] for name in ranking.total}
    before = None
    for sparsity in sorted(sparsities):
        plan = ranking.plan(sparsity)
        gone = {name: set(range(n)) - set(plan.kept[name].tolist()) for name, n in free.items()}
        assert {name: len(units) for name, units in gone.items()} == plan.removed
        if before is not None:
            assert all(before[name] <= gone[name] for name in gone)
        before = gone
        smaller = remove(model, plan)
        for name in ranking.total:
            for producer in graph.groups[name].producers:
                was = graph.layers[producer].num_units
                now = smaller.get_submodule(producer).weight.shape[0]
                assert now >= min(was, least, 1)
                if now < was:
                    assert now % multiple == 0
                    assert now >= least


@quick
@given(st.integers(0, 999), st.floats(0, 0.999), st.sampled_from(["layer", "global"]))
def test_pieces_of_one_change_nothing(seed, sparsity, scope):
    model = seeded(TinyResidual, seed)
    plain = ranked(model, RESIDUAL, scope=scope)
    same = ranked(model, RESIDUAL, scope=scope, multiple_of=1, min_units=1)
    assert all(torch.equal(plain.ranks[n], same.ranks[n]) for n in plain.ranks)
    assert plain.plan(sparsity).removed == same.plan(sparsity).removed
