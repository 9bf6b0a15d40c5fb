"""The use cases without a page, step by step and without a thread.

Long on purpose: each use case is a few lines, and all are stepped by the same driver.
"""

import gc
import math
import weakref

import pytest
import torch
from tiny_networks import TinyMLP, answered, labelled, seeded
from torch import nn

import prunevis
from prunevis.data import Data
from prunevis.evaluation import evaluate
from prunevis.pruning import candidate, remove
from prunevis.session import history, measuring
from prunevis.session.jobs import BACKGROUND
from prunevis.session.opening import private_copy


@pytest.fixture
def opened(driver, mlp, mlp_data):
    return driver.open(mlp, mlp_data)


@pytest.fixture
def coupled(driver, residual, residual_data):
    return driver.open(residual, residual_data)


# -- opening ------------------------------------------------------


def test_opening(opened, mlp, mlp_data):
    session = opened.session
    assert session.problem is None
    assert session.network.label == "Tiny"
    assert [stage.label for stage in session.network.stages] == ["As it came"]
    assert opened.stage.baseline.accuracy == evaluate(mlp, mlp_data).accuracy
    assert session.setting.ticked == ("fc1", "fc2")
    assert session.view.layer == "fc1"  # the layer with most weights
    assert session.position == 0.0
    assert session.curve.known == len(session.table.sparsity) == 101
    assert (session.status.kind, session.status.text) == (
        "idle",
        "Exact here. Every position is measured.",
    )


def test_the_person_s_model_is_copied_never_touched(driver, mlp, mlp_data, untouched_model):
    mlp.train()
    mlp.fc2.eval()
    mlp.fc1.weight.requires_grad_(False)
    mlp.fc2.weight.grad = torch.ones_like(mlp.fc2.weight)
    check = untouched_model(mlp)
    driver.open(mlp, mlp_data)
    check()
    own = driver.stage.model
    assert own is not mlp
    assert {p.data_ptr() for p in own.parameters()}.isdisjoint(
        p.data_ptr() for p in mlp.parameters()
    )
    assert all(p.grad is None for p in own.parameters())
    driver.do("move", 0.5).do("apply").do("choose", "granularity", "unit")
    driver.do("move", 0.5).do("apply").do("fine_tune", 1, 0.01, "train").do("keep")
    driver.do("scan").do("undo").do("reset")
    assert driver.problem == ""
    check()


def test_opening_step_by_step_says_what_it_does(driver, mlp, mlp_data):
    said = []
    driver.session.observe(lambda change: said.append(change["new"].text), "status")
    driver.open(mlp, mlp_data)
    wanted = ["Loading the network", "Reading the data", "Tracing the network"]
    assert said[:3] == wanted
    assert "Measuring the network as it came" in said
    assert any(text.startswith("Ranking by Magnitude") for text in said)


def test_opening_another_network_forgets_the_first(opened):
    opened.do("move", 0.5).do("own", "fc1", 0.25).do("look", tab="neurons").do("look", unit=2)
    opened.do("apply")
    numbers = [opened.stage.number]
    other = seeded(lambda: nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2)))
    opened.open(other, answered(other, labelled((5,), 20, 2)), label="Other")
    session = opened.session
    assert session.network.label == "Other"
    assert session.setting.ticked == ("0",)
    assert session.setting.own == ()
    assert (session.view.layer, session.view.unit) == ("0", None)
    assert session.position == 0.0
    assert len(session.network.stages) == 1
    assert opened.stage.number not in numbers
    assert session.curve.known == len(session.table.sparsity)
    # the tab stays, and what it shows is of the new network
    assert session.view.tab == "neurons"
    assert set(session.statistics.activations) <= {"0", "2"}
    assert "0" in session.statistics.activations


def test_a_network_that_cannot_be_opened_leaves_the_old_one(opened, mlp):
    before = opened.session.network
    opened.open(mlp, None)
    assert "of a kind that cannot be read" in opened.problem
    assert opened.session.status.kind == "error"
    assert opened.session.network is before
    opened.do("move", 0.5)
    assert opened.session.position == 0.5
    assert opened.session.status.kind == "idle"


# -- figures ------------------------------------------------------


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_the_curve_is_what_pruning_really_gives(
    coupled, residual, residual_data, granularity, scope
):
    coupled.do("choose", "granularity", granularity).do("choose", "scope", scope)
    session = coupled.session
    assert session.curve.known == 101
    for k in (0, 25, 60, 95, 100):
        estimate = session.curve.estimates[k]
        assert estimate.exact
        really = prunevis.prune(
            residual,
            residual_data,
            criterion=session.setting.criterion,
            granularity=granularity,
            scope=scope,
            sparsity=session.table.sparsity[k],
        )
        assert estimate.value == evaluate(really.model, residual_data).accuracy
        assert session.table.costs[k] == really.cost_after


