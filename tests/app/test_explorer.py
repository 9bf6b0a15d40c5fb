"""The page as a browser drives it: every message, every bad input, nothing ever thrown.

Long on purpose: all of it plays one browser against one page, with the same fixtures and scenes.
"""

import json
import math
import re
import threading

import pytest
import torch
from ipywidgets import DOMWidget
from tiny_networks import TinyMLP, answered, assert_same, labelled, seeded, snapshot
from torch import nn
from torch.nn.utils import prune as torch_prune
from torch.utils.data import DataLoader, TensorDataset

import prunevis
from prunevis.app import Explorer, explore, explorer, served_page
from prunevis.data import Data
from prunevis.errors import SpecError, UnknownNameError
from prunevis.session.jobs import BACKGROUND
from prunevis.widgets import page as page_module

WAIT = 30.0  # seconds until a hang is called one


@pytest.fixture
def visitor(visit, mlp, mlp_data):
    return visit(mlp, mlp_data)


# -- opening -----------------------------------------------------------------------------


def test_opening(visitor, mlp, mlp_data):
    page = visitor.page
    assert page.problem == {}
    assert page.status["kind"] == "idle"
    assert page.curve["known"] == 101
    assert page.curve["value"][0] == prunevis.evaluate(mlp, mlp_data).accuracy
    assert page.position == 0.0
    assert repr(visitor.explorer) == "<Explorer: TinyMLP, 1 stage(s)>"


def test_nothing_runs_before_it_is_asked_to(mlp, mlp_data):
    found = Explorer(mlp, mlp_data, threaded=False)
    assert repr(found) == "<Explorer: opening>"
    assert found.page.status["kind"] == "loading"
    with pytest.raises(SpecError, match="No network is open yet"):
        _ = found.model
    found.close()


def test_it_displays_as_its_page(visitor):
    bundle = visitor.explorer._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == visitor.page.model_id


@pytest.mark.parametrize(
    "form",
    [
        lambda t: (t.inputs, t.targets),
        lambda t: TensorDataset(*t),
        lambda t: DataLoader(TensorDataset(*t), batch_size=16),
        lambda t: Data(train=None, test=TensorDataset(*t)),
    ],
)
def test_any_form_of_data(visit, mlp, mlp_data, form):
    visitor = visit(mlp, form(mlp_data.test))
    assert visitor.problem == ""
    assert visitor.page.curve["total"] == 60


def test_calibration_is_what_neurons_are_watched_on_and_trained_with(visit, mlp, mlp_data):
    for data in (tuple(mlp_data.test), mlp_data):
        calibration = labelled((12,), 20, 4, seed=7)
        visitor = visit(mlp, data, calibration=calibration).send("tab", name="neurons")
        assert visitor.page.neurons["examples"] == 20
        assert visitor.page.fine_tune["sources"][0]["label"] == "All 20 training examples"


def test_an_example_input_of_one_s_own(visit, residual, residual_data):
    visitor = visit(residual, residual_data, example_input=torch.zeros(3, 1, 8, 8))
    assert visitor.problem == ""
    assert visitor.session.network.stage.graph.input_shape == (1, 8, 8)


REFUSED = [
    ((None, None), {"model": 3}, SpecError, r"This is not a network\..*Got: int"),
    (("lenet-5",), {}, UnknownNameError, r"There is no model called 'lenet-5'.*'lenet5'"),
]


def test_a_model_without_data_is_refused_at_once(mlp):
    before = threading.active_count()
    for make in (Explorer, explore):
        with pytest.raises(SpecError, match=r"needs data to be measured on.*explore\(model"):
            make(mlp)
        with pytest.raises(SpecError, match=r"This is not a network.*Got: int"):
            make(3)
        with pytest.raises(UnknownNameError, match=r"called 'lenet-5'\. Did you mean 'lenet5'"):
            make("lenet-5")
    assert threading.active_count() == before  # and no thread is left behind


# -- messages ----------------------------------------------------------------------------


