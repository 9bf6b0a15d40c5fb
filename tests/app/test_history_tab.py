"""What the history tab is shown, and what it may ask for."""

import pytest
import torch
from tiny_networks import seeded
from torch import nn

import prunevis
from prunevis.app.views.history import pixels
from prunevis.data import Data


@pytest.fixture
def visitor(visit, mlp, mlp_data):
    return visit(mlp, mlp_data)


@pytest.fixture
def branched(visitor):
    """Two branches: 1 - 2 - 3, and 1 - 4, where the visitor stands."""
    visitor.send("tab", name="history").slide(0.5).send("apply").slide(0.8).send("apply")
    return visitor.send("reset").slide(0.9).send("apply")


def test_it_is_made_when_its_tab_is_open(visitor):
    visitor.slide(0.5).send("apply")
    assert visitor.page.history == {}
    assert len(visitor.send("tab", name="history").page.history["nodes"]) == 2


def test_nodes_say_what_was_done_and_what_came_of_it(branched):
    nodes = branched.page.history["nodes"]
    assert [(n["number"], n["parent"], n["column"], n["row"]) for n in nodes] == [
        (1, None, 0, 0), (2, 1, 1, 0), (3, 2, 2, 0), (4, 1, 1, 1),
    ]  # fmt: skip
    assert [n["on_path"] for n in nodes] == [True, False, False, True]
    assert [n["present"] for n in nodes] == [False, False, False, True]
    assert [n["came_of_it"] for n in nodes] == [4, 2, 1, 1]
    assert nodes[0]["text"] == "As it came"
    assert nodes[3]["text"] == "90.3 % of weights by Magnitude |w|"
    stage = branched.session.network.stage
    assert nodes[3]["accuracy"] == prunevis.evaluate(stage.model, stage_data(branched)).accuracy
    assert nodes[0]["params"] == 186
    zeros = sum(int((p == 0).sum()) for p in stage.model.parameters())
    assert nodes[3]["params"] == 186 - zeros
    assert branched.page.steps["applied"] == ["90.3 % of weights by Magnitude |w|"]


def stage_data(visitor):
    return visitor.session.network.data.test


def test_repair_and_training_are_told(visitor):
    visitor.send("tab", name="history").slide(0.5)
    visitor.send("fine_tune", epochs=1, learning_rate=0.01, source="train").send("keep")
    assert visitor.page.history["nodes"][1]["tuned"] == "1 epoch"


def test_going_naming_and_forgetting(branched):
    branched.send("name", stage=3, text="  the   deep one ")
    assert branched.page.history["nodes"][2]["name"] == "the deep one"
    branched.send("go", stage=3)
    assert [n["present"] for n in branched.page.history["nodes"]] == [False, False, True, False]
    assert len(branched.page.steps["applied"]) == 2
    branched.send("forget", stage=4)
    assert [n["number"] for n in branched.page.history["nodes"]] == [1, 2, 3]
    assert branched.problem == ""


def test_what_was_drawn_is_kept_when_a_step_is_named(branched):
    branched.send("tab", name="layers")
    before = branched.page.layers_view["png"]
    branched.send("name", stage=1, text="dense")
    assert branched.page.layers_view["png"] is before is not None


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"action": "go"}, "no step 'None'"),
        ({"action": "go", "stage": "1"}, "no step '1'"),
        ({"action": "go", "stage": True}, "no step 'True'"),
        ({"action": "go", "stage": 10**30}, "no step"),
        ({"action": "forget", "stage": 1}, "The network as it came stays"),
        ({"action": "forget", "stage": 4}, "on the way to the present network"),
        ({"action": "forget", "stage": [4]}, "no step"),
        ({"action": "name", "stage": 4}, "A name is text"),
        ({"action": "name", "stage": 4, "text": "x" * 10**6}, "too long"),
        ({"action": "name", "stage": 99, "text": "a"}, "no step '99'"),
        ({"action": "compare"}, "no step"),
        ({"action": "compare", "a": 4, "b": 4}, "not with itself"),
        ({"action": "compare", "a": 4, "b": {"x": 1}}, "no step"),
    ],
)
def test_forged_messages(branched, message, said):
    content = dict(message)
    branched.send(content.pop("action"), **content)
    assert said in branched.problem
    assert "Unexpected" not in branched.problem
    assert len(branched.page.history["nodes"]) == 4


def test_markup_in_a_name_is_a_name(branched):
    branched.send("name", stage=4, text="<img src=x onerror=alert(1)>")
    assert branched.page.history["nodes"][3]["name"] == "<img src=x onerror=alert(1)>"