def test_own_values_count(opened, mlp, mlp_data):
    opened.do("own", "fc1", 0.75)
    session = opened.session
    for k in (0, 50, 100):
        really = prunevis.prune(
            mlp, mlp_data, sparsity=session.table.sparsity[k], layers={"fc1": 0.75, "fc2": None}
        )
        assert session.curve.estimates[k].value == really.accuracy_after
        assert session.table.removed[k] == really.plan.removed
        assert session.table.removed[k]["fc1"] == 72
    opened.do("own", "fc1", None)
    assert opened.session.table.removed[0] == {"fc1": 0, "fc2": 0}


def test_costs_are_there_before_accuracy_and_the_first_position_needs_no_sweep(
    driver, mlp, mlp_data
):
    seen = []
    driver.session.observe(lambda change: seen.append(change["new"]), "curve")
    driver.controller.worker.pause(BACKGROUND)
    driver.open(mlp, mlp_data)
    first, *_, last = [curve for curve in seen if curve is not None]
    assert first.estimates == (None,) * 101
    assert last.known == 1
    assert last.estimates[0].exact
    assert last.estimates[0].value == driver.stage.baseline.accuracy


@pytest.mark.parametrize("what", ["apply", "scan", "fine_tune"])
def test_what_is_asked_too_early_is_done_once_the_network_as_it_came_is_measured(
    driver, mlp, mlp_data, what
):
    driver.controller.open(lambda: (private_copy(mlp), mlp_data, "", "Tiny"))
    while driver.session.table is None:
        assert driver.step()
    assert driver.stage.baseline is None
    driver.controller.worker.request(lambda: driver.controller.move(0.5))
    args = (1, 0.01, "train") if what == "fine_tune" else ()
    for _ in range(3):  # an impatient hand
        driver.controller.worker.request(lambda: getattr(driver.controller, what)(*args))
    driver.controller.worker.run_until_idle()
    assert driver.problem == ""
    if what == "scan":
        assert driver.session.scan.state == "done"
    assert driver.session.network.stages[0].baseline is not None
    if what == "apply":
        assert len(driver.session.network.stages) == 2
    if what == "fine_tune":
        assert driver.session.fine_tuning.state == "done"


def test_what_was_asked_too_early_can_be_cancelled(driver, mlp, mlp_data):
    driver.controller.open(lambda: (private_copy(mlp), mlp_data, "", "Tiny"))
    while driver.session.table is None:
        assert driver.step()
    driver.controller.worker.request(lambda: driver.controller.fine_tune(1, 0.01, "train"))
    assert driver.step()
    assert "begins when the network is measured" in driver.session.fine_tuning.text
    driver.do("cancel", "fine_tune")
    assert (driver.session.fine_tuning.state, driver.session.fine_tuning.text) == ("ready", "")


@pytest.mark.parametrize("what", ["apply", "scan", "fine_tune"])
def test_asking_too_much_of_a_network_that_cannot_be_measured(driver, mlp, mlp_data, what):
    data = Data(train=mlp_data.train, test=(mlp_data.test.inputs, mlp_data.test.targets + 4))
    driver.open(mlp, data)
    assert "fewer outputs than the data have classes" in driver.problem
    assert driver.session.status.kind == "error"
    driver.do("move", 0.5)
    args = (1, 0.01, "train") if what == "fine_tune" else ()
    driver.do(what, *args)
    assert driver.problem == "The network could not be measured on these data."


def test_changing_the_setting_while_the_network_as_it_came_is_measured(driver, mlp, mlp_data):
    driver.controller.open(lambda: (private_copy(mlp), mlp_data, "", "Tiny"))
    while driver.session.table is None:
        assert driver.step()
    driver.do("choose", "granularity", "unit")
    assert driver.problem == ""
    assert driver.stage.baseline is not None
    assert driver.session.table.stage is driver.stage
    assert driver.session.curve.known == 101


def test_a_first_answer_does_not_wait_for_the_network_as_it_came(driver, mlp):
    data = Data(train=None, test=answered(mlp, labelled((12,), 900, 4)))
    driver.controller.open(lambda: (private_copy(mlp), data, "", "Tiny"))
    while driver.session.table is None:
        assert driver.step()
    driver.controller.worker.request(lambda: driver.controller.move(0.5))
    while driver.session.curve.estimates[50] is None:
        assert driver.step()
    assert driver.stage.baseline is None
    plain = driver.session.curve.estimates[50]
    assert plain.seen == 128
    assert plain.low < plain.value < plain.high
    driver.do("move", 0.5)
    paired = driver.session.curve.estimates[50]
    assert paired.exact
    plan = driver.session.table.ranking.plan(0.5)
    assert paired.value == evaluate(candidate(driver.stage.model, plan), data.test).accuracy


