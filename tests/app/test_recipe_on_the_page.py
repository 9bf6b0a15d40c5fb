"""A recipe on a page: published, opened, followed step by step, refused in words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

import prunevis as pv
from prunevis.app.explorer import Explorer
from prunevis.app.limits import Limits
from prunevis.errors import SpecError
from prunevis.hosting.guard import checked
from prunevis.session.jobs import BACKGROUND, REFINE, SPARE
from prunevis.session.recipe import Recipe

TRAIN = {"epochs": 1, "learning_rate": 0.02, "source": "train"}


@pytest.fixture
def visitor(visit, mlp, mlp_data):
    return visit(mlp, mlp_data)


def state(visitor):
    return visitor.explorer.model.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def a_path(visitor):
    """Prune weights, train, prune units with a repair, on a schedule; then look at something."""
    visitor.slide(0.5).send("apply").slide(0.7).send("fine_tune", **TRAIN).send("keep")
    visitor.send("granularity", name="unit").send("criterion", name="l2")
    visitor.send("repair", name="least-squares").slide(0.3).send("apply")
    visitor.send("repair", name="none").slide(0.2)
    knobs = {"rounds": 2, "epochs": 1}
    visitor.send("fine_tune", **TRAIN, schedule="iterative", knobs=knobs).send("keep")
    visitor.send("scope", name="layer").send("tab", name="neurons").send("layer", name="fc2")
    return visitor.send("unit", unit=1).slide(0.25)


def test_a_whole_path_is_followed_to_the_last_bit(visitor, visit, mlp, mlp_data):
    a_path(visitor)
    recipe, shown = visitor.explorer.recipe, visitor.page.recipe
    assert (len(recipe.steps), visitor.problem) == (4, "")
    assert Recipe.read(shown["text"]) == Recipe.read(shown["json"]) == recipe
    assert shown["can"]
    assert "It names your network only" in shown["note"]
    # on another page, in code, and on the same page after something else
    other = visit(mlp, mlp_data, recipe=shown["text"])
    assert other.explorer.recipe == recipe
    assert same(state(other), state(visitor))
    assert other.page.steps["applied"] == visitor.page.steps["applied"]
    assert other.page.curve["value"] == visitor.page.curve["value"]
    assert other.page.recipe["opened"] == {"number": 1, "tab": "neurons"}
    found = pv.replay(recipe, mlp, mlp_data)
    assert same(found.model.state_dict(), state(visitor))
    assert found.accuracy == visitor.session.network.stage.baseline.accuracy
    k = visitor.session.table.index(0.25)
    assert found.shown.value == visitor.session.curve.estimates[k].value
    assert found.plan.num_removed == visitor.session.table.plan_at(0.25).num_removed
    visitor.send("reset").send("granularity", name="weight").send("recipe", text=shown["json"])
    assert visitor.explorer.recipe == recipe
    assert same(state(other), state(visitor))


def test_what_runs_is_said(visitor):
    visitor.slide(0.5).send("apply").slide(0.7).send("apply")
    text = visitor.page.recipe["text"]
    said = []
    visitor.page.observe(lambda change: said.append(change["new"]["text"]), "status")
    visitor.explorer._published = -1e9
    visitor.send("reset").send("recipe", text=text)
    assert visitor.session.replay.state == "done"
    assert any("Taking the steps of the recipe: " in line for line in said)
    assert visitor.page.status["kind"] == "idle"


def test_a_step_that_fails_is_named_and_what_was_reached_stays(visitor):
    visitor.slide(0.5).send("apply")
    plain = json.loads(visitor.explorer.recipe.to_json())
    plain["steps"] = [plain["steps"][0]] * 2
    visitor.send("reset").send("recipe", text=json.dumps(plain))
    assert "Step 2 of 2 of the recipe cannot be taken: Nothing goes at this step" in visitor.problem
    assert "What was reached before stays." in visitor.problem
    assert len(visitor.page.steps["applied"]) == 1
    assert visitor.page.recipe["opened"]["number"] == 1
    visitor.slide(0.8).send("apply")
    assert len(visitor.page.steps["applied"]) == 2
    assert visitor.problem == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p["setting"].update(ticked=["fc9"]), "This network has no layer 'fc9'"),
        (lambda p: p["view"].update(layer="fc9"), "This network has no layer 'fc9'"),
        (lambda p: p["view"].update(unit=77), "has no unit 77"),
        (lambda p: p.update(model="lenet5"), "a network of your own is looked at here"),
        (lambda p: p["setting"].update(criterion="oracle"), "Oracle|cannot be used here"),
        (lambda p: p["steps"][0]["prune"].update(criterion="apoz"), "does not score"),
        (lambda p: p["steps"][0].update(train={"source": "quarter"}), "no such training examples"),
    ],
)
def test_what_does_not_fit_the_network_is_a_problem_on_the_page(visitor, change, said):
    visitor.slide(0.5).send("apply")
    plain = json.loads(visitor.explorer.recipe.to_json())
    change(plain)
    visitor.send("recipe", text=json.dumps(plain))
    import re

    assert re.search(said, visitor.problem), visitor.problem
    assert visitor.page.recipe["opened"]["number"] == 1
    visitor.send("scope", name="layer").slide(0.6)
    assert (visitor.problem, visitor.page.position) == ("", 0.6)


@pytest.mark.parametrize("text", [None, 5, [], "", "abc", "{}", "[" * 9999, "A" * 200_000])
def test_a_forged_recipe_never_breaks_the_page(visitor, text):
    before = visitor.session.network
    visitor.send("recipe", text=text)
    assert visitor.problem
    assert visitor.session.network is before
    assert visitor.page.recipe["opened"]["number"] == 1
    assert visitor.slide(0.3).page.position == 0.3


def test_a_hand_on_the_page_ends_it(visitor):
    visitor.slide(0.5).send("apply").slide(0.7).send("apply")
    text = visitor.page.recipe["text"]
    visitor.send("reset")
    worker = visitor.explorer.controller.worker
    visitor.page._handle_custom_msg({"action": "recipe", "text": text}, [])
    while not visitor.session.replay or visitor.session.replay.done < 1:
        assert worker.run_until_idle(limit=1)
    assert visitor.page.recipe["text"] == text or not visitor.page.recipe["text"]
    visitor.send("scope", name="layer")
    assert visitor.session.replay.state == "stopped"
    assert len(visitor.page.steps["applied"]) == 1
    assert visitor.problem == ""


def test_training_beyond_a_visitor_s_limits_is_refused(visit, mlp, mlp_data, monkeypatch):
    own = visit(mlp, mlp_data).slide(0.5)
    own.send("fine_tune", **{**TRAIN, "epochs": 3}).send("keep")
    text = own.page.recipe["text"]
    for variable, value in Limits(epochs=2).as_environment().items():
        monkeypatch.setenv(variable, value)
    found = visit(mlp, mlp_data, served=True).send("recipe", text=text)
    assert "Step 1 of 1 of the recipe cannot be taken" in found.problem
    assert "3.0 epochs of training; on the page, at most 2 run" in found.problem
    assert found.page.steps["applied"] == []
    monkeypatch.setenv("PRUNEVIS_EPOCHS", "3")
    found = visit(mlp, mlp_data, served=True).send("recipe", text=text)
    assert found.problem == ""
    assert same(state(found), state(own))


def test_the_longest_recipe_passes_the_guard():
    from prunevis.session.reading import MOST_JSON

    content = {"action": "recipe", "text": '"' * (MOST_JSON - 1)}
    message = {
        "channel": "shell",
        "header": {"msg_id": "a", "msg_type": "comm_msg", "session": "b"},
        "metadata": {},
        "content": {"comm_id": "c", "data": {"method": "custom", "content": content}},
    }
    assert checked(json.dumps(message), None)["content"]["data"]["content"] == content


def test_what_is_missing_is_asked_for(mlp, mlp_data):
    with pytest.raises(SpecError, match=r"of a network of one's own.*Pass the network"):
        Explorer(recipe=Recipe())
    with pytest.raises(SpecError, match=r"made on data of one's own"):
        pv.replay(Recipe(), mlp)
    with pytest.raises(SpecError, match="broken, or none"):
        Explorer(mlp, mlp_data, recipe="abc")


# -- the zoo, and another process ------------------------------------------------------------------

FRESH = """
import sys, prunevis as pv
for text in sys.argv[1:]:
    found = pv.replay(text)
    print(repr(found.accuracy), repr(found.shown.value))
