from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

import prunevis as pv
from prunevis.errors import DataError
from prunevis.evaluation.experiment import experiment_of
from prunevis.evaluation.report_rules import RULES

PAIRS = (("resnet50", "imagenet"), ("resnet56", "cifar-10"), ("vgg16", "cifar-10"))


def row(**changes) -> dict:
    return {
        "model": "resnet56",
        "data": "cifar-10",
        "criterion": "magnitude",
        "granularity": "weight",
        "scope": "global",
        "schedule": "one-shot",
        "seed": 0,
        "sparsity": 0.5,
        "compression_ratio": 2.0,
        "theoretical_speedup": 1.5,
        "accuracy_before": 0.9,
        "accuracy_after": 0.8,
        "prunevis": "0.1.0",
        "torch": "2.13.0",
        **changes,
    }


def table(pairs=PAIRS) -> list[dict]:
    """An experiment that lacks nothing."""
    return [
        row(model=model, data=data, criterion=criterion, seed=seed, sparsity=1 - 1 / ratio,
            compression_ratio=ratio, theoretical_speedup=ratio**0.5,
            accuracy_before=0.9 + seed / 100, accuracy_after=0.9 - ratio / 40 + seed / 100,
            top5_after=0.9)
        for model, data in pairs
        for criterion in ("random", "magnitude", "snip")
        for seed in (0, 1, 2)
        for ratio in (2, 4, 8, 16, 32)
    ]  # fmt: skip


def state(rows, name: str) -> str:
    return pv.report_card(rows)[name].state


def test_an_experiment_that_lacks_nothing():
    card = pv.report_card(table())
    assert {item.name for item in card.items if item.state != "met"} == {"recipe"}
    assert card.verdict == "17 of 17 met; 1 does not apply."
    assert not any(item.how for item in card.items if item.state == "met")


def without(rows, *keys):
    return [{k: v for k, v in each.items() if k not in keys} for each in rows]


def only(rows, **wanted):
    return [each for each in rows if all(each[k] in v for k, v in wanted.items())]