def test_estimates_come_before_they_are_exact(driver, mlp):
    data = Data(train=None, test=answered(mlp, labelled((12,), 900, 4)))
    driver.open(mlp, data)
    driver.controller.worker.pause(3)  # the sweep waits
    driver.controller.curves.clear()
    seen = []
    driver.session.observe(lambda change: seen.append(change["new"]), "curve")
    driver.do("move", 0.5)
    here = [curve.estimates[50] for curve in seen if curve and curve.estimates[50]]
    assert not here[0].exact
    assert here[0].seen <= 128
    assert here[0].low < here[0].high
    assert [e.seen for e in here] == sorted(e.seen for e in here)
    assert here[-1].exact


# -- the slider ------------------------------------------------------


@pytest.mark.parametrize("value", [0, 0.37, 0.999])
def test_moving(opened, value):
    opened.do("move", value)
    assert opened.session.position == value


def test_the_end_of_the_slider_is_as_much_as_can_go(opened):
    opened.do("move", 0.99999)
    assert opened.session.position == 0.999
    assert len(opened.session.table.sparsity) == 101


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan, math.inf, None, "x", [], 10**400])
def test_moving_nowhere(opened, value):
    opened.do("move", 0.25).do("move", value)
    assert "A sparsity must be at least 0 and below 1" in opened.problem
    assert opened.session.position == 0.25
    opened.do("move", 0.5)
    assert opened.session.position == 0.5


def test_a_typed_value_gets_a_position_of_its_own(opened, mlp, mlp_data):
    opened.do("move", 0.1234)
    session = opened.session
    assert session.position == 0.1234
    assert len(session.table.sparsity) == len(session.curve.estimates) == 102
    index = session.table.index(0.1234)
    assert session.table.sparsity[index] == 0.1234
    really = prunevis.prune(mlp, mlp_data, sparsity=0.1234)
    assert session.curve.estimates[index].value == really.accuracy_after
    assert session.curve.known == 102
    # and again
    opened.do("move", 0.5).do("move", 0.1234)
    assert len(session.table.sparsity) == 102


def test_a_typed_value_in_the_middle_of_the_sweep(driver, mlp, mlp_data):
    driver.controller.open(lambda: (private_copy(mlp), mlp_data, "", "Tiny"))
    while not driver.controller.worker.running("sweep"):
        assert driver.step()
    driver.step(10)
    assert driver.session.curve.known < 50
    driver.controller.worker.request(lambda: driver.controller.move(0.1234))
    driver.step(3)
    driver.do("move", 0.3)  # and on, before it is measured
    session = driver.session
    assert session.curve.known == len(session.table.sparsity) == 102
    assert session.status.text == "Exact here. Every position is measured."


def test_only_so_many_typed_values_are_kept(opened):
    for k in range(30):
        opened.do("move", 0.2005 + k / 100)
    assert len(opened.session.table.sparsity) <= 101 + 20
    assert opened.session.curve.known == len(opened.session.table.sparsity)


# -- settings ------------------------------------------------------


def test_going_back_to_a_setting_costs_nothing(opened):
    opened.do("choose", "scope", "layer").do("move", 0.5)
    calls = []
    together = opened.controller.together
    opened.controller.together = lambda *args: calls.append(args) or together(*args)
    opened.do("choose", "scope", "global").do("choose", "scope", "layer")
    assert calls == []
    assert opened.session.curve.known == 101


def test_unticking_everything_and_ticking_again(opened):
    opened.do("move", 0.5).do("tick", "fc1", False).do("tick", "fc2", False)
    session = opened.session
    assert session.table.setting == session.setting
    assert session.table.stage is opened.stage
    assert set(session.table.sparsity) == {k / 100 for k in range(100)} | {0.999}
    # nothing goes anywhere, so everywhere it costs and knows what the network as it stands does
    assert all(removed == {} for removed in session.table.removed)
    assert all(cost == opened.stage.costs.cost() for cost in session.table.costs)
    assert all(cost.nonzero_params == 186 for cost in session.table.costs)
    assert session.curve.key == session.table.key
    assert {e.value for e in session.curve.estimates} == {opened.stage.baseline.accuracy}
    assert all(e.exact for e in session.curve.estimates)
    assert session.position == 0.5
    assert (session.status.kind, session.status.text) == (
        "idle",
        "No layer is ticked: tick one to prune it",
    )
    assert session.problem is None
    for action in ("cancel", "discard", "need_statistics", "dismiss"):
        opened.do(action)
        assert session.problem is None
    opened.do("tick", "fc2", True)
    assert session.table.removed[50] == {"fc2": 24}
    assert session.curve.known == 101
    assert session.status.text == "Exact here. Every position is measured."