def test_every_action(visitor):
    page = visitor.page
    visitor.send("criterion", name="random").send("seed", value=7)
    assert (page.controls["criterion"], page.controls["seed"]) == ("random", 7)
    visitor.send("scope", name="layer")
    assert page.controls["scope"] == "layer"
    visitor.send("granularity", name="unit")
    assert page.controls["granularity"] == page.table["granularity"] == "unit"
    visitor.send("criterion", name="l1")
    visitor.send("tick", layer="fc2", on=False)
    assert [e["ticked"] for e in page.controls["layers"]] == [True, False, False]
    visitor.send("own", layer="fc2", value=0.5)
    assert [e["own"] for e in page.controls["layers"]] == [None, 0.5, None]
    assert [e["ticked"] for e in page.controls["layers"]] == [True, True, False]
    visitor.send("own", layer="fc2", value=None)
    assert [e["own"] for e in page.controls["layers"]] == [None, None, None]
    visitor.send("layer", name="fc2")
    assert page.controls["layer"] == page.weights["layer"] == "fc2"
    for tab in ("neurons", "redundancy", "tradeoff", "layers", "fine_tune", "history", "weights"):
        visitor.send("tab", name=tab)
        assert visitor.session.view.tab == tab
    visitor.send("tab", name="neurons").send("unit", unit=4)
    assert page.neurons["selected"] == page.unit["unit"] == 4
    visitor.send("unit", unit=None)
    assert page.neurons["selected"] is None
    visitor.send("theme", name="dark")
    visitor.slide(0.5).send("apply")
    assert len(page.steps["applied"]) == 1
    visitor.send("undo")
    assert page.steps["applied"] == []
    visitor.slide(0.5).send("fine_tune", epochs=1, learning_rate=0.01, source="train")
    assert page.fine_tune["can_keep"]
    visitor.send("discard")
    assert not page.fine_tune["can_keep"]
    visitor.send("fine_tune", epochs=1, learning_rate=0.01, source="train").send("keep")
    assert len(page.steps["applied"]) == 1
    visitor.slide(0.5).send("tab", name="fine_tune")
    visitor.send("draft", schedule="cubic", knobs={"epochs": 2})
    assert (page.schedule["name"], page.schedule["refusal"]) == ("cubic", "")
    visitor.send("draft", schedule="cubic", knobs={"epochs": -1})
    assert page.schedule["refusal"].startswith("epochs is a number from 0.01 to 1000")
    visitor.send("pause").send("go_on").send("tab", name="weights")  # nothing runs: no matter
    visitor.send("cancel").send("sensitivity")
    assert page.layers_view["sensitivity"]["state"] == "done"
    visitor.send("reset")
    assert page.steps["applied"] == []
    visitor.send("redo").send("name", stage=1, text="dense").send("compare", a=1, b=2)
    assert (len(page.steps["applied"]), visitor.session.comparing.state) == (1, "done")
    visitor.send("go", stage=1).send("forget", stage=2)
    assert 2 not in [stage.number for stage in visitor.session.network.nodes]
    assert visitor.problem == ""
    visitor.send("undo")
    assert "nothing to undo" in visitor.problem
    visitor.send("dismiss")
    assert page.problem == {}


def test_the_actions_here_are_all_that_are_documented():
    text = page_module.__doc__.split("Messages (browser → Python)")[1].split("``", 2)[2]
    heads = [chunk.split(" {")[0] for chunk in re.findall(r"``([^`]+)``", text)]
    documented = {name.strip() for head in heads for name in head.split("|")}
    tested = {
        "model", "granularity", "criterion", "scope", "of", "pattern", "multiple_of", "min_units",
        "repair", "seed", "tick", "own", "layer", "unit",
        "tab", "theme", "apply", "undo", "reset", "fine_tune", "cancel", "keep", "discard",
        "sensitivity", "dismiss", "agreement", "race", "latency", "draft", "pause", "go_on",
        "redo", "go", "name", "forget", "compare", "recipe", "language",
    }  # fmt: skip
    assert documented == tested


def test_a_ping_is_answered_at_once_whatever_is_computed(mlp, mlp_data, monkeypatch):
    found = Explorer(mlp, mlp_data, threaded=False)  # nothing runs: the worker is as good as busy
    sent = []
    monkeypatch.setattr(found.page, "send", lambda content, *rest: sent.append(content))
    found.page._handle_custom_msg({"action": "ping"}, [])
    assert sent == [{"pong": True}]
    found.run_until_idle()
    assert found.page.problem == {}
    found.close()


def test_coupled_layers_are_ticked_together(visit, residual, residual_data):
    visitor = visit(residual, residual_data).send("granularity", name="unit")
    visitor.send("tick", layer="conv2", on=False)
    ticked = {e["name"]: e["ticked"] for e in visitor.page.controls["layers"]}
    assert ticked == {"stem": False, "conv1": True, "conv2": False, "fc": False}
    visitor.send("tick", layer="stem", on=True).send("own", layer="conv2", value=0.5)
    own = {e["name"]: e["own"] for e in visitor.page.controls["layers"]}
    assert own == {"stem": 0.5, "conv1": None, "conv2": 0.5, "fc": None}
    assert visitor.session.table.removed[0]["stem"] == 3
    visitor.send("tick", layer="fc", on=True)
    assert "fc cannot be pruned. fc gives the model's outputs" in visitor.problem


