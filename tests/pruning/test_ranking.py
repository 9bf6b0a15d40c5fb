"""Orders and counts, computed by hand, against torch's own pruning, and as properties.

Long on purpose: weights and units are held to the same orders and counts, side by side.
"""

import copy
import gc
import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import TinyMLP, TinyResidual, seeded
from torch import nn
from torch.nn.utils import prune as torch_prune

from prunevis.criteria import CRITERIA, Criterion
from prunevis.errors import (
    ModelError,
    NonFiniteError,
    NothingToPruneError,
    SpecError,
    UnknownNameError,
)
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, rank, rank_steps
from prunevis.statistics import collect_statistics
from prunevis.steps import finished

# A network whose weights are small whole numbers: layer a 2×2, layer b 2×2, output c 2×2.
A = [[1.0, -4.0], [2.0, 3.0]]
B = [[-2.0, 6.0], [5.0, 2.0]]


class Chain(nn.Module):
    """Linear layers of given weights, ReLU between them, and an output layer of ones."""

    def __init__(self, *weights, classes=2):
        super().__init__()
        for name, weight in zip("abdefgh", weights, strict=False):
            weight = torch.as_tensor(weight)
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            layer.weight.data = weight.clone()
            setattr(self, name, layer)
        self.c = nn.Linear(weight.shape[0], classes, bias=False)
        nn.init.ones_(self.c.weight)

    def forward(self, x):
        for name, layer in self.named_children():
            if name != "c":
                x = torch.relu(layer(x))
        return self.c(x)


def ranked(model, width=None, statistics=None, **spec):
    width = next(model.parameters()).shape[1] if width is None else width
    graph = trace(model, torch.zeros(1, width))
    return rank(model, PruningSpec.make(**spec), graph=graph, statistics=statistics)


# -- computed by hand ----------------------------------------------------------------------------


def test_one_global_order_of_weights():
    ranking = ranked(Chain(A, B))
    # |w|: a 1 4 2 3, b 2 6 5 2. The best of each layer (a's 4, b's 6) goes last, in order of size;
    # of the three 2s the one of the first layer goes first.
    assert ranking.ranks["a"].tolist() == [[0, 6], [1, 4]]
    assert ranking.ranks["b"].tolist() == [[2, 7], [5, 3]]
    assert ranking.ranks["a"].dtype == torch.int32
    assert list(ranking.importance) == ["a", "b"]
    assert ranking.importance["a"].tolist() == [[1, 4], [2, 3]]
    assert ranking.skipped == {}


def test_one_order_a_layer():
    ranking = ranked(Chain(A, B), scope="layer")
    assert ranking.ranks["a"].tolist() == [[0, 3], [1, 2]]
    assert ranking.ranks["b"].tolist() == [[0, 3], [2, 1]]


@pytest.mark.parametrize(
    ("sparsity", "gone", "threshold"),
    [
        (0.0, {"a": 0, "b": 0}, None),
        (0.125, {"a": 1, "b": 0}, 1.0),
        (0.25, {"a": 2, "b": 0}, 2.0),
        (0.5, {"a": 2, "b": 2}, 2.0),
        (0.75, {"a": 3, "b": 3}, 5.0),
        (0.999, {"a": 3, "b": 3}, 5.0),  # one of each layer stays
    ],
)
def test_plans_of_the_global_order(sparsity, gone, threshold):
    plan = ranked(Chain(A, B)).plan(sparsity)
    assert plan.removed == gone
    assert plan.total == {"a": 4, "b": 4}
    assert (plan.num_removed, plan.num_prunable) == (sum(gone.values()), 8)
    assert plan.achieved_sparsity == sum(gone.values()) / 8
    assert plan.sparsity == sparsity
    assert plan.threshold == threshold
    assert {n: int((~m).sum()) for n, m in plan.masks.items()} == gone
    assert plan.kept == {}


def test_a_plan_by_hand():
    plan = ranked(Chain(A, B)).plan(0.5)
    assert plan.masks["a"].tolist() == [[False, True], [False, True]]
    assert plan.masks["b"].tolist() == [[False, True], [True, False]]
    assert plan.thresholds == {"a": 2.0, "b": 2.0}
    assert repr(plan) == ("PruningPlan(4 of 8 weights go, 50.0%, by magnitude, scope global)")