def untick(driver):
    for layer in driver.session.setting.ticked:
        if layer in driver.session.setting.ticked:  # others may have gone with it
            driver.do("tick", layer, False)
    assert driver.session.setting.ticked == ()
    assert driver.problem == ""
    return driver


def test_unticking_everything_before_the_network_as_it_came_is_measured(driver, mlp, mlp_data):
    driver.controller.open(lambda: (private_copy(mlp), mlp_data, "", "Tiny"))
    while driver.session.table is None:
        assert driver.step()
    for layer in ("fc1", "fc2"):
        driver.controller.worker.request(lambda name=layer: driver.controller.tick(name, False))
    driver.step(2)
    assert driver.stage.baseline is None
    assert driver.session.curve.known == 0
    assert driver.session.status.text == "No layer is ticked: tick one to prune it"
    driver.run()
    assert driver.problem == ""
    assert {e.value for e in driver.session.curve.estimates} == {driver.stage.baseline.accuracy}
    assert driver.session.table.stage is driver.stage


def test_unticking_everything_while_a_criterion_ranks(opened):
    opened.controller.worker.request(lambda: opened.controller.choose("criterion", "random"))
    opened.step(2)
    assert opened.controller.worker.running("rank")
    for layer in ("fc1", "fc2"):
        opened.controller.worker.request(lambda name=layer: opened.controller.tick(name, False))
    opened.run()
    session = opened.session
    assert session.table.setting == session.setting  # no ranking arrives late
    assert all(removed == {} for removed in session.table.removed)
    assert opened.problem == ""


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_what_can_be_asked_where_no_layer_is_ticked(coupled, granularity):
    untick(coupled.do("choose", "granularity", granularity).do("move", 0.5))
    session, before = coupled.session, coupled.stage
    coupled.do("scan")
    assert coupled.problem == "No layer is ticked. Tick at least one to scan it."
    assert session.scan.state == "none"
    coupled.do("dismiss").do("apply")
    assert "Unexpected" not in coupled.problem
    assert coupled.problem != ""
    assert coupled.stage is before
    # the network is trained as it is, and nothing is held at zero
    coupled.do("dismiss").do("fine_tune", 1, 0.01, "train")
    assert coupled.problem == ""
    assert session.fine_tuning.state == "done"
    assert session.fine_tuning.text == "Done: Trained 1 epoch"
    assert session.fine_tuning.before == before.baseline.accuracy
    coupled.do("keep")
    assert coupled.stage.label == "Trained 1 epoch"
    assert session.setting.ticked == ()
    assert {e.value for e in session.curve.estimates} == {coupled.stage.baseline.accuracy}
    coupled.do("undo")
    assert coupled.stage is before
    assert coupled.problem == ""


def test_applying_where_no_layer_is_ticked_does_not_send_to_the_slider(opened):
    untick(opened.do("move", 0.5)).do("apply")
    assert "No layer is ticked" in opened.problem
    assert "slider" not in opened.problem  # wherever it is put, nothing goes


def test_weights_that_were_applied_stay_counted_where_no_layer_is_ticked(opened):
    opened.do("move", 0.5).do("apply")
    left = opened.session.table.costs[50].nonzero_params
    assert left == 186 - 72
    untick(opened)
    assert {cost.nonzero_params for cost in opened.session.table.costs} == {left}


def test_units_that_were_applied_stay_gone_where_no_layer_is_ticked(opened):
    opened.do("choose", "granularity", "unit").do("move", 0.5).do("apply")
    left = opened.stage.graph.num_params
    untick(opened)
    assert left < 186
    assert {cost.nonzero_params for cost in opened.session.table.costs} == {left}


def test_ticking_the_output_layer_by_hand(opened):
    opened.do("tick", "fc3", True)
    assert opened.session.setting.ticked == ("fc1", "fc2", "fc3")
    assert "fc3" in opened.session.table.removed[50]


def test_a_criterion_that_needs_statistics_collects_them(opened, mlp, mlp_data):
    assert opened.session.statistics is None
    opened.do("choose", "granularity", "unit").do("choose", "criterion", "apoz")
    assert opened.session.statistics.split == "train"
    really = prunevis.prune(mlp, mlp_data, criterion="apoz", granularity="unit", sparsity=0.5)
    assert opened.session.table.removed[50] == really.plan.removed
    assert opened.session.curve.estimates[50].value == really.accuracy_after


def test_the_seed(opened):
    opened.do("choose", "criterion", "random")
    before = opened.session.table.ranking.ranks["fc1"]
    opened.do("choose", "seed", 5)
    assert not torch.equal(before, opened.session.table.ranking.ranks["fc1"])
    opened.do("choose", "seed", 0)
    assert torch.equal(before, opened.session.table.ranking.ranks["fc1"])