# -- the slider --------------------------------------------------------------------------


def test_the_slider_where_no_layer_is_ticked(visitor, mlp, mlp_data):
    visitor.slide(0.5)
    for layer in ("fc1", "fc2"):
        visitor.send("tick", layer=layer, on=False)
    page = visitor.page
    baseline = prunevis.evaluate(mlp, mlp_data).accuracy
    for position in (0.5, 0.75, 0.1234, 0.0):
        visitor.slide(position)
        assert page.position == position
        assert position in page.table["sparsity"]
        assert set(page.table["params"]) == {186}
        assert set(page.curve["value"]) == {baseline}
        assert page.table["key"] == page.curve["key"]
        assert not page.steps["can_apply"]
        assert page.status["text"] == "No layer is ticked: tick one to prune it"
    assert (page.controls["pending"], visitor.problem) == (False, "")
    for tab in ("neurons", "redundancy", "layers", "weights", "fine_tune", "tradeoff"):
        visitor.send("tab", name=tab)
        assert visitor.problem == ""
    visitor.send("tick", layer="fc1", on=True).slide(0.5)
    assert page.table["params"][page.table["sparsity"].index(0.5)] == 186 - 48
    assert page.steps["can_apply"]


def test_unticking_everything_at_a_typed_position_keeps_it(visitor):
    visitor.slide(0.1234)
    for layer in ("fc1", "fc2"):
        visitor.send("tick", layer=layer, on=False)
    table, curve = visitor.page.table, visitor.page.curve
    # else the page waits for figures of this position for ever
    assert visitor.page.position == 0.1234
    assert 0.1234 in table["sparsity"]
    assert curve["compressed"][table["sparsity"].index(0.1234)] is not None


def test_the_slider_goes_back_and_forth(visitor):
    for position in (0.5, 0.0, 0.7, 0.0, 0.7, 0.5, 0.999, 0.0):
        visitor.slide(position)
        assert visitor.session.position == visitor.page.position == position
    visitor.slide(0.5).send("apply").slide(0.0)
    assert visitor.session.position == visitor.page.position == 0.0
    visitor.slide(0.5)
    assert visitor.session.position == visitor.page.position == 0.5


def test_python_puts_the_slider_where_it_belongs(visitor):
    visitor.slide(0.5).send("apply").slide(0.8).send("apply").send("undo")
    assert visitor.page.position == 0.5
    visitor.send("reset")
    assert visitor.page.position == 0.0
    visitor.slide(0.99999)
    assert visitor.page.position == 0.999


def test_many_moves_are_one(visitor):
    seen = []
    visitor.session.observe(lambda change: seen.append(change["new"]), "position")
    for k in range(40):
        visitor.page.set_state({"position": k / 100})
    visitor.run()
    assert seen == [0.39]
    assert visitor.page.position == 0.39


def test_a_move_that_is_just_arriving_is_not_taken_back(visitor, monkeypatch):
    """The worker may tell the page something while a browser's state is being taken over."""
    visitor.slide(0.5)
    page, taken = visitor.page, DOMWidget.set_state

    def interrupted(self, state):
        with self.hold_trait_notifications():
            taken(self, state)
            visitor.explorer._after_step(False)

    monkeypatch.setattr(DOMWidget, "set_state", interrupted)
    visitor.slide(0.7)
    assert visitor.session.position == page.position == 0.7
    assert page.arriving is False
    assert not visitor.explorer._moving()


def test_a_click_on_apply_takes_the_position_it_was_made_at(visitor):
    visitor.page.set_state({"position": 0.5})
    visitor.page._handle_custom_msg({"action": "apply"}, [])
    visitor.page.set_state({"position": 0.9})
    visitor.run()
    assert visitor.page.steps["applied"] == ["50 % of weights by Magnitude |w|"]


def test_whole_numbers_are_positions_too(visitor):
    visitor.slide(0.5).slide(0)
    assert visitor.session.position == 0.0


# -- forged ------------------------------------------------------------------------------

