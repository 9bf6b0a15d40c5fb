"""Slices: plain JSON with the keys that the page's documentation promises, and true figures.

Long on purpose: one table of documented keys serves every slice.
"""

import json
import re

import numpy as np
import pytest
import torch

import prunevis
from prunevis.app import views
from prunevis.session.state import Session
from prunevis.widgets import page as page_module

#: Keys by slice, as `prunevis.widgets.page` documents them.
TOP = {
    "head": {"title", "note"},
    "status": {"kind", "text", "done", "total"},
    "controls": {
        "models", "model", "granularities", "granularity", "criteria", "criterion", "scopes",
        "scope", "seed", "seed_shown", "layer", "layers", "pending",
    },
    "table": {
        "key", "granularity", "sparsity", "achieved", "params", "bytes", "storage", "dense_bytes",
        "effective_flops", "removed_flops", "threshold", "layers", "base",
    },
    "curve": {"key", "value", "low", "high", "seen", "exact", "total", "known", "compressed"},
    "network": {
        "stage", "kind", "name", "block", "group", "what", "units", "weights", "params", "macs",
        "place", "edges", "again", "blocks", "shut", "groups", "other_macs", "unreached",
    },
    "weights": {
        "key", "layer", "reason", "edges", "counts", "original", "cut", "K", "threshold",
        "removed", "total", "summary",
    },
    "neurons": {
        "key", "layer", "reason", "mean", "zero_share", "never", "rank", "cuts", "examples",
        "selected",
    },
    "unit": {"layer", "unit", "png", "alt", "text", "facts"},
    "redundancy": {"layer", "kinds"},
    "layers_view": {"png", "alt", "text", "sensitivity"},
    "criteria_view": {
        "reason", "costs", "agreement", "race", "criteria", "usual", "most", "measures", "help",
    },
    "judged_view": {"timing", "published", "cards"},
    "fine_tune": {
        "state", "reason", "epochs", "learning_rate", "sources", "source", "progress", "text",
        "steps", "loss", "accuracy", "before", "after", "can_keep", "events", "step", "phase",
        "sparsity", "seconds_left", "sight", "costs",
    },
    "schedule": {
        "menu", "name", "summary", "source", "url", "knobs", "points", "more", "advice", "advised",
        "refusal", "per_epoch", "steps", "sparsity", "curve", "events", "phases", "untrained",
    },
    "history": {"nodes", "text", "longest_name", "comparison"},
    "steps": {
        "applied", "can_apply", "can_undo", "can_redo", "can_reset", "apply_text", "redo_text",
    },
    "problem": {"id", "text", "fix", "detail"},
    "recipe": {"text", "json", "can", "note", "opened"},
    "texts": {"language", "languages", "entries"},
}  # fmt: skip

LAYER = {
    "name", "kind", "shape", "params", "share", "ticked", "own", "disabled", "is_output",
    "together",
}  # fmt: skip
CRITERION = {"name", "label", "summary", "formula", "source", "url", "disabled"}


def test_the_keys_here_are_the_documented_ones():
    text = page_module.__doc__
    for name, keys in TOP.items():
        section = re.search(rf"^``{name}``\n(.*?)(?=^``|\nBoth ways)", text, re.M | re.S).group(1)
        for key in keys:
            assert re.search(rf"\b{key}\b", section), (name, key)
    assert set(page_module.Page.SLICES) == set(TOP)