# -- looking ------------------------------------------------------


@pytest.mark.parametrize("tab", ["neurons", "redundancy"])
def test_statistics_are_there_whenever_a_tab_shows_them(opened, tab):
    assert opened.session.statistics is None
    opened.do("look", tab=tab)
    first = opened.session.statistics
    assert first is not None
    opened.do("look", layer="fc2")
    assert opened.session.statistics is first
    opened.do("move", 0.5).do("apply")
    second = opened.session.statistics
    assert second is not None
    assert second is not first
    opened.do("undo")
    assert opened.session.statistics is not None
    opened.do("choose", "criterion", "random")
    assert opened.session.statistics is not None


def test_a_tab_named_before_anything_is_open(driver, mlp, mlp_data):
    driver.controller.worker.request(lambda: driver.controller.look(tab="neurons"))
    driver.controller.worker.request(lambda: driver.controller.look(theme="dark"))
    driver.open(mlp, mlp_data)
    assert driver.problem == ""
    assert (driver.session.view.tab, driver.session.view.theme) == ("neurons", "dark")
    assert driver.session.statistics is not None


@pytest.mark.parametrize(
    ("what", "args"),
    [
        ("move", (0.5,)),
        ("choose", ("scope", "layer")),
        ("cancel", ()),
        ("discard", ()),
        ("dismiss", ()),
        ("reset", ()),
    ],
)
def test_before_anything_is_open(driver, what, args):
    driver.do(what, *args)
    assert driver.problem == ""


@pytest.mark.parametrize(
    ("what", "args", "match"),
    [
        ("tick", ("fc1", True), "No network is open yet"),
        ("own", ("fc1", 0.5), "No network is open yet"),
        ("apply", (), "nothing to apply yet"),
        ("scan", (), "no network to scan yet"),
        ("undo", (), "nothing to undo"),
        ("keep", (), "no fine-tuned network"),
        ("fine_tune", (1, 0.1, "train"), "no network to train yet"),
    ],
)
def test_refused_before_anything_is_open(driver, what, args, match):
    driver.do(what, *args)
    assert match in driver.problem


def test_looking_at_a_unit_before_anything_is_open(driver):
    driver.do("look", unit=3)
    assert "No network is open yet" in driver.problem


# -- apply, undo, reset ------------------------------------------------------


def test_apply_weights(opened, mlp, mlp_data):
    opened.do("move", 0.5).do("apply")
    session = opened.session
    assert opened.problem == ""
    assert len(session.network.stages) == 2
    assert opened.stage.label == "50 % of weights by Magnitude |w|"
    really = prunevis.prune(mlp, mlp_data, sparsity=0.5)
    for name, tensor in really.model.state_dict().items():
        assert torch.equal(opened.stage.model.state_dict()[name], tensor)
    assert opened.stage.baseline.accuracy == really.accuracy_after
    assert session.position == 0.5  # what is masked stays counted
    # what is gone is gone at every position, and what comes on top is the same as from the start
    assert session.table.removed[0] == session.table.removed[50] == really.plan.removed
    deeper = prunevis.prune(mlp, mlp_data, sparsity=0.9)
    assert session.table.removed[90] == deeper.plan.removed
    assert session.curve.estimates[90].value == deeper.accuracy_after
    assert session.curve.estimates[0].value == really.accuracy_after


def test_apply_units(coupled, residual, residual_data):
    coupled.do("choose", "granularity", "unit").do("move", 0.5)
    plan = coupled.session.table.ranking.plan(0.5)
    coupled.do("apply")
    smaller = remove(residual, plan)
    assert {n: t.shape for n, t in coupled.stage.model.state_dict().items()} == {
        n: t.shape for n, t in smaller.state_dict().items()
    }
    assert coupled.stage.baseline.accuracy == evaluate(smaller, residual_data).accuracy
    assert coupled.session.position == 0.0
    assert coupled.session.table.costs[0].num_params == sum(p.numel() for p in smaller.parameters())
    assert coupled.session.network.original.graph.num_params > coupled.stage.graph.num_params


def test_own_values_of_units_are_spent_when_applied(opened):
    opened.do("choose", "granularity", "unit").do("own", "fc1", 0.5)
    assert opened.session.table.removed[0] == {"fc1": 4, "fc2": 0}
    opened.do("apply")
    assert opened.stage.graph.layers["fc1"].num_units == 4
    # at position 0 nothing goes: the network is what was applied
    assert opened.session.table.removed[0] == {"fc1": 0, "fc2": 0}
    assert opened.session.curve.estimates[0].value == opened.stage.baseline.accuracy