JUNK = [
    None, True, -1, 1.5, 10**400, math.nan, math.inf, "", "fc1 ", "x" * 200_000, [], [["fc1"]],
    {"name": "fc1"}, "<script>alert(1)</script>",
]  # fmt: skip
FIELDS = {
    "model": ("name",), "granularity": ("name",), "criterion": ("name",), "scope": ("name",),
    "seed": ("value",), "tick": ("layer",), "own": ("layer", "value"), "layer": ("name",),
    "unit": ("unit",), "tab": ("name",), "theme": ("name",),
    "fine_tune": ("epochs", "learning_rate", "source"),
}  # fmt: skip
GOOD = {
    "own": {"layer": "fc1", "value": 0.5},
    "fine_tune": {"epochs": 1, "learning_rate": 0.01, "source": "train"},
}
#: Junk that is a sensible value somewhere.
FINE = {
    ("own", "value"): (None,),
    ("unit", "unit"): (None,),
    ("fine_tune", "learning_rate"): (1.5,),
}


def alive(visitor):
    """Return whether the session still does what it is for."""
    visitor.send("dismiss").slide(0.25).slide(0.5)
    return (
        visitor.page.problem == {}
        and visitor.session.position == 0.5
        and visitor.page.curve["exact"][50] == 1
    )


@pytest.mark.parametrize("action", FIELDS)
def test_forged_values_become_a_problem_in_words(visitor, action):
    for field in FIELDS[action]:
        for value in JUNK:
            if any(value == fine for fine in FINE.get((action, field), ())):
                continue
            visitor.send("dismiss")
            assert visitor.page.problem == {}
            visitor.send(action, **{**GOOD.get(action, {}), field: value})
            problem = visitor.page.problem
            assert problem != {}, (action, field, str(value)[:40])
            assert not problem["text"].startswith("Unexpected"), problem["text"]
            assert len(problem["text"]) < 1000
            json.dumps(problem, allow_nan=False)
    assert alive(visitor)


@pytest.mark.parametrize("action", [*FIELDS, "apply", "undo", "keep", "nonsense", "", "__class__"])
def test_messages_without_their_fields(visitor, action):
    visitor.send(action)
    if action not in ("own", "unit"):
        assert visitor.page.problem != {}
        assert not visitor.page.problem["text"].startswith("Unexpected")
    assert alive(visitor)


@pytest.mark.parametrize("content", [None, 3, "apply", [], {}, {"action": 3}, {"action": None}])
def test_messages_that_are_none(visitor, content):
    visitor.page._handle_custom_msg(content, [])
    visitor.run()
    assert visitor.page.problem == {}
    assert alive(visitor)


def test_an_unknown_action_is_named_in_short(visitor):
    visitor.send("x" * 100_000)
    assert "asked for something unknown: 'xxx" in visitor.problem
    assert len(visitor.problem) < 200


def test_fields_that_nobody_asked_for_do_nothing(visitor):
    visitor.send("scope", name="layer", seed=3, served=False, model="lenet5", junk=[1, 2])
    assert visitor.page.problem == {}
    assert visitor.session.setting.seed == 0


@pytest.mark.parametrize(
    "value", [1.5, 1, -0.25, math.nan, math.inf, 10**400, "x", "", None, [], {}, [0.5], "x" * 99999]
)
def test_forged_positions(visitor, value):
    visitor.slide(0.25).slide(value)
    assert "A sparsity must be at least 0 and below 1" in visitor.problem
    assert visitor.session.position == 0.25
    assert visitor.page.position == 0.25  # and the browser is put right
    assert alive(visitor)


def test_units_of_another_layer(visitor):
    visitor.send("unit", unit=7).send("layer", name="fc2")
    assert visitor.session.view.unit is None
    visitor.send("unit", unit=7)
    assert "fc2 has no unit 7" in visitor.problem


def test_slices_go_one_way(visitor):
    before = {name: getattr(visitor.page, name) for name in visitor.page.SLICES}
    forged = {name: {"key": "forged"} for name in visitor.page.SLICES}
    visitor.page.set_state({**forged, "_esm": "alert(1)", "_css": "", "layout": "x", "tooltip": 3})
    visitor.page.set_state({"_view_count": "many"})
    visitor.page.set_state({"_view_count": None})
    visitor.run()
    assert {name: getattr(visitor.page, name) for name in visitor.page.SLICES} == before
    assert "alert(1)" not in visitor.page._esm
    assert alive(visitor)


def test_messages_before_anything_is_open(mlp, mlp_data):
    found = Explorer(mlp, mlp_data, threaded=False, device="cpu")
    for action in (*FIELDS, "apply", "undo", "reset", "cancel", "keep", "discard", "sensitivity"):
        found.page._handle_custom_msg({"action": action, **GOOD.get(action, {})}, [])
    found.page.set_state({"position": 0.5})
    found.run_until_idle()
    assert not found.page.problem.get("text", "").startswith("Unexpected")
    assert found.session.network is not None
    assert found.page.curve["known"] == 101
    found.close()