def test_two_steps_side_by_side(branched):
    branched.send("compare", a=1, b=4)
    found = branched.page.history["comparison"]
    assert (found["state"], found["pair"]) == ("done", [1, 4])
    assert found["names"] == ["As it came", "90.3 % of weights by Magnitude |w|"]
    rows = {row["label"]: row["values"] for row in found["rows"]}
    nodes = branched.page.history["nodes"]
    assert rows["Right"] == [nodes[0]["accuracy"], nodes[3]["accuracy"]]
    assert rows["Parameters left"] == [186, nodes[3]["params"]]
    assert [layer["name"] for layer in found["layers"]] == ["fc1", "fc2", "fc3"]
    assert sum(c["count"] for c in found["classes"]) == 60
    changes = [c["values"][1] - c["values"][0] for c in found["classes"]]
    assert changes == sorted(changes)
    gain = found["counts"]["learned"] - found["counts"]["forgotten"]
    assert rows["Right"][1] - rows["Right"][0] == pytest.approx(gain / 60)
    sample = found["samples"][0]
    assert (sample["kind"], sample["pixels"]) == ("forgotten", None)
    assert "12 values from" in sample["facts"]  # no picture: told in words
    assert sample["said"][0] == sample["label"] != sample["said"][1]
    assert all(0.25 <= chance <= 1 for chance in sample["sure"])
    assert "95 % interval" in found["text"]


def test_comparing_can_be_cancelled_and_is_forgotten_with_its_step(branched):
    branched.page._handle_custom_msg({"action": "compare", "a": 1, "b": 2}, [])
    branched.page._handle_custom_msg({"action": "cancel", "name": "compare"}, [])
    branched.run()
    assert branched.page.history["comparison"]["state"] == "cancelled"
    branched.send("compare", a=1, b=2).send("forget", stage=2)
    assert branched.page.history["comparison"]["pair"] is None


def test_a_failed_comparison_says_so(branched, monkeypatch):
    def explode(*args, **options):
        raise RuntimeError("secret")
        yield

    monkeypatch.setattr("prunevis.session.comparing.compare_steps", explode)
    branched.send("compare", a=1, b=2)
    found = branched.page.history["comparison"]
    assert (found["state"], found["doing"]) == ("failed", "Something unexpected failed.")


def test_pictures_are_sent_as_pixels(visit, residual, residual_data):
    # answers of both networks differ somewhere: the last layer has no weights left
    visitor = visit(residual, residual_data).send("tab", name="history")
    visitor.send("tick", layer="fc", on=True).slide(0.999).send("apply").send("compare", a=1, b=2)
    sample = visitor.page.history["comparison"]["samples"][0]
    assert (sample["width"], sample["height"], sample["channels"]) == (6, 6, 1)
    values = residual_data.test.inputs[sample["index"]][0]
    low, high = values.min(), values.max()
    wanted = ((values - low) / (high - low) * 255).round().to(torch.uint8)
    assert sample["pixels"] == wanted.numpy().tobytes()
    assert sample["alt"].startswith(f"Picture {sample['index']} of class ")


def test_pixels_by_hand():
    data = Data(None, None, mean=0.5, std=0.5)
    values = torch.tensor([[[-1.0, 1.0]], [[0.0, 3.0]], [[1.0, -1.0]]])  # red, green, blue
    found = pixels(values, data)
    assert (found["width"], found["height"], found["channels"]) == (2, 1, 3)
    assert list(found["pixels"]) == [0, 128, 255, 255, 255, 0]
    large = pixels(torch.zeros(3, 128, 256), data)
    assert (large["width"], large["height"], len(large["pixels"])) == (64, 32, 64 * 32 * 3)
    for other in (torch.zeros(12), torch.zeros(2, 4, 4), torch.zeros(4, 4)):
        assert pixels(other, data) is None
    flat = pixels(torch.ones(1, 2, 2), Data(None, None))
    assert set(flat["pixels"]) == {0}


def test_memory_of_a_served_page_bounds_the_history(visit, mlp, mlp_data, monkeypatch):
    monkeypatch.setenv("PRUNEVIS_MEMORY", "1000000")
    visitor = visit(mlp, mlp_data, served=True).send("tab", name="history")
    assert visitor.explorer.controller.most_history == pytest.approx(0.2 * 1e12)
    visitor.explorer.controller.most_history = 2.5 * visitor.session.network.stage.costs.base_bytes
    for _ in range(2):
        visitor.slide(0.5).send("apply").send("undo")
    assert len(visitor.page.history["nodes"]) == 2
    assert visitor.page.history["text"].startswith("1 step was forgotten to make room")


def test_a_network_of_one_class_compares(visit):
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 1)))
    data = Data(None, (torch.randn(9, 4), torch.zeros(9, dtype=torch.int64)))
    visitor = visit(model, data).send("tab", name="history").send("tick", layer="0", on=True)
    visitor.slide(0.5).send("apply").send("compare", a=1, b=2)
    found = visitor.page.history["comparison"]
    assert found["state"] == "done"
    assert found["text"].endswith("Not one prediction changed.")