def test_nothing_to_apply(opened):
    opened.do("apply")
    assert "Nothing goes at this position. Move the slider first." in opened.problem
    opened.do("move", 0.5).do("apply").do("apply")
    assert "Nothing goes at this position" in opened.problem
    assert len(opened.session.network.stages) == 2


def test_apply_twice_in_a_hurry_applies_once(opened):
    opened.do("move", 0.5)
    worker = opened.controller.worker
    for _ in range(3):
        worker.request(opened.controller.apply)
    opened.run()
    assert len(opened.session.network.stages) == 2


@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("what", ["apply", "fine_tune"])
def test_a_request_between_applying_and_ranking_anew(opened, granularity, what):
    # the table is still that of the stage before: what it says must not go to the new one
    opened.do("choose", "granularity", granularity).do("move", 0.5)
    opened.controller.worker.request(opened.controller.apply)
    while len(opened.session.network.stages) == 1:
        assert opened.step()
    args = (1, 0.01, "train") if what == "fine_tune" else ()
    opened.do(what, *args)
    assert len(opened.session.network.stages) == 2
    assert "Unexpected" not in opened.problem
    assert "another network" not in opened.problem
    assert opened.session.fine_tuning.state in ("ready", "done")
    opened.do("move", 0.9)
    assert opened.session.curve.known == len(opened.session.table.sparsity)


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_undo_and_reset(opened, granularity):
    opened.do("choose", "granularity", granularity)
    first = opened.stage
    for sparsity in (0.3, 0.6, 0.8):
        opened.do("move", sparsity).do("apply")
    assert len(opened.session.network.stages) == 4
    third = opened.session.network.stages[2]
    opened.do("undo")
    assert opened.stage is third
    assert opened.session.curve.estimates[0].value == third.baseline.accuracy
    assert opened.session.position == (0.6 if granularity == "weight" else 0.0)
    opened.do("reset")
    assert opened.session.network.stages == (first,)
    assert opened.session.position == 0.0
    assert opened.session.curve.known == 101
    opened.do("undo")
    assert "There is nothing to undo" in opened.problem


def test_reset_forgets_own_values(opened):
    opened.do("own", "fc1", 0.5).do("reset")
    assert opened.session.setting.own == ()
    assert opened.session.setting.ticked == ("fc1", "fc2")


def test_the_history_is_bounded(opened, monkeypatch):
    monkeypatch.setattr(history, "MAX_NODES", 3)
    first = opened.stage
    for sparsity in (0.1, 0.2, 0.3, 0.4):
        opened.do("move", sparsity).do("apply")
    stages = opened.session.network.stages
    assert len(stages) == 3
    assert stages[0] is first  # reset must stay possible
    assert [stage.sparsity for stage in stages] == [0.0, 0.3, 0.4]


# -- fine-tuning ------------------------------------------------------


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_fine_tune_and_keep(opened, granularity):
    opened.do("choose", "granularity", granularity).do("move", 0.5)
    before = opened.stage
    zeros = opened.session.table.ranking.plan(0.5)
    opened.do("fine_tune", 2, 0.05, "train")
    state = opened.session.fine_tuning
    assert opened.problem == ""
    assert state.state == "done"
    assert state.progress == 1.0
    assert state.result is not None
    assert state.before == opened.session.curve.estimates[50].value
    assert state.after == state.result.baseline.accuracy
    assert len(state.loss) == len(state.steps) > 0
    assert opened.stage is before  # waits to be kept
    opened.do("keep")
    assert opened.stage is state.result
    assert opened.stage.label.endswith("fine-tuned 2 epochs")
    assert opened.session.fine_tuning.state == "ready"
    assert opened.session.fine_tuning.epochs == 2  # the form stays filled in
    if granularity == "weight":
        for name, mask in zeros.masks.items():
            weight = opened.stage.model.get_parameter(f"{name}.weight")
            assert bool((weight[~mask] == 0).all())
        assert opened.session.position == 0.5
    else:
        assert opened.stage.graph.num_params < before.graph.num_params
    changed = [
        not torch.equal(a, b)
        for a, b in zip(before.model.parameters(), opened.stage.model.parameters(), strict=True)
    ]
    assert all(changed)
    opened.do("undo")
    assert opened.stage is before


def test_fine_tune_and_discard(opened):
    opened.do("move", 0.5).do("fine_tune", 1, 0.05, "train")
    before = opened.session.network
    opened.do("discard")
    assert opened.session.network is before
    assert opened.session.fine_tuning.state == "ready"
    assert opened.session.fine_tuning.result is None
    opened.do("keep")
    assert "no fine-tuned network to keep" in opened.problem