# -- what goes wrong ---------------------------------------------------------------------


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 6), nn.Linear(6, 4)

    def forward(self, x):
        raise ValueError("the wrong moon")


class NoParameters(nn.Module):
    def forward(self, x):
        return x[:, :4] * 2


class ThreeAxes(TinyMLP):
    def forward(self, x):
        return super().forward(x)[:, None].expand(-1, 3, -1)


def with_masks(model):
    torch_prune.l1_unstructured(model.fc1, "weight", amount=0.5)
    return model


def with_value(model, value):
    with torch.no_grad():
        model.fc2.weight[0, 0] = value
    return model


def tiny():
    return seeded(TinyMLP)


X, Y = labelled((12,), 24, 4)

BAD = {
    "wrong shapes": (tiny, (X[:, :5], Y), "forward pass raised", "example_input"),
    "labels out of range": (tiny, (X, Y + 3), "fewer outputs than the data have classes", "labels"),
    "negative labels": (tiny, (X, Y - 1), "outside the model's classes", "start at 0"),
    "NaN inputs": (tiny, (X * math.nan, Y), "Some inputs are NaN or infinite", "Clean"),
    "NaN weights": (lambda: with_value(tiny(), math.nan), (X, Y), "fc2.weight holds 1 NaN", ""),
    "infinite weights": (lambda: with_value(tiny(), math.inf), (X, Y), "fc2.weight holds", ""),
    "no parameters": (NoParameters, (X, Y), "Nothing in this network can be pruned", "Try"),
    "only an output layer": (
        lambda: seeded(lambda: nn.Linear(12, 4)),
        (X, Y),
        "Nothing in this network can be pruned",
        "tick the output layer",
    ),
    "an empty loader": (
        tiny,
        DataLoader(TensorDataset(X[:0], Y[:0])),
        "The loader gives no batch",
        "at least one example",
    ),
    "data of another kind": (tiny, "fashion-mnist", "of a kind that cannot be read", ""),
    "masks attached": (
        lambda: with_masks(tiny()),
        (X, Y),
        "torch.nn.utils.prune masks are attached to fc1",
        "made_permanent",
    ),
    "a forward that raises": (
        lambda: seeded(Broken),
        (X, Y),
        "forward pass raised ValueError: the wrong moon",
        "",
    ),
    "three axes": (
        lambda: seeded(ThreeAxes),
        (X, Y),
        "not one row of logits an example",
        "shape (N, classes)",
    ),
}


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_a_sentence_on_the_page(visit, kind, served):
    make, data, text, fix = BAD[kind]
    model = make()
    before, state = snapshot(model), torch.get_rng_state()
    visitor = visit(model, data, served=served)
    problem = visitor.page.problem
    assert text in problem["text"]
    assert fix in problem["fix"] or fix in problem["text"]
    assert "Unexpected" not in problem["text"]
    assert bool(problem["detail"]) is not served
    assert visitor.page.status["kind"] in ("error", "idle")
    assert_same(before, snapshot(model))
    assert torch.equal(state, torch.get_rng_state())
    # whatever is asked of such a page, it answers in words
    for action in ("apply", "undo", "reset", "cancel", "keep", "sensitivity", "layer", "tick"):
        visitor.send(action)
        assert not visitor.page.problem.get("text", "").startswith("Unexpected")
    for tab in ("neurons", "redundancy", "layers"):
        visitor.send("tab", name=tab).send("unit", unit=0).slide(0.5)
        assert not visitor.page.problem.get("text", "").startswith("Unexpected")


def test_a_network_of_an_output_layer_alone_can_be_ticked(visit):
    model = seeded(lambda: nn.Linear(12, 4))
    visitor = visit(model, (X, Y))
    assert set(visitor.page.table["params"]) == {52}
    assert set(visitor.page.curve["value"]) == {visitor.page.table["base"]["accuracy"]}
    assert visitor.page.status["text"] == "No layer is ticked: tick one to prune it"
    visitor.send("tick", layer="", on=True)  # the network itself is the layer
    assert visitor.page.curve["known"] == 101
    assert visitor.page.table["params"][50] < 52


def test_one_class_works_and_is_said(visit, mlp):
    visitor = visit(mlp, (X, torch.full((24,), 2)))
    assert visitor.problem == ""
    assert "All examples are of class 2" in visitor.page.head["note"]
    assert visitor.page.curve["known"] == 101