def test_own_sparsity_of_a_layer():
    ranking = ranked(Chain(A, B), layers={"a": 0.75, "b": None})
    for sparsity, of_b in ((0.0, 0), (0.25, 1), (0.5, 2), (0.9, 3)):
        plan = ranking.plan(sparsity)
        assert plan.removed == {"a": 3, "b": of_b}
    # a is out of the pool: b alone is ranked globally
    assert ranking.ranks["b"].tolist() == [[0, 3], [2, 1]]
    assert ranking.plan(0.0).masks["a"].tolist() == [[False, True], [False, False]]
    assert ranking.plan(0.25).threshold == 2.0


def test_the_plan_of_the_spec_itself():
    ranking = ranked(Chain(A, B), sparsity=0.25)
    assert ranking.plan().removed == ranking.plan(0.25).removed == {"a": 2, "b": 0}
    assert ranking.plan(0.5).spec.sparsity == 0.5
    assert ranking.spec.sparsity == 0.25
    assert repr(ranking) == "Ranking(8 weights of 2 layers by magnitude, scope global)"


def test_units_by_norm():
    # rows of a: |1|+|4| = 5, |2|+|3| = 5; rows of b: 8 and 7
    ranking = ranked(Chain(A, B), criterion="l1", granularity="unit", scope="layer")
    assert ranking.importance["a"].tolist() == [5, 5]
    assert ranking.importance["b"].tolist() == [8, 7]
    plan = ranking.plan(0.5)
    assert {n: k.tolist() for n, k in plan.kept.items()} == {"a": [1], "b": [0]}
    assert plan.kept["a"].dtype == torch.int64
    assert plan.removed == {"a": 1, "b": 1}
    assert plan.masks == {}
    assert "2 of 4 units go" in repr(plan)


def test_units_of_different_layers_compare_by_share_of_their_norm():
    # raw norms would empty the layer with small weights; divided by the L2 norm of the layer's
    # scores (Molchanov et al. 2016) a is 1, 2, 2 over 3 and b is 300, 400 over 500
    weights = [[1.0], [2.0], [2.0]], [[100.0, 100, 100], [200, 100, 100]]
    ranking = ranked(Chain(*weights), criterion="l1", granularity="unit")
    assert ranking.importance["a"].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert ranking.importance["b"].tolist() == pytest.approx([0.6, 0.8])
    assert ranking.ranks["a"].tolist() == [0, 2, 3]  # the last of equals is kept to the end
    assert ranking.ranks["b"].tolist() == [1, 4]


def test_units_that_are_added_share_the_mean_of_their_scores(residual):
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    spec = PruningSpec.make(criterion="l1", granularity="unit", scope="layer")
    ranking = rank(residual, spec, graph=graph)
    assert list(ranking.importance) == ["stem", "conv1"]
    by_hand = [m.weight.abs().flatten(1).sum(1) for m in (residual.stem, residual.conv2)]
    torch.testing.assert_close(ranking.importance["stem"], sum(by_hand) / 2)
    plan = ranking.plan(0.5)
    assert plan.removed == {"stem": 3, "conv1": 2}  # round(2.5) is 2, as Python rounds
    normalised = rank(residual, PruningSpec.make(criterion="l1", granularity="unit"), graph=graph)
    for name, scores in normalised.importance.items():
        assert float(scores.norm()) == pytest.approx(1.0)
        torch.testing.assert_close(
            scores, ranking.importance[name] / ranking.importance[name].norm()
        )


def test_own_sparsity_of_coupled_layers_is_that_of_their_group(residual):
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    spec = PruningSpec.make(
        criterion="l1", granularity="unit", layers={"conv2": 0.5, "conv1": None}
    )
    ranking = rank(residual, spec, graph=graph)
    assert ranking.plan(0.0).removed == {"stem": 3, "conv1": 0}
    assert ranking.plan(0.8).removed == {"stem": 3, "conv1": 4}