"""


def test_the_same_numbers_in_another_process():
    """Pruned weights, units taken out and repaired, one epoch of training."""
    page = Explorer("lenet-300-100", threaded=False, device="cpu")
    worker = page.controller.worker

    def do(action, **content):
        page.page._handle_custom_msg({"action": action, **content}, [])
        worker.pause(BACKGROUND, SPARE)
        worker.run_until_idle()

    def slide(position):
        page.page.set_state({"position": position})
        worker.pause(BACKGROUND, SPARE)
        worker.run_until_idle()

    slide(0.7)
    do("apply")
    do("granularity", name="unit")
    do("criterion", name="l2")
    do("repair", name="least-squares")
    slide(0.4)
    do("apply")
    do("fine_tune", epochs=1, learning_rate=0.02, source="quarter")
    do("keep")
    slide(0.1)
    assert page.session.problem is None
    recipe, texts, wanted = page.recipe, [], []
    assert (recipe.model, recipe.data, recipe.images) == ("lenet-300-100", "fashion-mnist", 10_000)
    texts.append(recipe.to_text())
    at = page.session.table.index(page.session.position)
    wanted.append(f"{page.session.network.stage.baseline.accuracy!r} "
                  f"{page.session.curve.estimates[at].value!r}")  # fmt: skip
    page.close()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FRESH, *texts],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == wanted


def test_another_model_of_the_zoo_and_fewer_images(visit, monkeypatch):
    made = pv.replay('{"version": 1, "model": "lenet-300-100", "data": "fashion-mnist", '
                     '"images": 200, "steps": [{"prune": {"sparsity": 0.5}}]}')  # fmt: skip
    assert made.applied.total == 200
    monkeypatch.setenv("PRUNEVIS_IMAGES", "150")
    found = visit("lenet-300-100", served=True)
    found.explorer.controller.worker.pause(BACKGROUND, REFINE, SPARE)
    found.send("recipe", text=made.recipe.to_text())
    assert found.problem == ""
    assert found.session.network.data.test.count == 150
    assert "Accuracy is measured on 150 images here." in found.page.recipe["note"]
    found.send("recipe", text=Recipe().to_text())
    assert "of a network of somebody's own" in found.problem