def test_frozen_parameters_work(visit, mlp, mlp_data):
    mlp.requires_grad_(False)
    before = snapshot(mlp)
    visitor = visit(mlp, mlp_data).slide(0.5).send("apply")
    assert visitor.problem == ""
    visitor.send("fine_tune", epochs=1, learning_rate=0.1, source="train")
    assert visitor.page.fine_tune["state"] == "failed"
    assert "All parameters are frozen" in visitor.problem
    assert_same(before, snapshot(mlp))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 6)
        self.a, self.b, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.out(torch.relu(self.b(torch.relu(self.a(x)))))


def test_tied_parameters_work(visit):
    model = seeded(Tied)
    visitor = visit(model, answered(model, labelled((12,), 30, 4)))
    assert visitor.problem == ""
    visitor.slide(0.5).send("apply")
    own = visitor.explorer.model
    assert own.a.weight is own.b.weight
    visitor.send("granularity", name="unit").slide(0.3)
    assert visitor.problem == ""
    assert visitor.page.curve["known"] == len(visitor.page.curve["value"])


def test_tied_parameters_whose_units_must_stay_say_why(visit):
    model = seeded(Tied)
    model.stem = nn.Identity()
    visitor = visit(model, answered(model, labelled((6,), 30, 4)))
    visitor.send("granularity", name="unit")
    assert visitor.problem == ""
    assert "reads what no layer computes" in visitor.page.controls["layers"][0]["disabled"]
    # it would be no use to say "tick one"
    assert visitor.page.status["text"] == "Nothing more can go: each layer says why"
    assert all(entry["disabled"] for entry in visitor.page.controls["layers"])
    visitor.send("granularity", name="weight").slide(0.5)
    assert visitor.page.curve["known"] == 101


def test_a_model_that_cannot_be_copied(visit, mlp, mlp_data):
    mlp.lock = threading.Lock()
    visitor = visit(mlp, mlp_data)
    assert "cannot be copied" in visitor.problem
    assert visitor.page.status["kind"] == "error"


def test_a_served_page_never_carries_a_traceback(visit, mlp, mlp_data, monkeypatch):
    visitor = visit(mlp, mlp_data, served=True)
    sent = []
    for name in visitor.page.SLICES:
        visitor.page.observe(lambda change: sent.append(repr(change["new"])), name)

    def explode(*args, **options):
        raise RuntimeError("secret path /home/teacher/exam.py")

    with monkeypatch.context() as patch:
        patch.setattr("prunevis.session.measuring.rank_steps", explode)
        visitor.send("granularity", name="unit")
    visitor.send("granularity", name="weight")
    visitor.send("scope", name="layer").send("tab", name="nonsense").send("undo").send(10**9)
    monkeypatch.setattr("prunevis.session.tuning.pruned_copy", explode)
    visitor.slide(0.5).send("apply")
    visitor.send("fine_tune", epochs=1, learning_rate=0.1, source="train")
    assert (
        visitor.page.problem["text"]
        == "Something unexpected went wrong. Your network is as it was."
    )
    everything = "".join(sent)
    assert "Something unexpected went wrong" in everything
    for leak in ("Traceback", "secret", "/home/teacher", "RuntimeError", 'File "'):
        assert leak not in everything
    # in a notebook the same is one click away
    own = visit(mlp, mlp_data)
    own.slide(0.5).send("apply")
    assert "secret" in own.page.problem["text"]
    assert "Traceback" in own.page.problem["detail"]


def test_a_slice_that_cannot_be_made_is_a_problem_and_the_rest_is_sent(visitor, monkeypatch):
    def explode(session):
        raise RuntimeError("no curve today")

    with monkeypatch.context() as patch:
        patch.setattr("prunevis.app.views.curve", explode)
        visitor.send("scope", name="layer")
    assert "no curve today" in visitor.problem
    assert visitor.page.controls["scope"] == "layer"
    assert alive(visitor)


# -- publishing --------------------------------------------------------------------------