# -- ties, zeros, extremes -----------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_ties_are_broken_by_position(scope):
    model = Chain(torch.ones(2, 3), torch.ones(2, 2))
    ranking = ranked(model, scope=scope)
    if scope == "layer":
        assert ranking.ranks["a"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
        assert ranking.ranks["b"].flatten().tolist() == [0, 1, 2, 3]
    else:
        assert ranking.ranks["a"].flatten().tolist() == [0, 1, 2, 3, 4, 8]
        assert ranking.ranks["b"].flatten().tolist() == [5, 6, 7, 9]
    assert ranking.plan(0.999).removed == {"a": 5, "b": 3}


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_what_is_zero_stays_gone(scope):
    weight = torch.tensor(A)
    weight[0, 1] = weight[1, 1] = 0.0
    ranking = ranked(Chain(weight, B), scope=scope)
    assert ranking.already == {"a": 2, "b": 0}
    for sparsity in (0.0, 0.1, 0.25):
        plan = ranking.plan(sparsity)
        assert plan.removed == {"a": 2, "b": 0 if scope == "global" else round(4 * sparsity)}
        assert plan.masks["a"].tolist() == [[True, False], [True, False]]
    # by any other criterion too
    other = ranked(Chain(weight, B), scope=scope, criterion="random", seed=3)
    assert other.plan(0.0).masks["a"].tolist() == [[True, False], [True, False]]


def test_a_threshold_is_a_score_of_something_that_goes_now():
    weight = torch.tensor(A)
    weight[0, 1] = 0.0
    ranking = ranked(Chain(weight, B))
    plan = ranking.plan(0.0)
    assert plan.removed == {"a": 1, "b": 0}
    assert plan.threshold is None
    assert plan.thresholds == {"a": None, "b": None}
    assert ranking.plan(0.25).thresholds == {"a": 1.0, "b": None}
    assert ranking.plan(0.25).threshold == 1.0


def test_a_layer_of_zeros_keeps_one():
    ranking = ranked(Chain(torch.zeros(2, 2), B))
    assert ranking.already == {"a": 3, "b": 0}
    assert ranking.plan(0.0).removed == {"a": 3, "b": 0}
    assert ranking.plan(0.999).removed == {"a": 3, "b": 3}


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_no_layer_is_ever_emptied(granularity, scope):
    # by raw score everything of a and d would go before anything of b
    model = Chain(torch.rand(5, 3) * 1e-6, torch.rand(4, 5) * 1e6, torch.rand(6, 4) * 1e-3)
    criterion = "magnitude" if granularity == "weight" else "l2"
    ranking = ranked(model, criterion=criterion, granularity=granularity, scope=scope)
    plan = ranking.plan(0.999)
    left = plan.masks if granularity == "weight" else plan.kept
    assert set(left) == {"a", "b", "d"}
    for name, mask in left.items():
        kept = int(mask.sum()) if granularity == "weight" else len(mask)
        assert kept == 1, name
    best = ranking.importance["a"].argmax()
    assert (left["a"].flatten()[best] if granularity == "weight" else left["a"] == best).all()


# -- against torch, and as properties -------------------------------------------------------------

SHAPES = ((2, 1, 3), (3, 5, 2), (1, 4), (4, 2, 3, 2), (2, 6, 1, 3))


@cache
def network(widths):
    """Return a chain of these widths and its graph; tracing is most of the time."""
    model = Chain(*(torch.zeros(o, i) for i, o in pairwise(widths)))
    return model, trace(model, torch.zeros(1, widths[0]))


@st.composite
def networks(draw, shapes=SHAPES):
    """Draw weights; now and then from so few values that many are equal."""
    model, graph = network(draw(st.sampled_from(shapes)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    few = draw(st.booleans())
    with torch.no_grad():
        for layer in [m for n, m in model.named_children() if n != "c"]:
            weight = torch.randn(layer.weight.shape, generator=generator)
            # not zero: what is zero to begin with is gone at every sparsity
            layer.weight.copy_((weight * 2).round().abs() + 1 if few else weight)
    return model, graph


sparsities = st.floats(0, 0.999)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def torch_masks(model, how, sparsity):
    """Return what `torch.nn.utils.prune` keeps of the layers besides the output layer."""
    model = copy.deepcopy(model)
    layers = {n: m for n, m in model.named_children() if n != "c"}
    if how == "global":
        torch_prune.global_unstructured(
            [(m, "weight") for m in layers.values()],
            pruning_method=torch_prune.L1Unstructured,
            amount=sparsity,
        )
    else:
        for module in layers.values():
            torch_prune.l1_unstructured(module, "weight", amount=sparsity)
    return {n: m.weight_mask.bool() for n, m in layers.items()}


@quick
@given(networks(), sparsities, st.sampled_from(["global", "layer"]))
def test_masks_are_those_of_torch(drawn, sparsity, scope):
    model, graph = drawn
    plan = rank(model, PruningSpec.make(scope=scope), graph=graph).plan(sparsity)
    theirs = torch_masks(model, scope, sparsity)
    for pool in [list(theirs)] if scope == "global" else [[name] for name in theirs]:
        if not all(theirs[name].any() for name in pool):
            # torch empties a layer, and we keep one of each
            assert all(plan.masks[name].any() for name in pool)
            continue
        weights = {name: model.get_parameter(f"{name}.weight").abs() for name in pool}
        ours = torch.cat([weights[name][plan.masks[name]] for name in pool])
        others = torch.cat([weights[name][theirs[name]] for name in pool])
        assert torch.equal(ours.sort().values, others.sort().values)
        everything = torch.cat([weight.flatten() for weight in weights.values()])
        if len(everything.unique()) == everything.numel():
            # where there are ties, torch breaks them in no fixed order
            assert all(torch.equal(plan.masks[name], theirs[name]) for name in pool)


@quick
@given(
    networks(),
    st.lists(sparsities, min_size=2, max_size=5),
    st.sampled_from([("weight", "magnitude"), ("weight", "random"), ("unit", "l2")]),
    st.sampled_from(["layer", "global"]),
)
def test_what_goes_once_goes_at_every_higher_sparsity(drawn, values, what, scope):
    granularity, criterion = what
    model, graph = drawn
    ranking = rank(model, PruningSpec.make(criterion, granularity, scope), graph=graph)
    before = None
    for sparsity in sorted(values):
        plan = ranking.plan(sparsity)
        cuts, removed = ranking.counts(sparsity)
        assert (cuts, removed) == (plan.cuts, plan.removed)
        gone = {n: plan.ranks[n] < plan.cuts[n] for n in plan.ranks}
        assert {n: int(g.sum()) for n, g in gone.items()} == removed
        kept = plan.masks if granularity == "weight" else plan.kept
        for name, total in plan.total.items():
            left = int(kept[name].sum()) if granularity == "weight" else len(kept[name])
            assert left == total - removed[name] >= 1
        wanted = round(sparsity * plan.num_prunable)
        if scope == "global":
            assert plan.num_removed == min(wanted, plan.num_prunable - len(plan.total))
        else:
            assert removed == {n: min(round(sparsity * t), t - 1) for n, t in plan.total.items()}
        if before is not None:
            assert all(bool((gone[n] | ~before[n]).all()) for n in gone)
        before = gone


@quick
@given(networks(), st.sampled_from(["layer", "global"]), sparsities)
def test_everything_that_goes_matters_less_than_all_that_stays(drawn, scope, sparsity):
    model, graph = drawn
    ranking = rank(model, PruningSpec.make(scope=scope), graph=graph)
    plan = ranking.plan(sparsity)
    for name, mask in plan.masks.items():
        scores = ranking.importance[name]
        if plan.removed[name]:
            highest = float(scores[~mask].max())
            assert highest <= float(scores[mask].min())
            assert plan.thresholds[name] == highest
    if plan.num_removed:
        assert plan.threshold == (
            None if scope == "layer" else max(t for t in plan.thresholds.values() if t is not None)
        )


@quick
@given(networks(), st.sampled_from(["layer", "global"]))
def test_ranks_are_one_permutation(drawn, scope):
    model, graph = drawn
    ranking = rank(model, PruningSpec.make(scope=scope), graph=graph)
    parts = [r.flatten() for r in ranking.ranks.values()]
    for part in [torch.cat(parts)] if scope == "global" else parts:
        assert sorted(part.tolist()) == list(range(part.numel()))


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_scores_that_are_not_kept_are_computed_again(mlp, criterion, scope):
    with torch.no_grad():
        mlp.fc1.weight[0] = 0
    graph = trace(mlp, torch.zeros(1, 12))
    spec = PruningSpec.make(criterion, scope=scope)
    kept = rank(mlp, spec, graph=graph)
    lean = finished(rank_steps(mlp, spec, graph=graph, keep_scores=False))
    assert list(lean.importance) == list(kept.importance) == list(lean.total)
    assert len(lean.importance) == 2
    for name, scores in kept.importance.items():
        assert torch.equal(lean.importance[name], scores)
        assert torch.equal(lean.ranks[name], kept.ranks[name])
    # 0.37123 is no tenth of a percent: its threshold is looked up
    for sparsity in (0.0, 0.37123, 0.5, 0.999):
        ours, other = kept.plan(sparsity), lean.plan(sparsity)
        assert (ours.cuts, ours.removed) == (other.cuts, other.removed)
        assert ours.thresholds == other.thresholds
        assert ours.threshold == other.threshold
    assert kept.nbytes - lean.nbytes == sum(s.nbytes for s in kept.importance.values())


def test_plans_share_the_masks_of_layers_that_lose_the_same():
    ranking = ranked(Chain(A, B))
    before = ranking.plan(0.25)
    masks = before.masks
    after = ranking.plan(0.5).masks
    assert after["a"] is masks["a"]
    assert after["b"] is not masks["b"]
    del masks, after, before
    gc.collect()
    assert not ranking._masks


# -- what may be asked -----------------------------------------------------------------------------


def test_the_output_layer_stays_unless_it_is_named(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    assert list(rank(mlp, graph=graph).importance) == ["fc1", "fc2"]
    named = rank(mlp, PruningSpec.make(layers=["fc3"]), graph=graph)
    assert list(named.importance) == ["fc3"]
    units = PruningSpec.make(criterion="l2", granularity="unit")
    assert list(rank(mlp, units, graph=graph).importance) == ["fc1", "fc2"]
    # asked for by name, even classes may leave
    units = PruningSpec.make(criterion="l2", granularity="unit", layers=["fc3"])
    assert rank(mlp, units, graph=graph).plan(0.5).removed == {"fc3": 2}


def test_layers_come_in_the_order_of_the_network(mlp):
    spec = PruningSpec.make(layers=["fc3", "fc1"])
    assert list(rank(mlp, spec, data=(torch.zeros(1, 12), [0])).importance) == ["fc1", "fc3"]


REFUSED = [
    (
        {"layers": ["fc11"]},
        SpecError,
        r"There is no layer called 'fc11'\. Did you mean 'fc1'\? Layers: fc1, fc2, fc3\.",
    ),
    ({"layers": ["zzz"]}, SpecError, r"called 'zzz'\. Layers: fc1, fc2, fc3"),
    ({"criterion": "magnitud"}, UnknownNameError, r"Did you mean 'magnitude'\?"),
    (
        {"granularity": "unit"},
        SpecError,
        "'magnitude' does not score single units.*'unit' choose one of: .*l2",
    ),
    ({"criterion": "apoz"}, SpecError, "'apoz' does not score single weights"),
    (
        {"criterion": "apoz", "granularity": "unit"},
        SpecError,
        "'apoz' looks at activations, and there are no data.*collect_statistics",
    ),
    (
        {"criterion": "bn-scale", "granularity": "unit", "layers": ["fc1"]},
        SpecError,
        "`fc1` has no score by 'bn-scale'",
    ),
    (
        {"criterion": "bn-scale", "granularity": "unit"},
        NothingToPruneError,
        "Nothing in this network can be pruned.*`fc1`.*other granularity",
    ),
]


@pytest.mark.parametrize(("spec", "error", "match"), REFUSED)
def test_refusals(mlp, untouched_model, spec, error, match):
    check = untouched_model(mlp)
    with pytest.raises(error, match=match):
        ranked(mlp, **spec)
    check()


def test_a_network_that_was_never_traced(mlp):
    with pytest.raises(SpecError, match=r"has not been traced.*graph=trace\(model"):
        rank(mlp)


def test_a_graph_of_another_network(mlp):
    graph = trace(mlp, torch.zeros(1, 12))
    mlp.fc2 = nn.Linear(8, 7)
    with pytest.raises(ModelError, match=r"another network.*fc2\.weight of shape \(6, 8\)"):
        rank(mlp, graph=graph)
    del mlp.fc2
    with pytest.raises(ModelError, match=r"another network.*no such tensor"):
        rank(mlp, graph=graph)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_went_bad_after_tracing(mlp, value):
    graph = trace(mlp, torch.zeros(1, 12))
    with torch.no_grad():
        mlp.fc2.weight[0, 0] = value
    with pytest.raises(NonFiniteError, match=r"NaN or infinite.*Where: fc2"):
        rank(mlp, graph=graph)
    with pytest.raises(NonFiniteError, match=r"NaN or infinite.*Where: fc2"):
        rank(mlp, PruningSpec.make(criterion="l2", granularity="unit"), graph=graph)


class Odd(Criterion):
    """Gives what it is told to."""

    label, summary, formula, source, url = "odd", "", "", "", ""
    granularities = ("weight", "unit")
    scores = None

    def score(self, layer, context):
        return self.scores(layer, context)


@pytest.fixture
def odd(monkeypatch):
    monkeypatch.setitem(CRITERIA._entries, "odd", Odd)
    return lambda scores: monkeypatch.setattr(Odd, "scores", staticmethod(scores))


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_a_criterion_that_misbehaves_is_named(odd, mlp, granularity):
    odd(lambda layer, context: torch.full(layer.weight_shape, math.nan))
    if granularity == "weight":
        with pytest.raises(NonFiniteError, match=r"'odd' gave NaN.*Where: fc1"):
            ranked(mlp, criterion="odd")
    odd(lambda layer, context: torch.zeros(3))
    with pytest.raises(SpecError, match=r"'odd' gave scores of the wrong shape.*Where: fc1"):
        ranked(mlp, criterion="odd", granularity=granularity)


def test_scores_of_whole_numbers(odd, mlp):
    odd(lambda layer, context: torch.ones(layer.weight_shape, dtype=torch.int64))
    with torch.no_grad():
        mlp.fc1.weight[0, 0] = 0
    assert ranked(mlp, criterion="odd").plan(0.0).removed == {"fc1": 1, "fc2": 0}


def test_scores_with_gradient_history_are_detached(odd, mlp):
    odd(lambda layer, context: mlp.get_parameter(layer.weight).abs())
    assert not ranked(mlp, criterion="odd").importance["fc1"].requires_grad


def test_layers_that_cannot_be_scored_are_told(residual):
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    for norm in ("bn0", "bn2"):
        setattr(residual, norm, nn.Identity())
    graph = trace(residual, torch.zeros(1, 1, 6, 6))
    spec = PruningSpec.make(criterion="bn-scale", granularity="unit")
    ranking = rank(residual, spec, graph=graph)
    assert list(ranking.importance) == ["conv1"]
    assert set(ranking.skipped) == {"stem"}
    assert "`stem`" in ranking.skipped["stem"] or "`conv2`" in ranking.skipped["stem"]


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def test_a_shared_weight_is_ranked_once_and_said():
    ranking = ranked(seeded(Tied), width=4)
    assert len(ranking.importance) == 1
    assert sum(s.numel() for s in ranking.importance.values()) == 16
    assert "shares" in " ".join(ranking.skipped.values()) or "a" in ranking.graph.layers


def test_statistics_are_collected_from_the_data_where_needed(mlp, mlp_data, untouched_model):
    check = untouched_model(mlp)
    spec = PruningSpec.make(criterion="mean-activation", granularity="unit")
    from_data = rank(mlp, spec, data=mlp_data)
    graph = trace(mlp, torch.zeros(1, 12))
    given_ = rank(mlp, spec, graph=graph, statistics=collect_statistics(mlp, mlp_data, graph=graph))
    for name in from_data.importance:
        assert torch.equal(from_data.ranks[name], given_.ranks[name])
    check()


@pytest.mark.parametrize("make", [TinyMLP, TinyResidual])
def test_the_seed_decides_where_chance_does(make, untouched_model):
    model = seeded(make)
    check = untouched_model(model)
    example = torch.zeros(1, 12) if make is TinyMLP else torch.zeros(1, 1, 6, 6)
    graph = trace(model, example)

    def order(seed):
        ranking = rank(model, PruningSpec.make("random", seed=seed), graph=graph)
        return torch.cat([r.flatten() for r in ranking.ranks.values()])

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))
    check()
