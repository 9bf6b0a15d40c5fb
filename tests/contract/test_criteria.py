"""Every criterion keeps to the contract; and the contract can be broken, rule by rule."""

import pytest
import torch

from prunevis.criteria import CRITERIA, Criterion
from prunevis.criteria.norms import L2Norm
from prunevis.criteria.random import Random
from prunevis.errors import SpecError, UnknownNameError
from prunevis.testing import check_criterion

pairs = [(name, one) for name in CRITERIA for one in CRITERIA[name].granularities]


@pytest.mark.parametrize(("name", "granularity"), pairs)
def test_built_in(name, granularity):
    check_criterion(name, granularity)


def test_names_classes_and_instances_are_taken():
    check_criterion(L2Norm)
    check_criterion(L2Norm(), "unit")
    with pytest.raises(UnknownNameError, match="no criterion called 'l3'"):
        check_criterion("l3")
    with pytest.raises(AssertionError, match="does not score granularity 'weight'"):
        check_criterion("l2", "weight")


class Good(L2Norm):
    """Passes; each broken one below differs in one thing."""


class Unchecked(Criterion):
    label, summary, formula = "x", "It goes.", "x"
    source, url, granularities = "Doe 2024", "https://doi.org/1", ("unit",)


def broken(**changes):
    return type("Broken", (Good,), changes)


def scored(function):
    return broken(score=lambda self, layer, context: function(self, layer, context))


def l2(layer, context):
    return context.rows(layer).norm(dim=1)


def draws(self, context):
    yield
    return torch.rand(1)


def fails(self, context):
    yield
    raise KeyError("nothing")


class Mutates(Good):
    def score(self, layer, context):
        return l2(layer, context).clone() + context.weight(layer).add_(1.0).sum() * 0


class MutatesModel(Good):
    needs = frozenset({"weights", "model"})

    def prepare(self, context):
        with torch.no_grad():
            context.network().get_parameter("0.weight").add_(1.0)
        yield


class Remembers(Good):
    calls = 0

    def score(self, layer, context):
        Remembers.calls += 1
        return l2(layer, context) + Remembers.calls


class Refuses(Good):
    def score(self, layer, context):
        raise SpecError("Not this one.")


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        (broken(label=""), "label must be a text that is not empty, got ''"),
        (broken(summary="small first"), "summary must be a sentence"),
        (broken(url="arXiv 1234"), "url must be an address"),
        (broken(source=None), "source must be a text"),
        (broken(granularities=("kernel",)), "granularities may only hold"),
        (broken(granularities=()), "granularities is empty"),
        (broken(needs=frozenset({"entropy"})), "needs may only hold"),
        (broken(signed=1), "signed must be True or False"),
        (broken(signed=True, score=lambda s, la, c: l2(la, c) - 1), "that this should be 0"),
        (scored(lambda s, la, c: c.gradients(la).before.square), "no statistics were collected"),
        (scored(lambda s, la, c: c.inputs(la).mean[0]), "no statistics were collected"),
        (scored(lambda s, la, c: c.network() and l2(la, c)), "only its weights are at hand"),
        (broken(prepare=draws), "random state in prepare"),
        (broken(prepare=fails), "fails to prepare for a network of linear layers: KeyError"),
        (broken(random=1), "random must be True or False"),
        (Unchecked, "fails on 0 of a network of linear layers: NotImplementedError"),
        (scored(lambda s, la, c: l2(la, c)[:-1]), r"wrong shape\. Expected: \(8,\)\. Got: \(7,\)"),
        (scored(lambda s, la, c: l2(la, c) / 0), "NaN or infinite"),
        (scored(lambda s, la, c: l2(la, c) * 1j), "gave no real scores.*Got: torch.complex64"),
        (scored(lambda s, la, c: -l2(la, c)), "Higher must mean keep"),
        (scored(lambda s, la, c: torch.rand(la.num_units)), "global random state"),
        (scored(lambda s, la, c: l2(la, c) + c.seed), "another seed changes the scores"),
        (scored(lambda s, la, c: c.activations(la).mean), "no statistics were collected"),
        (broken(random=True), "another seed changes nothing"),
        (broken(unavailable_for=lambda *_: "Never."), "can score no layer of any test network"),
        (broken(unavailable_for=lambda s, la, g: la.is_output), "None or a sentence, got False"),
        (broken(unavailable=lambda s, g: "no"), "None or a sentence, got 'no'"),
        (Mutates, "changed the tensor 0.weight"),
        (MutatesModel, "changed the tensor 0.weight of the model"),
        (Remembers, "two different scores for"),
        (Refuses, "though unavailable_for.. gives no reason: Not this one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_rule_can_be_broken(criterion, said):
    with pytest.raises(AssertionError, match=said):
        check_criterion(criterion)


def test_a_criterion_of_the_whole_network_prepares_once_for_all_layers():
    class Whole(Good):
        needs = frozenset({"weights", "model"})

        def prepare(self, context):
            yield
            return {name: la.num_units for name, la in context.graph.layers.items()}

        def score(self, layer, context):
            return l2(layer, context) * context.prepared[layer.name]

    check_criterion(Whole)


def test_the_good_one_passes_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    check_criterion(Good)
    check_criterion(Random)
    assert torch.equal(state, torch.get_rng_state())
