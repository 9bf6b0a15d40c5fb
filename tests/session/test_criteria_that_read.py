"""Choosing a criterion that reads more than weights collects what it needs, in words."""

import pytest
import torch

from prunevis.app import views
from prunevis.criteria import CRITERIA
from prunevis.session import choices, measuring
from prunevis.statistics import collecting


def groups(controls):
    """Headings of the menu in order, with the names below each."""
    found = {}
    for entry in controls["criteria"]:
        found.setdefault(entry["group"], []).append(entry["name"])
    return found


@pytest.mark.parametrize("name", ["snip", "wanda", "obs", "grasp", "synflow"])
def test_a_weight_criterion_is_ranked_when_it_is_chosen(driver, mlp, mlp_data, name):
    driver.open(mlp, mlp_data)
    driver.do("choose", "criterion", name)
    assert driver.problem == ""
    assert driver.session.table.setting.criterion == name
    found = driver.session.statistics
    needs = set(CRITERIA[name].needs)
    assert found is None if name == "synflow" else not found.missing(needs)


@pytest.mark.parametrize("name", ["taylor-2019", "mutual-information", "hrank", "thinet", "apoz"])
def test_a_unit_criterion_is_ranked_when_it_is_chosen(driver, residual, residual_data, name):
    driver.open(residual, residual_data)
    driver.do("choose", "granularity", "unit")
    driver.do("choose", "criterion", name)
    assert driver.problem == ""
    assert driver.session.table.setting.criterion == name
    assert "conv1" in driver.session.table.ranking.total


def test_what_is_known_is_kept_and_only_the_rest_is_collected(driver, mlp, mlp_data):
    driver.open(mlp, mlp_data)
    driver.do("choose", "criterion", "snip")
    first = driver.session.statistics
    assert (bool(first.gradients), bool(first.activations), bool(first.inputs)) == (
        True,
        True,
        False,
    )
    driver.do("choose", "criterion", "wanda")
    both = driver.session.statistics
    assert both.gradient("fc1") is first.gradient("fc1")
    assert both["fc1"] is first["fc1"]
    assert both.inputs
    assert both.input("fc1").moment is None
    driver.do("choose", "criterion", "obs")
    assert driver.session.statistics.input("fc1").moment is not None
    again = driver.session.statistics
    driver.do("choose", "criterion", "taylor-weight")
    assert driver.session.statistics is again


def test_the_status_counts_examples(driver, mlp, mlp_data, monkeypatch):
    monkeypatch.setattr(collecting, "STEP", -1.0)
    driver.open(mlp, mlp_data)
    said = []
    driver.session.observe(lambda change: said.append(change["new"].text), "status")
    driver.do("choose", "criterion", "snip")
    counts = [text for text in said if text.startswith("Collecting gradients: ")]
    assert counts[-1] == "Collecting gradients: 48 of 48 examples"
    assert len(set(counts)) > 3
    said.clear()
    driver.do("choose", "criterion", "obs")
    assert "Collecting what the layers read: 48 of 48 examples" in said


def test_large_networks_get_fewer_gradients(driver, mlp, mlp_data, monkeypatch):
    monkeypatch.setattr(measuring, "GRADIENT_MACS", 1)
    monkeypatch.setattr(measuring, "LEAST_GRADIENTS", 7)
    driver.open(mlp, mlp_data)
    driver.do("choose", "criterion", "snip")
    assert driver.session.statistics.gradient("fc1").num_examples == 7
    assert views.controls(driver.session)["basis"] == "From gradients, on 7 training examples."