def test_zeros_stay_zero_over_several_steps(opened):
    opened.do("move", 0.5).do("apply").do("choose", "granularity", "unit").do("move", 0.3)
    opened.do("fine_tune", 1, 0.05, "train").do("keep")
    weight = opened.stage.model.fc1.weight
    assert opened.stage.holds_zeros
    assert int((weight == 0).sum()) > 0.2 * weight.numel()


def test_cancelling_between_two_steps(opened):
    opened.do("move", 0.5)
    before = opened.session.network
    worker = opened.controller.worker
    worker.request(lambda: opened.controller.fine_tune(5, 0.05, "train"))
    while not opened.session.fine_tuning.steps:
        assert opened.step()
    assert opened.session.fine_tuning.state == "running"
    assert "epoch 1 of 5" in opened.session.fine_tuning.text
    assert opened.session.status.kind == "busy"
    opened.do("cancel")
    state = opened.session.fine_tuning
    assert (state.state, state.result) == ("cancelled", None)
    assert state.text == "Cancelled: nothing was changed."
    assert opened.session.network is before
    assert not worker.running("fine_tune")
    assert opened.session.status.kind == "idle"
    opened.do("fine_tune", 1, 0.05, "train")
    assert opened.session.fine_tuning.state == "done"


def test_undo_while_training_cancels_it(opened):
    opened.do("move", 0.5).do("apply")
    opened.controller.worker.request(lambda: opened.controller.fine_tune(5, 0.05, "train"))
    while not opened.session.fine_tuning.steps:
        assert opened.step()
    opened.do("undo")
    assert len(opened.session.network.stages) == 1
    assert opened.session.fine_tuning.state == "ready"
    assert not opened.controller.worker.running("fine_tune")


def test_the_slider_moves_while_it_trains(opened):
    opened.do("move", 0.5)
    opened.controller.worker.request(lambda: opened.controller.fine_tune(2, 0.05, "train"))
    while not opened.session.fine_tuning.steps:
        assert opened.step()
    opened.controller.worker.request(lambda: opened.controller.move(0.8))
    opened.run()
    assert opened.session.position == 0.8
    state = opened.session.fine_tuning
    assert state.state == "done"
    assert "50 %" in state.result.label  # what was shown when it began


WRONG_FORMS = [
    ((0, 0.1, "train"), "Epochs are a whole number. Expected: 1 to 50. Got: 0."),
    ((51, 0.1, "train"), "Epochs are a whole number"),
    ((1.5, 0.1, "train"), "Epochs are a whole number"),
    ((True, 0.1, "train"), "Epochs are a whole number"),
    (("3", 0.1, "train"), "Epochs are a whole number"),
    ((None, 0.1, "train"), "Epochs are a whole number"),
    ((1, 0, "train"), "The learning rate must be above 0 and at most 10"),
    ((1, -0.1, "train"), "The learning rate must be"),
    ((1, 11, "train"), "The learning rate must be"),
    ((1, math.nan, "train"), "The learning rate must be"),
    ((1, math.inf, "train"), "The learning rate must be"),
    ((1, 10**400, "train"), "The learning rate must be"),
    ((1, "0.1", "train"), "The learning rate must be"),
    ((1, 0.1, "test"), "There are no such training examples. Got: test. Choose one of: train."),
    ((1, 0.1, None), "There are no such training examples"),
    ((1, 0.1, ["train"]), "There are no such training examples"),
    ((1, 0.1, {}), "There are no such training examples"),
    ((1, 0.1, "x" * 9999), "There are no such training examples"),
]


@pytest.mark.parametrize(
    ("form", "text"), WRONG_FORMS, ids=[str(k) for k in range(len(WRONG_FORMS))]
)
def test_wrong_forms(opened, form, text):
    opened.do("fine_tune", *form)
    assert text in opened.problem
    assert len(opened.problem) < 300
    assert opened.session.fine_tuning.state == "ready"


def test_there_is_nothing_to_train_on(driver, mlp, mlp_data):
    driver.open(mlp, (mlp_data.test.inputs, mlp_data.test.targets))
    driver.do("move", 0.5).do("fine_tune", 1, 0.1, "train")
    assert "Give explore() Data(train=..., test=...) to fine-tune." in driver.problem


def test_training_that_diverges(opened):
    opened.do("move", 0.5).do("fine_tune", 50, 10.0, "train")
    state = opened.session.fine_tuning
    assert state.state in ("failed", "done")  # it usually diverges, and either is said
    if state.state == "failed":
        assert "diverged" in state.text
        assert state.result is None
        assert "smaller learning rate" in opened.problem


