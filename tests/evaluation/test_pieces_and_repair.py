"""A scan and a race in patterns, multiples and with a repair: measured as it was asked."""

import pytest
import torch

from prunevis.errors import SpecError
from prunevis.evaluation import evaluate, race, sensitivity
from prunevis.plots.records import layer_curves
from prunevis.pruning import PruningSpec, candidate, rank


def by_hand(model, data, layer, sparsity, **asked):
    """Return the accuracy and the share gone of a network pruned in this one layer."""
    spec = PruningSpec.make(scope="layer", layers=[layer], **asked)
    plan = rank(model, spec, data=data).plan(sparsity)
    return evaluate(candidate(model, plan), data).accuracy, plan.achieved_sparsity


UNITS = {"criterion": "l2", "granularity": "unit"}


@pytest.mark.parametrize(
    ("asked", "shares"),
    [
        ({"pattern": "2:4"}, (0.3, 0.8)),
        ({**UNITS, "multiple_of": 4}, (0.2, 0.6)),
        ({**UNITS, "min_units": 3}, (0.2, 0.9)),
        ({**UNITS, "repair": "least-squares"}, (0.3, 0.6)),
    ],
)
def test_a_scan_measures_what_was_asked(mlp, mlp_data, asked, shares):
    found = sensitivity(mlp, mlp_data, sparsities=shares, images=None, **asked)
    assert list(found.estimates) == ["fc1", "fc2"]
    for layer, estimates in found.estimates.items():
        wanted = [by_hand(mlp, mlp_data, layer, share, **asked) for share in shares]
        assert [estimate.value for estimate in estimates] == [value for value, _ in wanted]
        assert found.achieved[layer] == tuple(share for _, share in wanted)


def test_a_scan_draws_what_went_not_what_was_asked(mlp, mlp_data):
    """2:4 takes half of the weights and no more: 80 % asked stands at 50 %."""
    found = sensitivity(mlp, mlp_data, sparsities=(0.8,), pattern="2:4")
    curves, _ = layer_curves(found)
    assert [curve.x.tolist() for curve in curves.values()] == [[0.0, 0.5]] * 2
    assert found.spec == PruningSpec.make(scope="layer", sparsity=0.0, pattern="2:4")


def test_a_layer_too_small_for_its_multiple_is_named(mlp, mlp_data):
    """fc1 has 8 units and keeps at least 7 of them, fc2 has only 6."""
    found = sensitivity(
        mlp, mlp_data, layers=["fc1", "fc2"], sparsities=[0.5], min_units=7, **UNITS
    )
    assert list(found.estimates) == ["fc1"]
    assert "at least 7" in found.skipped["fc2"]


@pytest.mark.parametrize(
    "asked", [{"pattern": "2:4", "granularity": "weight"}, {"multiple_of": 2}, {"min_units": 3}]
)
def test_a_race_keeps_to_the_pieces(mlp, mlp_data, asked):
    granularity = asked.get("granularity", "unit")
    name = "magnitude" if granularity == "weight" else "l2"
    asked = {"granularity": granularity, **asked}
    found = race(mlp, mlp_data, [name], shares=(0.4, 0.9), **asked)
    ranking = rank(mlp, PruningSpec.make(name, **asked), data=mlp_data)
    for place, share in enumerate(found.shares):
        plan = ranking.plan(share)
        point = found[name].runs[0].points[place]
        assert point.sparsity == plan.achieved_sparsity
        assert point.estimate.value == evaluate(candidate(mlp, plan), mlp_data).accuracy
    assert (found.spec.pattern, found.spec.multiple_of) == (
        ranking.spec.pattern,
        ranking.spec.multiple_of,
    )


def test_a_race_is_run_repaired(mlp, mlp_data):
    asked = {"granularity": "unit", "scope": "layer", "repair": "least-squares"}
    found = race(mlp, mlp_data, ["l2"], shares=(0.5,), **asked)
    plan = rank(mlp, PruningSpec.make("l2", **asked), data=mlp_data).plan(0.5)
    assert found["l2"].runs[0].points[0].estimate.value == (
        evaluate(candidate(mlp, plan), mlp_data).accuracy
    )
    # what is repaired is not what is only pruned
    with torch.no_grad():
        bare = candidate(
            mlp, rank(mlp, PruningSpec.make("l2", "unit", "layer"), data=mlp_data).plan(0.5)
        )
        inputs = mlp_data.test.inputs
        assert not torch.equal(bare(inputs), candidate(mlp, plan)(inputs))


def test_what_does_not_fit_is_refused(mlp, mlp_data):
    with pytest.raises(SpecError, match="A pattern is one of weights"):
        race(mlp, mlp_data, ["l2"], pattern="2:4")
    with pytest.raises(SpecError, match="counts units"):
        sensitivity(mlp, mlp_data, multiple_of=2)
