"""Each formula by hand, and how its scores behave when units are permuted or scaled."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunevis.criteria import CRITERIA, ScoreContext, importance
from prunevis.errors import NonFiniteError, SpecError
from prunevis.graph.layers import ChannelGroup, LayerInfo, Member, ModelGraph, TensorInfo

WEIGHT = [[3.0, -4.0], [0.0, 0.5], [-1.0, 1.0]]
# two examples of three units at two positions, after a ReLU
ANSWERS = [[[0.0, 2.0], [0.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 4.0], [1.0, 2.0]]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", [7.0, 0.5, 2.0]),
        ("l2", [5.0, 0.5, 2**0.5]),
        ("mean-activation", [1.0, 1.0, 1.25]),
        ("apoz", [0.5, 0.25, 1.0]),
        ("std-activation", [1.0, 3**0.5, (3 / 16) ** 0.5]),
        # distances (3, -4) to (0, 0.5), (3, -4) to (-1, 1), (0, 0.5) to (-1, 1)
        ("geometric-median", [29.25**0.5 + 41**0.5, 29.25**0.5 + 1.25**0.5, 41**0.5 + 1.25**0.5]),
    ],
)
def test_unit_scores_by_hand(bench, name, expected):
    scores = bench(WEIGHT, answers=ANSWERS).score(CRITERIA[name]())
    assert scores.tolist() == pytest.approx(expected)


def test_magnitude_by_hand(bench):
    scores = bench(WEIGHT).score(CRITERIA["magnitude"](), "weight")
    assert scores.tolist() == [[3.0, 4.0], [0.0, 0.5], [1.0, 1.0]]


def test_mean_activation_does_not_let_signs_cancel(bench):
    answers = [[[-2.0], [0.1]], [[2.0], [0.1]]]
    scores = bench([[1.0], [1.0]], answers=answers).score(CRITERIA["mean-activation"]())
    assert scores.tolist() == pytest.approx([2.0, 0.1])


def test_bn_scale_by_hand(bench):
    gamma = torch.tensor([0.5, -2.0, 0.0])
    here = bench(WEIGHT, norms=["n"], **{"n.weight": gamma})
    assert here.score(CRITERIA["bn-scale"]()).tolist() == [0.5, 2.0, 0.0]
    other = torch.tensor([1.0, 1.0, 0.25])
    both = bench(WEIGHT, norms=["n", "m"], **{"n.weight": gamma, "m.weight": other})
    assert both.score(CRITERIA["bn-scale"]()).tolist() == [1.0, 2.0, 0.25]


def test_bn_scale_finds_its_units_behind_a_concatenation():
    layer = LayerInfo(
        "a", "Conv2d", "a.weight", None, (2, 1, 1, 1), 2, 1, 2, 2,
        "a", ("n",), (), "relu", False, None, None,
    )  # fmt: skip
    units = torch.tensor([-1, -1, -1, 1, 0])  # three channels of another branch stand before
    members = (
        Member("a.weight", 0, torch.arange(2), "producer", "a"),
        Member("n.weight", 0, units, "norm", "n"),
    )
    group = ChannelGroup("a", 2, ("a",), (), members, (), None, False)
    tensors = {"a.weight": torch.ones(2, 1, 1, 1), "n.weight": torch.arange(5.0)}
    infos = {n: TensorInfo(n, tuple(t.shape), True, 4) for n, t in tensors.items()}
    graph = ModelGraph({"a": layer}, {"a": group}, infos, 0, (1,), None, (), (), {})
    criterion = CRITERIA["bn-scale"]()
    context = ScoreContext(graph, tensors, None, "unit")
    assert importance(criterion, layer, context).tolist() == [4.0, 3.0]


def test_bn_scale_says_where_there_is_none(bench):
    here = bench(WEIGHT, norms=["n"])  # affine=False: a norm without a weight
    criterion = CRITERIA["bn-scale"]()
    assert "can score no layer of this network" in criterion.unavailable(here.graph)
    with pytest.raises(SpecError, match="`a` is not followed by a BatchNorm"):
        importance(criterion, here.layer, here.context())
    with_scale = bench(WEIGHT, norms=["n"], **{"n.weight": torch.ones(3)})
    assert criterion.unavailable(with_scale.graph) is None


@pytest.mark.parametrize("name", ["mean-activation", "apoz", "activation-correlation"])
def test_activation_criteria_say_what_they_lack(bench, name):
    criterion, here = CRITERIA[name](), bench(WEIGHT)
    with pytest.raises(SpecError, match="`a` answer cannot be observed"):
        importance(criterion, here.layer, here.context())
    here = bench(WEIGHT, answers=ANSWERS)
    here.statistics = None
    with pytest.raises(SpecError, match=r"no statistics were collected.*collect_statistics"):
        importance(criterion, here.layer, here.context())


def test_importance_checks_what_goes_in_and_comes_out(bench):
    here = bench(WEIGHT)
    with pytest.raises(SpecError, match=r"does not score single weights\. Expected: unit"):
        importance(CRITERIA["l1"](), here.layer, here.context("weight"))
    bad = bench([[1.0, float("nan")]])
    with pytest.raises(NonFiniteError, match=r"Got: 1 of 2\. Where: a\.weight"):
        importance(CRITERIA["l1"](), bad.layer, bad.context())


def test_random_depends_on_seed_and_layer_alone(bench):
    criterion, here = CRITERIA["random"](), bench(torch.ones(4, 5))
    scores = here.score(criterion, "weight", seed=1)
    assert scores.shape == (4, 5)
    assert torch.equal(scores, here.score(criterion, "weight", seed=1))
    assert not torch.equal(scores, here.score(criterion, "weight", seed=2))
    assert not torch.equal(scores, here.score(criterion, "weight", seed=1, name="b"))
    assert here.score(criterion, "unit").shape == (4,)
    assert 0 <= scores.min() <= scores.max() < 1


def test_random_draws_what_it_always_drew(bench):
    # a recipe with a seed must give the same screen on another machine and next year
    gold = [0.6085597168728055, 0.2209443468382397, 0.03826246682936152]
    assert bench(WEIGHT).score(CRITERIA["random"](), seed=7).tolist() == pytest.approx(gold)


@pytest.mark.parametrize(
    ("name", "power"),
    [
        ("l1", 1),
        ("l2", 1),
        ("weight-similarity", 0),
        ("mean-activation", 1),
        ("apoz", 0),
        ("std-activation", 1),
        ("geometric-median", 1),
        ("activation-correlation", 0),
    ],
)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.125, 0.5, 4.0, 64.0]))
def test_scores_scale_with_what_they_read(bench, name, power, seed, factor):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 5, generator=generator)
    answers = torch.randn(12, 6, 3, generator=generator).relu()
    one = bench(weight, answers=answers).score(CRITERIA[name]())
    scaled = bench(weight * factor, answers=answers * factor).score(CRITERIA[name]())
    torch.testing.assert_close(scaled, one * factor**power, rtol=1e-5, atol=1e-6)