def test_frozen_networks_can_be_pruned_but_not_trained(driver, mlp, mlp_data):
    mlp.requires_grad_(False)
    driver.open(mlp, mlp_data).do("move", 0.5)
    assert driver.problem == ""
    assert driver.session.curve.known == 101
    driver.do("fine_tune", 1, 0.1, "train")
    assert driver.session.fine_tuning.state == "failed"
    assert "All parameters are frozen" in driver.session.fine_tuning.text
    assert "requires_grad_" in driver.problem


def test_a_quarter_of_many_examples(driver, mlp, mlp_data):
    train = answered(mlp, labelled((12,), 4000, 4))
    driver.open(mlp, Data(train=train, test=mlp_data.test)).do("move", 0.5)
    driver.do("fine_tune", 1, 0.01, "quarter")
    assert driver.session.fine_tuning.state == "done"
    assert driver.session.fine_tuning.steps[-1] == 8  # 1,000 examples in batches of 128


# -- the scan ------------------------------------------------------


@pytest.mark.parametrize("granularity", ["weight", "unit"])
def test_scan(coupled, granularity):
    coupled.do("choose", "granularity", granularity).do("scan")
    scan = coupled.session.scan
    assert coupled.problem == ""
    assert scan.state == "done"
    expected = {"stem", "conv1", "conv2"} if granularity == "weight" else {"stem", "conv1"}
    assert set(scan.result.estimates) == expected
    coupled.do("choose", "scope", "layer")
    assert coupled.session.scan.state == "none"


def test_cancelling_a_scan(opened):
    opened.controller.worker.request(opened.controller.scan)
    while opened.session.scan.state != "running":
        assert opened.step()
    opened.step(2)
    opened.do("cancel")
    assert opened.session.scan.state == "none"
    assert opened.session.status.kind == "idle"


def test_cancelling_one_leaves_the_other(opened):
    controller, worker = opened.controller, opened.controller.worker
    opened.do("move", 0.5)
    worker.request(controller.scan)
    worker.request(lambda: controller.fine_tune(5, 0.05, "train"))
    while opened.session.scan.state != "running":
        assert opened.step()
    worker.request(lambda: controller.cancel("fine_tune"))
    opened.step()
    assert opened.session.fine_tuning.state == "cancelled"
    assert opened.session.scan.state == "running"
    worker.request(lambda: controller.fine_tune(5, 0.05, "train"))
    opened.step()
    for name in ("scan", "sweep", ["scan"]):  # a page may send anything
        worker.request(lambda name=name: controller.cancel(name))
        opened.step()
    assert opened.session.scan.state == "none"
    assert opened.session.fine_tuning.state == "running"
    assert opened.session.problem is None


# -- what goes wrong ------------------------------------------------------


def test_problems_are_numbered_and_dismissed(opened):
    opened.do("undo")
    first = opened.session.problem
    opened.do("undo")
    assert opened.session.problem.number == first.number + 1
    opened.do("dismiss")
    assert opened.session.problem is None


def test_an_unexpected_error_is_told_and_the_session_lives(opened, monkeypatch):
    def explode(*args, **options):
        raise RuntimeError("out of cheese")

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "rank_steps", explode)
        opened.do("choose", "scope", "layer")
    found = opened.session.problem
    assert found.text == "Unexpected: RuntimeError: out of cheese"
    assert "Traceback" in found.detail
    assert opened.session.status.kind == "error"
    opened.do("choose", "scope", "global").do("move", 0.5)
    assert opened.session.curve.known == 101
    assert opened.session.status.kind == "idle"


def test_closing_a_session_ends_everything(opened):
    opened.controller.worker.request(lambda: opened.controller.fine_tune(5, 0.05, "train"))
    opened.step(4)
    opened.controller.worker.stop()
    assert opened.step(10) == 0


def test_the_random_state_is_left_alone(driver, mlp, mlp_data):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    driver.open(mlp, mlp_data).do("choose", "criterion", "random").do("move", 0.5)
    driver.do("fine_tune", 1, 0.05, "train").do("keep").do("scan")
    assert torch.equal(state, torch.get_rng_state())


def test_networks_that_are_not_used_any_more_are_let_go(driver, mlp_data):
    driver.open(seeded(TinyMLP), mlp_data).do("move", 0.5).do("apply").do("look", tab="neurons")
    kept = [weakref.ref(stage.model) for stage in driver.session.network.stages]
    driver.open(seeded(TinyMLP), mlp_data)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


def test_the_page_says_when_there_is_no_room_for_what_comes_before_the_first_pruned_layer(opened):
    opened.controller.instruments._engine.kept.budget = 64
    assert "is kept for" not in opened.session.status.text
    first, *_ = opened.session.setting.ticked
    opened.do("tick", first, False).do("move", 0.5)
    assert "What comes before the first pruned layer is kept for" in opened.session.status.text
    assert opened.session.curve.known == 101