def test_slices_are_sent_now_and_then_not_at_every_step(mlp, mlp_data, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(explorer, "time", clock)
    found = Explorer(mlp, mlp_data, threaded=False, device="cpu")
    sent = []
    found.page.observe(lambda change: sent.append(change["new"]), "curve")
    found.run_until_idle()  # time stands still: only what idleness sends
    assert len(sent) == 1
    assert sent[-1]["known"] == 101
    sent.clear()
    found.page._handle_custom_msg({"action": "scope", "name": "layer"}, [])
    while found.controller.worker.run_until_idle(limit=1):
        clock.now += explorer.PUBLISH_EVERY
        if sent and sent[-1].get("known", 0) > 50:
            break
    assert len(sent) > 10
    # nothing of the choice before, then what is known of this one, ever more
    assert sent[0] == {}
    assert all(curve["key"] == found.session.table.key for curve in sent[1:])
    known = [curve["known"] for curve in sent[1:]]
    assert known == sorted(known)
    found.close()


def test_the_first_figure_at_a_new_position_does_not_wait_for_its_turn(mlp, mlp_data, monkeypatch):
    class Clock:
        def monotonic(self):
            return 0.0

    monkeypatch.setattr(explorer, "time", Clock())
    found = Explorer(mlp, mlp_data, threaded=False, device="cpu")
    worker = found.controller.worker
    worker.pause(BACKGROUND)
    found.run_until_idle()
    found.page.set_state({"position": 0.5})
    steps = 0
    while found.page.curve["value"][50] is None:
        assert worker.run_until_idle(limit=1)
        steps += 1
    assert steps <= 2  # the move, and the first batch
    found.page.set_state({"position": 0.1234})
    while len(found.page.curve["value"]) == 101:
        assert worker.run_until_idle(limit=1)
    assert found.page.curve["value"][found.page.table["sparsity"].index(0.1234)] is not None
    found.close()


def test_another_network_and_what_it_costs_are_shown_together(mlp, mlp_data, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            self.now += 1.0  # whatever may be sent now and then may be sent now
            return self.now

    monkeypatch.setattr(explorer, "time", Clock())
    found = Explorer(mlp, mlp_data, threaded=False, device="cpu")
    found.run_until_idle()
    other = seeded(lambda: nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2)))
    data = Data(train=None, test=answered(other, labelled((5,), 20, 2)), name="other")
    before, sent = found.session.network, []
    found.page.observe(lambda change: sent.append(change["name"]), list(found.page.SLICES))
    found.controller.open(lambda: (other, data, "", "Other"))
    worker, session = found.controller.worker, found.session
    while session.network is before:
        sent.clear()
        assert worker.run_until_idle(limit=1)
    texts = []
    while session.table is None or session.table.stage is not session.network.stage:
        assert set(sent) <= {"status", "problem"}
        assert found.page.head["title"].startswith("TinyMLP on tiny")
        assert found.page.table["base"]["params"] == 186
        sent.clear()
        assert worker.run_until_idle(limit=1)
        texts.append(found.page.status["text"])
    assert any(text.startswith("Ranking by") for text in texts)
    # and now, in one step
    assert {"head", "controls", "table"} <= set(sent)
    assert found.page.head["title"].startswith("Other on other")
    assert found.page.table["base"]["params"] == 26
    assert [e["name"] for e in found.page.controls["layers"]] == ["0", "2"]
    assert found.page.controls["pending"] is False
    found.run_until_idle()
    assert found.page.curve["known"] == 101
    found.close()


def test_what_no_tab_shows_is_not_made_again(visitor, monkeypatch):
    made = []
    original = explorer.views.neurons
    monkeypatch.setattr(
        "prunevis.app.views.neurons", lambda session: made.append(1) or original(session)
    )
    visitor.slide(0.5).send("scope", name="layer")
    assert made == []
    visitor.send("tab", name="neurons")
    assert made
    assert visitor.page.neurons["reason"] is None
    weights = visitor.page.weights
    visitor.send("layer", name="fc2")
    assert visitor.page.weights is weights
    visitor.send("tab", name="weights")
    assert visitor.page.weights["layer"] == "fc2"


def test_nobody_looks_nothing_is_swept(mlp, mlp_data):
    found = Explorer(mlp, mlp_data, threaded=False, device="cpu")
    found._on_views({"new": 0})
    found.run_until_idle()
    assert found.page.curve["known"] == 1
    found.page.set_state({"position": 0.5})
    found.run_until_idle()
    assert found.page.curve["exact"][50] == 1  # what is asked for is measured all the same
    found.page.set_state({"_view_count": 1})
    found.run_until_idle()
    assert found.page.curve["known"] == 101
    found.close()


# -- the person's own
# --------------------------------------------------------------------------------