# each takes one thing away, and must cost exactly the items named
LACKS = {
    "no model": (lambda t: without(t, "model"), {"named", "pairs"}),
    "small pairs": (lambda t: [{**r, "data": "MNIST", "model": "lenet5"} for r in t], {"pairs"}),
    "no macs": (lambda t: without(t, "theoretical_speedup"), {"size and macs"}),
    "no top-5": (lambda t: without(t, "top5_after"), {"top-5"}),
    "no control": (
        lambda t: without(t, "accuracy_before"), {"control", "networks", "same start", "collapse"}
    ),
    "four points": (
        lambda t: [r for r in t if r["compression_ratio"] != 8], {"points"}
    ),
    "not far enough": (
        lambda t: [r for r in t if r["compression_ratio"] < 16], {"points", "collapse"}
    ),
    "two seeds": (lambda t: only(t, seed=(0, 1)), {"seeds", "networks"}),
    "one seed": (lambda t: only(t, seed=(0,)), {"seeds", "networks", "spread"}),
    "one network": (lambda t: [{**r, "accuracy_before": 0.9} for r in t], {"networks"}),
    "no chance": (lambda t: only(t, criterion=("magnitude", "snip")), {"random"}),
    "no magnitude": (lambda t: only(t, criterion=("random", "snip")), {"magnitude", "rivals"}),
    "no rival": (lambda t: only(t, criterion=("random", "magnitude")), {"rivals"}),
    "other starts": (
        lambda t: [{**r, "accuracy_before": 0.95} if r["criterion"] == "snip" and r["seed"] == 1
                   else r for r in t], {"same start"}
    ),
    "no versions": (lambda t: without(t, "prunevis", "torch"), {"same code"}),
    "two versions": (
        lambda t: [{**r, "torch": "2.4.0"} if r["seed"] == 1 else r for r in t], {"same code"}
    ),
    "trained, not said how": (lambda t: [{**r, "schedule": "cubic"} for r in t], {"recipe"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKS)
def test_what_is_taken_away_is_not_met(name):
    change, expected = LACKS[name]
    card = pv.report_card(change(table()))
    assert {item.name for item in card.items if item.state == "not met"} == expected
    for item in card.items:
        assert item.why.endswith(".")
        assert bool(item.how) == (item.state == "not met")


def test_every_rule_can_fail():
    lost = {name for _, names in LACKS.values() for name in names}
    always = {"definitions", "top-1"}  # the card itself says what ratios mean, and the accuracy
    assert {rule.name for rule in RULES} == lost | always


def test_without_ratios_nothing_is_defined():
    rows = without(table(), "theoretical_speedup", "compression_ratio")
    assert state(rows, "definitions") == "not met"
    assert state(rows, "points") == "not met"


def test_a_trained_network_with_its_recipe():
    rows = [{**each, "schedule": "cubic", "epochs": 20} for each in table()]
    assert state(rows, "recipe") == "met"


def test_mnist_is_no_longer_sufficient():
    rows = [{**each, "model": "LeNet-300-100", "data": "MNIST"} for each in table(PAIRS[:1])]
    item = pv.report_card(rows)["pairs"]
    assert item.why == (
        "1 pair of network and data, too small to be sufficient: LeNet-300-100 on MNIST."
    )


def test_mean_and_sample_deviation_by_hand():
    rows = [row(seed=k, accuracy_after=a) for k, a in enumerate((0.7, 0.8, 0.9))]
    (found,) = pv.report_card(rows).summaries
    assert (found.runs, found.mean, found.compression) == (3, pytest.approx(0.8), 2.0)
    assert found.std == pytest.approx(0.1)  # √((0.01 + 0 + 0.01) / 2)
    assert found.change == pytest.approx(-0.1)
    assert found.method == "magnitude, weight, global"


def test_columns_as_text_and_ratios_from_counts():
    one = without([row(seed="1", sparsity="0.5", accuracy_after="0.8")], "compression_ratio",
                  "theoretical_speedup")[0]  # fmt: skip
    one |= {"base_params": "100", "nonzero_params": "25", "base_macs": 90, "effective_macs": 30}
    (point,) = experiment_of([one]).points
    assert (point.seed, point.compression, point.speedup, point.after) == (1, 4.0, 3.0, 0.8)


def test_a_row_of_a_sweep():
    row_of_sweep = {
        "model": "lenet5", "data": "fashion-mnist", "criterion": "l2", "granularity": "unit",
        "scope": "layer", "sparsity": None, "keep": 0.25, "of": "macs", "schedule": "one-shot",
        "repair": "none", "epochs": 3, "lr": 0.01, "seed": 2, "accuracy_dense": 0.9,
        "accuracy_pruned": 0.5, "accuracy": 0.85, "params_dense": 100, "nonzero_params": 50,
        "macs_dense": 80, "effective_macs": 20,
    }  # fmt: skip
    (point,) = experiment_of([row_of_sweep]).points
    assert point.pair == ("lenet5", "fashion-mnist")
    assert (point.method, point.scheduled, point.seed) == ("l2, unit, layer", True, 2)
    assert (point.asked, point.compression, point.speedup) == (0.75, 2.0, 4.0)
    assert (point.before, point.after) == (0.9, 0.85)  # what came out, not what pruning left
    # what a table varies tells methods apart
    other = {**row_of_sweep, "lr": 0.1}
    assert [p.method for p in experiment_of([row_of_sweep, other]).points] == [
        "l2, unit, layer, lr 0.01", "l2, unit, layer, lr 0.1",
    ]  # fmt: skip


def test_failed_rows_are_left_out():
    rows = [row(), row(accuracy_after=None), row(accuracy_after=""), row(accuracy_after=math.nan)]
    found = experiment_of(rows)
    assert (len(found.points), found.failed) == (1, 3)


@pytest.mark.parametrize(
    ("experiment", "problem"),
    [
        (7, "no experiment that can be read.*Got: int"),
        ("table.csv", "no experiment that can be read"),
        ([3], "no experiment"),
        ([], "No pruned network"),
        ([row(accuracy_after=None)], "No pruned network.*1 rows without one"),
        ([row(compression_ratio="much")], "`compression_ratio`: a number. Got: much"),
    ],
)
def test_what_is_no_experiment(experiment, problem):
    with pytest.raises(DataError, match=problem):
        pv.report_card(experiment)


def test_a_race_a_tradeoff_and_a_pruned_network(mlp, mlp_data):
    race = pv.race(mlp, mlp_data, ("l2",), seeds=(0, 1, 2), shares=(0.25, 0.5))
    card = pv.report_card(race, model="tiny", data="noise")
    states = {item.name: item.state for item in card.items}
    for name in ("named", "size and macs", "control", "seeds", "random", "magnitude", "spread",
                 "same start", "same code"):  # fmt: skip
        assert states[name] == "met", name
    for name in ("pairs", "points", "networks", "rivals"):
        assert states[name] == "not met", name
    assert "draws anything" in card["seeds"].why  # l2 has a single run
    assert states["recipe"] == states["top-5"] == "not applicable"
    runs = {(s.method, s.asked): s.runs for s in card.summaries}
    assert runs["random, unit, global", 0.5] == 3
    assert runs["l2, unit, global", 0.5] == 1

    curve = pv.tradeoff(mlp, mlp_data, sparsities=(0.0, 0.5))
    card = pv.report_card(curve)
    assert card["named"].state == "not met"
    assert card["seeds"].why.startswith("There is one run")
    assert len(card.summaries) == 1  # the dense network is the control, no point of its own

    pruned = pv.prune(mlp, mlp_data, sparsity=0.5)
    both = experiment_of([race, curve, pruned])
    assert both.in_memory
    assert len(both.points) == len(experiment_of(race).points) + 2
    assert both.points[-1].after == pruned.accuracy_after


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.classes += [value for key, value in attrs if key == "class"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_as_text_markdown_and_html():
    rows = [{**each, "model": "<b>a|b</b>"} for each in only(table(PAIRS[:1]), seed=(0,))]
    card = pv.report_card(rows)
    assert repr(card) == card.text
    assert card.text.startswith("Report card: ")
    assert "✗ Three runs or more\n    " in card.text
    assert "→ " in card.text

    lines = card.markdown.splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 2 + len(RULES) + 2 + len(card.summaries)
    assert "a\\|b" in card.markdown

    tags = Tags()
    tags.feed(card.html)
    assert not tags.open
    assert "<b>" not in card.html
    assert tags.classes.count("not-met") == card.count("not met")
    assert tags.classes.count("met") == card.count("met")
    assert "2003.03033" in card.html
    with pytest.raises(KeyError):
        card["nothing"]
