"""Every repair keeps to the contract; and the contract can be broken, rule by rule."""

import pytest
import torch

from prunevis.errors import SpecError, UnknownNameError
from prunevis.pruning import REPAIRS, Repair, Repaired
from prunevis.pruning.repairs import LeastSquares, MeanRepair
from prunevis.testing import check_repair


@pytest.mark.parametrize("name", REPAIRS)
def test_built_in(name):
    check_repair(name)


def test_names_classes_and_instances_are_taken():
    check_repair(LeastSquares)
    check_repair(MeanRepair())
    with pytest.raises(UnknownNameError, match="no repair called 'glue'"):
        check_repair("glue")


class Idle(Repair):
    """Passes; each broken one below differs in one thing."""

    label, summary, formula = "Idle", "Nothing is done.", "0"
    source, url, granularities = "Doe 2024", "https://doi.org/1", ("unit", "weight")

    def repair(self, context):
        return Repaired({})


def broken(**changes):
    return type("Broken", (Idle,), changes)


def giving(function, **more):
    return broken(repair=lambda self, context: function(context), **more)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (lambda context: None, "is not a subclass of Repair"),
        (type("Empty", (Repair,), {}), r"Empty\.label must be a text"),
        (broken(exact_for={"all"}), "exact_for may only hold"),
        (broken(repair=Repair.repair), r"Broken does not define repair\(\).*the repair 'mine'"),
    ],
)
def test_what_lacks_something_is_not_filed(entry, said):
    with pytest.raises(SpecError, match=said):
        REPAIRS.register("mine")(entry)
    assert "mine" not in REPAIRS


class Remembers(Idle):
    calls = 0

    def repair(self, context):
        Remembers.calls += 1
        return Repaired({"0.weight": context.tensors["0.weight"] + Remembers.calls})


def mutates(context):
    context.tensors["0.weight"].add_(1.0)
    return Repaired({})


def draws(context):
    torch.rand(1)
    return Repaired({})


def wakes(context):
    context.model.train()
    return Repaired({})


@pytest.mark.parametrize(
    ("repair", "said"),
    [
        (broken(label=""), "label must be a text that is not empty, got ''"),
        (broken(summary="nothing"), "summary must be a sentence"),
        (broken(url="arXiv 1"), "url must be an address"),
        (broken(granularities=("head",)), "granularities may only hold"),
        (broken(granularities=()), "granularities is empty"),
        (broken(needs=frozenset({"labels"})), "needs may only hold"),
        (broken(exact_for=frozenset({"all"})), "exact_for may only hold"),
        (broken(exact_for=frozenset({"duplicate"})), "exact for a duplicate unit, but outputs"),
        (giving(lambda c: {}), "must give a Repaired, got dict"),
        (giving(lambda c: Repaired({"x": torch.ones(1)})), "a tensor `x`, which the network has"),
        (
            giving(lambda c: Repaired({"0.weight": c.tensors["0.weight"][:1]})),
            r"`0.weight` of full size, \(8, 12\) torch.float32, got \(1, 12\)",
        ),
        (
            giving(lambda c: Repaired({"0.weight": c.tensors["0.weight"].double()})),
            "got .*float64",
        ),
        (giving(lambda c: Repaired({"0.weight": c.tensors["0.weight"] / 0})), "NaN or infinity"),
        (giving(lambda c: Repaired({}, {"9": "No."})), "skipped names `9`, which is no layer"),
        (giving(lambda c: Repaired({}, {}, {"2": "no"})), "notes of `2` is no sentence: 'no'"),
        (giving(lambda c: c.statistics.inputs), "fails: AttributeError"),
        (giving(lambda c: len(c.inputs)), "fails: TypeError"),
        (broken(repair=Repair.repair), "fails: NotImplementedError"),
        (Remembers, "two different `0.weight`"),
        (giving(mutates), "changed `0.weight` of the network itself"),
        (giving(draws), "changed torch's global random state"),
        (giving(wakes), "left the network in training mode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_rule_can_be_broken(repair, said):
    with pytest.raises(AssertionError, match=said):
        check_repair(repair)


def test_the_good_one_passes_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    check_repair(Idle)
    assert torch.equal(state, torch.get_rng_state())