def test_the_person_s_model_is_bit_identical_afterwards(visit, mlp, mlp_data, untouched_model):
    mlp.train()
    mlp.fc2.eval()
    mlp.fc3.weight.requires_grad_(False)
    mlp.fc1.weight.grad = torch.ones_like(mlp.fc1.weight)
    hook = mlp.fc2.register_forward_hook(lambda *args: None)
    check = untouched_model(mlp)
    visitor = visit(mlp, mlp_data)
    for tab in ("neurons", "redundancy", "layers", "weights"):
        visitor.send("tab", name=tab).send("unit", unit=1)
    visitor.send("criterion", name="random").send("sensitivity").slide(0.5).send("apply")
    visitor.send("granularity", name="unit").send("criterion", name="apoz").slide(0.4)
    visitor.send("fine_tune", epochs=1, learning_rate=0.1, source="train").send("keep")
    visitor.send("undo").send("reset").send("tab", name="nonsense")
    check()
    hook.remove()


def test_the_network_comes_out_again(visitor, mlp, mlp_data):
    visitor.slide(0.5).send("apply")
    own = visitor.explorer.model
    assert prunevis.evaluate(own, mlp_data).accuracy == visitor.page.curve["value"][0]
    assert int((own.fc1.weight == 0).sum()) > 0
    with torch.no_grad():
        own.fc1.weight.zero_()
    assert visitor.explorer.model is not own
    assert bool((visitor.explorer.model.fc1.weight != 0).any())


# -- the zoo
# ------------------------------------------------------------------------------------------


@pytest.fixture
def small_zoo(monkeypatch):
    """The zoo's menu with tiny networks behind it."""
    from prunevis.zoo import models

    model = seeded(TinyMLP)
    data = Data(train=answered(model, labelled((12,), 30, 4)), test=(X, Y), name="tiny")
    made = []

    def load(name, pretrained=True):
        made.append(name)
        return seeded(TinyMLP, seed=len(name))

    monkeypatch.setattr("prunevis.zoo.load_model", load)
    monkeypatch.setattr("prunevis.zoo.load_data", lambda name: data)
    return models.MODELS, made


def test_the_zoo_opens_and_changes(small_zoo, visit):
    models, made = small_zoo
    visitor = visit()
    assert [entry["name"] for entry in visitor.page.controls["models"]] == list(models)
    assert all(set(e) == {"name", "label", "detail"} for e in visitor.page.controls["models"])
    assert visitor.page.controls["model"] == "lenet5"
    visitor.slide(0.5).send("apply").send("tab", name="neurons")
    visitor.send("model", name="mobile")
    assert visitor.page.controls["model"] == "mobile"
    assert visitor.page.head["title"].startswith("Mobile (depthwise) on tiny")
    assert visitor.page.position == 0.0
    assert visitor.page.steps["applied"] == []
    assert visitor.page.neurons["reason"] is None
    assert made == ["lenet5", "mobile"]
    visitor.send("model", name="resnet152")
    assert "There is no model called 'resnet152' here" in visitor.problem
    assert visitor.page.controls["model"] == "mobile"


def test_the_zoo_with_data_of_one_s_own(small_zoo, visit, mlp_data):
    visitor = visit("mobile", mlp_data)
    assert visitor.page.controls["model"] == "mobile"
    assert visitor.page.curve["total"] == 60


def test_a_served_page_is_the_zoo(small_zoo, monkeypatch):
    threads = []
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = served_page()
    assert threads[0] >= 1  # the browser and the server need cores too
    assert found.served
    assert found.models
    found.close()


def test_a_visitor_cannot_open_the_zoo_from_a_private_page(visitor):
    visitor.send("model", name="lenet5")
    assert "There is no model called 'lenet5' here" in visitor.problem


# -- on a thread of its own
# ---------------------------------------------------------------------------


def test_the_page_on_its_own_thread(mlp, mlp_data):
    found = explore(mlp, mlp_data, device="cpu")
    worker = found.controller.worker
    idle = threading.Event()
    tell = worker._on_step
    worker._on_step = lambda now_idle: (tell(now_idle), idle.set() if now_idle else idle.clear())

    def settled(condition):
        for _ in range(200):
            done = threading.Event()
            worker.request(done.set)
            assert done.wait(WAIT)
            assert idle.wait(WAIT)
            if condition():
                return True
        return False

    assert settled(lambda: found.page.status["kind"] == "idle" or found.page.curve)
    assert found.page.curve["known"] == 1  # nobody looks yet
    found.page.set_state({"_view_count": 1})
    assert settled(lambda: found.page.curve["known"] == 101)
    found.page.set_state({"position": 0.5})
    assert settled(lambda: found.session.position == 0.5)
    found.page._handle_custom_msg({"action": "apply"}, [])
    assert settled(lambda: len(found.page.steps["applied"]) == 1)
    assert found.page.problem == {}
    thread = worker._thread
    found.close()
    assert not thread.is_alive()
