"""What may be chosen: pure functions on settings, whatever a browser sends."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_networks import TinyMLP, TinyResidual, seeded
from torch import nn

from prunevis.errors import SpecError
from prunevis.evaluation import evaluate
from prunevis.graph import CostModel, trace
from prunevis.session import choices
from prunevis.session.state import Setting, Stage, View

#: What may arrive where a name, number or unit is expected.
JUNK = [
    None, True, False, 0, -1, 3.5, math.nan, math.inf, 10**400, "", "x" * 100_000, [], ["fc1"],
    {}, {"a": 1}, [[[]]],
]  # fmt: skip
JUNK_IDS = [type(j).__name__ + str(k) for k, j in enumerate(JUNK)]


def stage_of(model, example):
    graph = trace(model, example)
    data = torch.cat([example] * 4), torch.arange(4)
    return Stage(1, "As it came", model, graph, CostModel(graph), evaluate(model, data))


@pytest.fixture
def stage(mlp):
    return stage_of(mlp, torch.ones(1, 12))


@pytest.fixture
def coupled(residual):
    return stage_of(residual, torch.ones(1, 1, 6, 6))


def setting_of(stage, **fields):
    setting = Setting(**fields)
    return replace(setting, ticked=choices.prunable(stage, setting))


def unit_setting(stage, **fields):
    return setting_of(stage, **{"granularity": "unit", "criterion": "l2", **fields})


def test_what_is_prunable(stage, coupled):
    assert choices.prunable(stage, Setting()) == ("fc1", "fc2")
    assert choices.prunable(stage, Setting(), outputs=True) == ("fc1", "fc2", "fc3")
    assert unit_setting(coupled).ticked == ("stem", "conv1", "conv2")
    # units of the output layer are the classes; they stay
    units = unit_setting(stage)
    assert choices.prunable(stage, units, outputs=True) == ("fc1", "fc2")
    assert "model's outputs" in choices.why_not(stage.graph, units, stage.graph.layers["fc3"])


def test_what_goes_together(coupled):
    assert choices.together(coupled.graph, unit_setting(coupled), "conv2") == ("stem", "conv2")
    assert choices.together(coupled.graph, unit_setting(coupled), "conv1") == ("conv1",)
    assert choices.together(coupled.graph, setting_of(coupled), "conv2") == ("conv2",)


def test_ticking_by_hand(stage):
    setting = setting_of(stage, own=(("fc1", 0.5),))
    without = choices.ticked(stage, setting, "fc1", False)
    assert without.ticked == ("fc2",)
    assert without.own == ()
    again = choices.ticked(stage, without, "fc1", True)
    assert again.ticked == ("fc1", "fc2")  # in the order of the network
    assert again.own == ()
    assert choices.ticked(stage, again, "fc3", True).ticked == ("fc1", "fc2", "fc3")
    assert choices.ticked(stage, setting, "fc1", True) == setting


def test_coupled_layers_are_ticked_and_valued_together(coupled):
    setting = unit_setting(coupled)
    without = choices.ticked(coupled, setting, "conv2", False)
    assert without.ticked == ("conv1",)
    assert choices.ticked(coupled, without, "stem", True).ticked == ("stem", "conv1", "conv2")
    valued = choices.with_own(coupled, without, "stem", 0.25)
    assert valued.ticked == ("stem", "conv1", "conv2")  # a value of one's own ticks
    assert valued.own == (("stem", 0.25), ("conv2", 0.25))
    assert choices.with_own(coupled, valued, "conv2", 0.5).own == (("stem", 0.5), ("conv2", 0.5))
    gone = choices.with_own(coupled, valued, "conv2", None)
    assert gone.own == ()
    assert gone.ticked == valued.ticked


def test_layers_that_cannot_be_pruned_cannot_be_ticked(stage):
    for change in (choices.ticked, choices.with_own):
        with pytest.raises(SpecError, match=r"`fc3` cannot be pruned\..*model's outputs"):
            change(stage, unit_setting(stage), "fc3", 0.5)


def test_choosing_a_granularity_chooses_what_fits(stage):
    setting = setting_of(stage, own=(("fc1", 0.5),))
    units = choices.chosen(stage, setting, "granularity", "unit")
    assert (units.granularity, units.criterion) == ("unit", "l2")
    assert units.ticked == ("fc1", "fc2")
    assert units.own == ()
    back = choices.chosen(stage, units, "granularity", "weight")
    assert (back.granularity, back.criterion) == ("weight", "magnitude")
    # what scores both stays
    both = replace(setting, criterion="random")
    assert choices.chosen(stage, both, "granularity", "unit").criterion == "random"


def test_choosing_what_is_chosen_changes_nothing(stage):
    setting = setting_of(stage)
    for what in ("granularity", "criterion", "scope", "seed"):
        assert choices.chosen(stage, setting, what, getattr(setting, what)) == setting


def test_a_criterion_that_cannot_score_some_layers(residual):
    residual.bn0 = residual.bn2 = nn.Identity()
    stage = stage_of(residual, torch.ones(1, 1, 6, 6))
    setting = unit_setting(stage)
    by_norm = choices.chosen(stage, setting, "criterion", "bn-scale")
    assert by_norm.ticked == ("conv1",)
    reason = choices.why_not(stage.graph, by_norm, stage.graph.layers["stem"])
    assert "stem" in reason or "conv2" in reason


REFUSED = [
    ("granularity", "row", "There is no granularity 'row'. Expected: weight, unit"),
    ("scope", "all", "There is no scope 'all'. Expected: layer, global"),
    ("criterion", "l3", "There is no criterion 'l3'. Expected: magnitude"),
    ("criterion", "l2", r"L2 norm .* cannot be used here\. It does not score single weights"),
    ("criterion", "bn-scale", "cannot be used here"),
    ("seed", -1, "A seed is a whole number from 0. Got: -1"),
    ("seed", 2**31, "A seed is a whole number"),
    ("seed", 1.5, "A seed is a whole number"),
]


@pytest.mark.parametrize(("what", "value", "match"), REFUSED)
def test_refused_choices(stage, what, value, match):
    with pytest.raises(SpecError, match=match):
        choices.chosen(stage, setting_of(stage), what, value)


def test_a_criterion_for_which_there_is_no_layer(stage):
    with pytest.raises(SpecError, match=r"cannot be used here\..*can score no layer"):
        choices.chosen(stage, unit_setting(stage), "criterion", "bn-scale")


def test_choices_before_anything_is_open():
    assert choices.chosen(None, Setting(), "scope", "layer").scope == "layer"


@pytest.mark.parametrize("value", JUNK, ids=JUNK_IDS)
def test_junk_is_refused_in_a_short_sentence(stage, value):
    def refused(call, *args, allowed=()):
        if any(value is a for a in allowed):
            return
        with pytest.raises(SpecError) as caught:
            call(*args)
        assert len(str(caught.value)) < 700

    setting = setting_of(stage)
    for what in ("granularity", "criterion", "scope"):
        refused(choices.chosen, stage, setting, what, value)
    refused(choices.chosen, stage, setting, "seed", value, allowed=(0,))
    refused(choices.ticked, stage, setting, value, True)
    refused(choices.with_own, stage, setting, value, 0.5)
    refused(choices.with_own, stage, setting, "fc1", value, allowed=(None, 0, False))
    refused(choices.check_look, {"tab": value})
    refused(choices.check_look, {"theme": value})
    view = View(layer="fc1")
    refused(choices.looking, stage, view, {"layer": value})
    refused(choices.looking, stage, view, {"unit": value}, allowed=(None, 0))


def test_looking(stage):
    view = View(layer="fc1", unit=3)
    assert choices.looking(stage, view, {"layer": "fc2"}) == View(layer="fc2", unit=None)
    assert choices.looking(stage, view, {"tab": "neurons"}) == replace(view, tab="neurons")
    assert choices.looking(stage, view, {"theme": "dark"}) == replace(view, theme="dark")
    assert choices.looking(stage, view, {"unit": 7}).unit == 7
    assert choices.looking(stage, view, {"unit": None}).unit is None
    with pytest.raises(SpecError, match=r"`fc1` has no unit 8\. Expected: 0 to 7"):
        choices.looking(stage, view, {"unit": 8})


@pytest.mark.parametrize(("make", "shape"), [(TinyMLP, (12,)), (TinyResidual, (1, 6, 6))])
def test_every_criterion_is_offered_or_refused_with_a_reason(make, shape):
    stage = stage_of(seeded(make), torch.ones(1, *shape))
    from prunevis.criteria import CRITERIA

    for granularity in ("weight", "unit"):
        for name in CRITERIA:
            setting = Setting(granularity=granularity, criterion=name)
            reason = choices.unavailable(stage.graph, setting, name)
            assert reason is None or reason.endswith(".")
            fits = choices.usable(stage.graph, setting)
            assert (fits.criterion == name) == (reason is None)
            assert choices.unavailable(stage.graph, fits, fits.criterion) is None