def plain(value):
    """Return whether a slice can cross the wire: JSON without NaN, bytes where a picture is."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(v) for v in value)
    if isinstance(value, bytes):
        return True
    json.dumps(value, allow_nan=False)
    return value is None or type(value) in (bool, int, float, str)


@pytest.fixture
def seen(visit, mlp, mlp_data):
    """A visitor who has opened every tab."""
    visitor = visit(mlp, mlp_data)
    tabs = ("layers", "redundancy", "network", "tradeoff", "criteria", "fine_tune", "history")
    tabs += ("neurons",)
    for tab in tabs:
        visitor.send("tab", name=tab)
    visitor.send("unit", unit=2).send("sensitivity").send("tab", name="layers").slide(0.4)
    visitor.send("fine_tune", epochs=1, learning_rate=0.01, source="train")
    return visitor.send("tab", name="weights").send("tab", name="neurons").send("undo")


def test_every_slice_has_the_documented_keys_and_is_plain(seen):
    for name, keys in TOP.items():
        found = getattr(seen.page, name)
        assert keys <= set(found), name
        assert plain(found), name
    assert seen.page.table["base"].keys() == {"accuracy", "bytes", "params", "flops"}
    assert all(set(entry) >= LAYER for entry in seen.page.controls["layers"])
    assert all(set(entry) >= CRITERION for entry in seen.page.controls["criteria"])
    assert all(
        set(entry) >= {"name", "label", "help", "disabled"}
        for entry in seen.page.controls["granularities"]
    )
    assert all(set(e) >= {"name", "label", "help"} for e in seen.page.controls["scopes"])
    kinds = seen.page.redundancy["kinds"]
    assert [k["name"] for k in kinds] == ["weights", "activations"]
    assert all(set(k) >= {"name", "label", "png", "alt", "reason", "text", "pairs"} for k in kinds)
    assert seen.page.layers_view["sensitivity"].keys() >= {"state", "png", "alt", "text"}


def test_lists_of_one_table_are_of_one_length(seen):
    seen.slide(0.1234).send("tab", name="weights")
    table, curve, weights = seen.page.table, seen.page.curve, seen.page.weights
    count = len(table["sparsity"])
    assert count == 102
    assert table["sparsity"] == sorted(table["sparsity"])
    assert all(0 <= s < 1 for s in table["sparsity"])
    for key in ("achieved", "params", "bytes", "storage", "dense_bytes", "threshold"):
        assert len(table[key]) == count
    assert all(len(shares) == count for shares in table["layers"].values())
    for key in ("value", "low", "high", "seen", "exact"):
        assert len(curve[key]) == count
    assert curve["key"] == weights["key"] == table["key"]
    assert weights["K"] == count
    assert len(weights["cut"]) == 4 * count * len(weights["counts"])
    assert len(weights["edges"]) == len(weights["counts"]) + 1


def test_nothing_is_open_yet():
    session = Session()
    assert views.criteria_view(session, {}) == {}
    assert views.judged_view(session) == {}
    assert views.history(session) == {}
    for name in ("controls", "table", "curve", "network", "weights", "neurons", "problem"):
        extra = {"with_detail": True} if name == "problem" else {}
        assert getattr(views, name)(session, **extra) == {}
    assert views.head(session) == {"title": "", "note": ""}
    assert views.status(session)["kind"] == "loading"
    assert views.steps(session)["can_apply"] is False
    assert views.fine_tune(session)["sources"] == []
    assert views.layers_view(session, {})["png"] is None


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_the_table_is_what_pruning_costs(visit, residual, residual_data, granularity):
    visitor = visit(residual, residual_data).send("granularity", name=granularity)
    table = visitor.page.table
    assert table["base"] == {
        "accuracy": prunevis.evaluate(residual, residual_data).accuracy,
        "bytes": sum(t.numel() * t.element_size() for t in residual.state_dict().values()),
        "params": sum(p.numel() for p in residual.parameters()),
        "flops": 2 * prunevis.trace(residual, torch.zeros(1, 1, 6, 6)).macs,
    }
    assert table["granularity"] == granularity
    for k in (0, 30, 77, 100):
        really = prunevis.prune(
            residual,
            residual_data,
            criterion=visitor.page.controls["criterion"],
            granularity=granularity,
            sparsity=table["sparsity"][k],
        )
        after = really.cost_after
        assert table["params"][k] == after.nonzero_params
        assert table["bytes"][k] == after.bytes
        assert table["storage"][k] == after.storage
        assert table["dense_bytes"][k] == after.dense_bytes
        assert table["effective_flops"][k] == after.effective_flops
        assert table["removed_flops"][k] == after.removed_flops
        assert table["achieved"][k] == really.plan.achieved_sparsity
        assert table["threshold"][k] == really.plan.threshold
        assert visitor.page.curve["value"][k] == really.accuracy_after
        assert visitor.page.curve["exact"][k] == 1
        for name, shares in table["layers"].items():
            key = name if granularity == "weight" else {"conv2": "stem"}.get(name, name)
            assert shares[k] == really.plan.removed[key] / really.plan.total[key]
    assert set(table["layers"]) == {"stem", "conv1", "conv2"}


def test_one_threshold_a_layer_is_not_one_threshold(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data).send("scope", name="layer")
    assert visitor.page.table["threshold"] is None
    assert len(visitor.page.weights["threshold"]) == 101


def test_after_applying_the_base_is_still_the_network_as_it_came(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    base = visitor.page.table["base"]
    visitor.slide(0.5).send("apply")
    table = visitor.page.table
    assert table["base"] == base
    assert table["params"][0] == 186 - 72
    # zeros from before have no threshold to show, in no unit of measure
    assert table["threshold"][:51] == [None] * 51
    assert all(t > 0 for t in table["threshold"][51:] if t is not None)


# -- the chosen layer ------------------------------------------------------------------------------


def cut_of(weights):
    return np.frombuffer(weights["cut"], "<u4").reshape(weights["K"], -1)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_the_cut_of_weights_adds_up(visit, mlp, mlp_data, layer, scope):
    visitor = visit(mlp, mlp_data).send("scope", name=scope).send("layer", name=layer)
    weights, table = visitor.page.weights, visitor.session.table
    cut = cut_of(weights)
    removed = [position[layer] for position in table.removed]
    assert cut.sum(1).tolist() == weights["removed"] == removed
    assert (np.diff(cut.astype(int), axis=0) >= 0).all()
    assert (cut <= np.array(weights["counts"])).all()
    tensor = mlp.get_parameter(f"{layer}.weight").detach()
    assert weights["total"] == sum(weights["counts"]) == tensor.numel()
    # by hand at one position: what goes are the smallest
    plan = table.ranking.plan(0.6)
    gone = tensor[~plan.masks[layer]].numpy()
    by_hand, _ = np.histogram(gone, bins=weights["edges"])
    assert cut[60].tolist() == by_hand.tolist()
    threshold = weights["threshold"][60]
    assert threshold == plan.thresholds[layer] == pytest.approx(float(np.abs(gone).max()))
    assert weights["threshold"][0] is None
    assert weights["original"] is None


def test_a_layer_that_is_not_pruned_loses_nothing(visit, mlp, mlp_data):
    weights = visit(mlp, mlp_data).send("layer", name="fc3").page.weights
    assert not cut_of(weights).any()
    assert weights["threshold"] is None
    assert weights["total"] == 24


@pytest.mark.parametrize("layer", ["stem", "conv1", "conv2", "fc"])
def test_the_cut_of_units_counts_what_removal_takes(visit, residual, residual_data, layer):
    visitor = visit(residual, residual_data).send("granularity", name="unit")
    visitor.send("layer", name=layer)
    weights = visitor.page.weights
    whole = residual.get_parameter(f"{layer}.weight").numel()
    for k in (0, 30, 70, 100):
        plan = visitor.session.table.ranking.plan(visitor.session.table.sparsity[k])
        smaller = prunevis.remove(residual, plan)
        # rows of units that go, and columns that read others that go
        assert weights["removed"][k] == whole - smaller.get_parameter(f"{layer}.weight").numel()
    assert weights["threshold"] is None


def test_other_criteria_have_no_threshold_on_weights(visit, mlp, mlp_data):
    weights = visit(mlp, mlp_data).send("criterion", name="random").page.weights
    assert weights["threshold"] is None
    assert weights["removed"][50] > 0


def test_before_and_after(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    before = visitor.page.weights
    visitor.slide(0.5).send("apply")
    weights = visitor.page.weights
    assert weights["original"] == before["counts"]  # the range is that of the largest, which stays
    zeros = int((visitor.session.network.stage.model.fc1.weight == 0).sum())
    assert weights["counts"][len(weights["counts"]) // 2] >= zeros
    assert f"{zeros} exactly zero" in weights["summary"]
    assert all(t is None for t in weights["threshold"][:50])
    visitor.send("undo")
    assert visitor.page.weights["original"] is None


def test_neurons(visit, mlp, mlp_data):
    with torch.no_grad():
        mlp.fc1.bias[5] = -100.0  # never fires
        mlp.fc1.weight[5] = 0.01
    visitor = visit(mlp, mlp_data).send("tab", name="neurons")
    neurons = visitor.page.neurons
    statistics = prunevis.collect_statistics(mlp, mlp_data)["fc1"]
    assert neurons["reason"] is None
    assert neurons["mean"] == pytest.approx(statistics.mean_magnitude.tolist(), rel=1e-4)
    assert neurons["zero_share"] == pytest.approx(statistics.zero_share.tolist(), rel=1e-4)
    assert neurons["never"] == [0, 0, 0, 0, 0, 1, 0, 0]
    assert neurons["examples"] == 48
    assert neurons["rank"] is None
    assert neurons["cuts"] is None
    visitor.send("granularity", name="unit")
    neurons, table = visitor.page.neurons, visitor.session.table
    for k in (0, 40, 100):
        gone = [rank < neurons["cuts"][k] for rank in neurons["rank"]]
        assert sum(gone) == table.removed[k]["fc1"]
        kept = table.ranking.plan(table.sparsity[k]).kept["fc1"].tolist()
        assert [unit for unit, g in enumerate(gone) if not g] == kept


def test_neurons_of_a_layer_in_a_group(visit, residual, residual_data):
    visitor = visit(residual, residual_data).send("granularity", name="unit")
    visitor.send("tab", name="neurons").send("layer", name="conv2")
    neurons = visitor.page.neurons
    assert neurons["layer"] == "conv2"
    assert len(neurons["mean"]) == len(neurons["rank"]) == 6
    kept = visitor.session.table.ranking.plan(0.5).kept["stem"].tolist()
    assert [u for u, r in enumerate(neurons["rank"]) if r >= neurons["cuts"][50]] == kept


def test_neurons_are_never_stuck(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data).send("tab", name="neurons").slide(0.5).send("apply")
    assert visitor.page.neurons["reason"] is None
    visitor.send("undo")
    assert visitor.page.neurons["reason"] is None


# -- controls --------------------------------------------------------------------------------------


def test_controls(visit, mlp, mlp_data):
    controls = visit(mlp, mlp_data).page.controls
    assert controls["models"] == []  # a person's own network
    assert (controls["granularity"], controls["criterion"]) == ("weight", "magnitude")
    names = [c["name"] for c in controls["criteria"]]
    assert (names[0], names[-1]) == ("magnitude", "random")
    assert controls["basis"] == controls["caution"] == ""
    layers = {entry["name"]: entry for entry in controls["layers"]}
    assert list(layers) == ["fc1", "fc2", "fc3"]
    assert layers["fc1"] == {
        "name": "fc1", "kind": "Linear", "shape": "8 × 12", "params": 104, "share": 104 / 186,
        "units": 8, "ticked": True, "own": None, "disabled": None, "is_output": False,
        "together": [],
    }  # fmt: skip
    assert layers["fc3"]["is_output"]
    assert not layers["fc3"]["ticked"]
    assert layers["fc3"]["disabled"] is None  # its weights may be asked for
    assert controls["layer"] == "fc1"
    assert not controls["seed_shown"]
    assert controls["pending"] is False


def test_nothing_is_told_of_another_choice_until_it_is_ranked(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    page, worker = visitor.page, visitor.explorer.controller.worker
    worker.request(lambda: visitor.explorer.controller.choose("criterion", "random"))
    assert worker.run_until_idle(limit=1)
    assert worker.running("rank")
    assert visitor.session.table.setting.criterion == "magnitude"
    assert views.controls(visitor.session)["pending"] is True
    assert views.curve(visitor.session) == {}
    # the costs of the choice before stay to be drawn dimmed
    assert views.table(visitor.session) == page.table != {}
    visitor.run()
    assert page.controls["pending"] is False
    assert page.curve["key"] == page.table["key"] == visitor.session.table.key
    assert page.curve["known"] == 101


def test_controls_of_units(visit, residual, residual_data):
    visitor = visit(residual, residual_data).send("granularity", name="unit")
    controls = visitor.send("own", layer="conv2", value=0.25).page.controls
    layers = {entry["name"]: entry for entry in controls["layers"]}
    assert list(layers["stem"]["together"]) == ["conv2"]
    assert list(layers["conv2"]["together"]) == ["stem"]
    assert (layers["stem"]["own"], layers["conv1"]["own"]) == (0.25, None)
    assert "model's outputs" in layers["fc"]["disabled"]
    assert {c["name"] for c in controls["criteria"]} >= {"l1", "l2", "bn-scale", "apoz", "random"}
    visitor.send("criterion", name="random")
    assert visitor.page.controls["seed_shown"]


def test_layers_that_the_forward_never_reaches_are_shown_greyed(visit, mlp, mlp_data):
    mlp.spare = torch.nn.Linear(3, 3)
    layers = {e["name"]: e for e in visit(mlp, mlp_data).page.controls["layers"]}
    assert "never reaches" in layers["spare"]["disabled"]
    assert set(layers["spare"]) >= LAYER


def test_criteria_that_cannot_be_used_say_why(visit, mlp, mlp_data):
    controls = visit(mlp, mlp_data).send("granularity", name="unit").page.controls
    disabled = {c["name"]: c["disabled"] for c in controls["criteria"]}
    assert "can score no layer" in disabled["bn-scale"]
    assert disabled["l2"] is None


# -- progress --------------------------------------------------------------------------------------


def test_steps(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    assert visitor.page.steps == {
        "applied": [], "can_apply": False, "can_undo": False, "can_redo": False,
        "can_reset": False, "apply_text": "Move the slider first", "redo_text": "",
    }  # fmt: skip
    visitor.slide(0.5)
    assert visitor.page.steps["can_apply"]
    assert visitor.page.steps["apply_text"] == "Remove 50 % of weights by Magnitude |w|"
    visitor.send("apply")
    assert visitor.page.steps["applied"] == ["50 % of weights by Magnitude |w|"]
    assert visitor.page.steps["can_undo"]
    assert visitor.page.steps["can_reset"]
    assert not visitor.page.steps["can_apply"]
    visitor.send("reset")
    assert visitor.page.steps["applied"] == []
    assert visitor.page.steps["redo_text"] == "Again: 50 % of weights by Magnitude |w|"


def test_fine_tuning_without_training_examples_says_how_to_get_it(visit, mlp, mlp_data):
    fine_tune = visit(mlp, (mlp_data.test.inputs, mlp_data.test.targets)).page.fine_tune
    assert fine_tune["state"] == "off"
    assert "Pass Data(train=..., test=...) to explore()" in fine_tune["reason"]
    assert fine_tune["sources"] == []


def test_fine_tuning(visit, mlp, mlp_data):
    visitor = visit(mlp, mlp_data)
    assert visitor.page.fine_tune["state"] == "ready"
    assert visitor.page.fine_tune["sources"] == [
        {"name": "train", "label": "All 48 training examples"}
    ]
    visitor.slide(0.5).send("fine_tune", epochs=2, learning_rate=0.05, source="train")
    done = visitor.page.fine_tune
    assert (done["state"], done["can_keep"], done["epochs"]) == ("done", True, 2)
    assert len(done["steps"]) == len(done["loss"]) > 0
    assert all(0 <= a <= 1 for _, a in done["accuracy"])
    assert done["before"] == visitor.page.curve["value"][50]
    label = "50 % of weights by Magnitude |w|, fine-tuned 2 epochs"
    assert done["text"] == f"Done: {label}"
    visitor.send("keep")
    assert visitor.page.steps["applied"] == [label]  # what was said is what is kept
    assert visitor.page.fine_tune["state"] == "ready"
    assert not visitor.page.fine_tune["can_keep"]


def test_pictures_are_trained_on_as_images(visit, residual, residual_data):
    sources = visit(residual, residual_data).page.fine_tune["sources"]
    assert sources == [{"name": "train", "label": "All 32 training images"}]


def test_a_long_loss_curve_is_thinned(visit, mlp, mlp_data):
    from prunevis.app.views import training
    from prunevis.session.state import FineTuning

    session = visit(mlp, mlp_data).session
    steps = tuple(range(10_000))
    session.fine_tuning = FineTuning(steps=steps, loss=tuple(float(s) for s in steps))
    found = views.fine_tune(session)
    assert len(found["steps"]) == len(found["loss"]) <= training.MAX_POINTS
    assert found["loss"][1] == found["steps"][1]


def test_the_headline(visit, mlp, mlp_data, residual, residual_data):
    assert visit(mlp, mlp_data).page.head["title"] == "TinyMLP on tiny, 60 test examples"
    head = visit(residual, residual_data).page.head
    assert head["title"] == "TinyResidual on tiny pictures, 40 test images"
    one_class = (mlp_data.test.inputs, torch.full((60,), 2))
    assert "All examples are of class 2" in visit(mlp, one_class).page.head["note"]
