"""What stands beneath the trade-off."""

import pytest
from tiny_networks import labelled, seeded

from prunevis.data import Data
from prunevis.session import judging, timing
from prunevis.zoo.architectures import LeNet300100


@pytest.fixture
def visitor(visit, mlp, mlp_data, monkeypatch):
    monkeypatch.setattr(timing, "REPEATS", 2)
    monkeypatch.setattr(judging, "RACE_IMAGES", 20)
    return visit(mlp, mlp_data).send("granularity", name="unit")


def test_it_is_made_when_its_tab_is_open(visitor):
    assert visitor.page.judged_view == {}
    view = visitor.send("tab", name="tradeoff").page.judged_view
    assert view["timing"]["state"] == "none"
    assert view["timing"]["rows"] == []
    assert view["published"] == []  # nobody published a tiny network


def test_three_bars_a_batch_and_a_sentence(visitor):
    visitor.send("tab", name="tradeoff").send("latency")
    found = visitor.page.judged_view["timing"]
    assert found["state"] == "done"
    assert [(row["batch"], row["name"]) for row in found["rows"]] == [
        (batch, name) for batch in (1, 64) for name in ("dense", "masked", "removed")
    ]
    for row in found["rows"]:
        assert 0 <= row["low"] <= row["share"] <= row["high"] <= 2
        assert row["note"] == "" if row["name"] == "dense" else row["note"]
        if row["name"] == "dense":
            assert row["share"] == 1
    assert "quartiles of 2 samples, 1 thread on cpu" in found["text"]
    assert "Zeros are multiplied like any number" in found["text"]


def test_single_weights_are_not_removed(visitor):
    visitor.send("granularity", name="weight").send("tab", name="tradeoff").send("latency")
    found = visitor.page.judged_view["timing"]
    assert [row["name"] for row in found["rows"]] == ["dense", "masked"] * 2
    assert found["text"].endswith("Single weights cannot be taken out.")


def test_the_report_card_is_of_what_is_shown(visitor):
    (card,) = visitor.send("tab", name="tradeoff").page.judged_view["cards"]
    assert card["title"] == "This curve"
    states = {item["title"]: item["state"] for item in card["items"]}
    assert states["Both size and multiply-adds are reported"] == "met"
    assert states["Random pruning is among the methods"] == "not met"
    assert all(bool(item["how"]) == (item["state"] == "not met") for item in card["items"])
    visitor.send("race", criteria=["l2"], at="params")
    cards = visitor.page.judged_view["cards"]
    assert [card["title"] for card in cards] == ["This curve", "The race in the tab Criteria"]
    raced = {item["title"]: item["state"] for item in cards[1]["items"]}
    assert raced["Random pruning is among the methods"] == "met"


def test_published_results_of_the_same_network_and_data(visit):
    data = Data(train=None, test=labelled((1, 28, 28), 20, 10), name="MNIST")
    view = visit(seeded(LeNet300100), data).send("tab", name="tradeoff").page.judged_view
    han = view["published"][0]
    assert (han["paper"], han["accuracy"]) == ("Han et al., 2015", 0.9841)
    assert han["params"] == pytest.approx(266_610 / 12, abs=0.1)
    assert han["flops"] is None  # the paper gives no multiply-adds of the weights alone
    assert "Table 1" in han["source"]