def test_the_menu_is_grouped_by_what_is_read(driver, residual, residual_data):
    driver.open(residual, residual_data)
    found = groups(views.controls(driver.session))
    assert list(found) == [
        "By weights",
        "By what layers read",
        "By the loss and its gradients",
        "Control",
    ]
    assert found["By the loss and its gradients"] == [
        "snip",
        "taylor-weight",
        "obd",
        "grasp",
        "movement",
    ]
    assert found["By weights"] == ["magnitude", "layer-threshold", "lamp", "synflow"]
    driver.do("choose", "granularity", "unit")
    found = groups(views.controls(driver.session))
    assert found["By what layers read"] == ["thinet", "reconstruction"]
    assert found["By the loss and its gradients"][:3] == ["taylor-2016", "taylor-2019", "fisher"]
    assert "hrank" in found["By what units answer"]
    assert found["Control"] == ["random"]


def test_what_a_criterion_rests_on_is_said_and_when_it_is_little(driver, mlp, mlp_data):
    driver.open(mlp, mlp_data)
    assert views.controls(driver.session)["basis"] == ""
    driver.do("choose", "granularity", "unit")
    driver.do("choose", "criterion", "mutual-information")
    controls = views.controls(driver.session)
    assert controls["basis"] == "From answers to single examples, on 48 training examples."
    assert controls["caution"] == "48 examples are few for a table of 32 cells."
    driver.do("choose", "criterion", "taylor-2016")
    assert views.controls(driver.session)["caution"] == ""


def test_what_is_still_to_be_collected_is_said(driver, mlp, mlp_data):
    driver.open(mlp, mlp_data)
    driver.controller.worker.request(lambda: driver.controller.choose("criterion", "obd"), "asked")
    driver.step()
    said = views.controls(driver.session)["basis"]
    assert said == "Reads gradients, which are collected first."
    driver.run()
    assert views.controls(driver.session)["basis"] == "From gradients, on 48 training examples."
    driver.do("choose", "criterion", "movement")
    said = views.controls(driver.session)["basis"]
    assert said == "Runs a copy of the network on up to 48 training examples."


def test_several_layers_of_little_trust_are_told_in_one_line(driver, mlp, mlp_data):
    few = mlp_data.train.take(slice(0, 6))
    driver.open(mlp, (few.inputs, few.targets))
    driver.do("choose", "criterion", "obs")
    said = views.controls(driver.session)["caution"]
    assert said.startswith("fc1 reads 12 inputs and was seen with 6 samples only")
    assert said.endswith("So it is with 1 more.")


def test_a_criterion_that_cannot_apply_says_why(driver, mlp, mlp_data):
    driver.open(mlp, mlp_data)
    driver.do("choose", "granularity", "unit")
    entries = {entry["name"]: entry for entry in views.controls(driver.session)["criteria"]}
    assert "give no feature maps" in entries["hrank"]["disabled"]
    driver.do("choose", "criterion", "hrank")
    assert "cannot be used here" in driver.problem


def test_layers_that_a_criterion_of_weights_cannot_score_are_left_out(driver):
    model = torch.nn.Sequential(
        torch.nn.ConvTranspose2d(1, 3, 2), torch.nn.ReLU(), torch.nn.Conv2d(3, 4, 2),
        torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3),
    )  # fmt: skip
    x = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    driver.open(model, (x, torch.arange(40) % 3))
    driver.do("choose", "criterion", "wanda")
    assert driver.problem == ""
    assert driver.session.setting.ticked == ("2",)
    layers = {entry["name"]: entry for entry in views.controls(driver.session)["layers"]}
    assert "transposed convolution" in layers["0"]["disabled"]


def test_why_not_asks_the_criterion_for_weights_too(driver, mlp, mlp_data, monkeypatch):
    driver.open(mlp, mlp_data)
    stage, setting = driver.stage, driver.session.setting
    layer = stage.graph.layers["fc1"]
    assert choices.why_not(stage.graph, setting, layer) is None
    never = lambda self, layer, graph: "Never."  # noqa: E731
    monkeypatch.setattr(CRITERIA["magnitude"], "unavailable_for", never)
    assert choices.why_not(stage.graph, setting, layer) == "Never."
