import pytest
from torch import nn

from prunevis.data import Data
from prunevis.evaluation import evaluate
from prunevis.session import judging
from prunevis.session.jobs import NOW


@pytest.fixture
def judged(driver, mlp, mlp_data, monkeypatch):
    # few examples: the networks here are small
    monkeypatch.setattr(judging, "ORACLE_IMAGES", (16, 32))
    monkeypatch.setattr(judging, "RACE_IMAGES", 20)
    driver.open(mlp, mlp_data)
    return driver.do("choose", "granularity", "unit")


def ask(driver, what, *args):
    judge = driver.controller.judge
    driver.controller.worker.request(lambda: getattr(judge, what)(*args), "asked")
    return driver


def test_the_cost_is_known_once_the_tab_is_open(judged):
    assert judged.session.judging.costs is None
    judged.do("look", tab="criteria")
    costs = judged.session.judging.costs
    assert {n: (c.units, c.examples) for n, c in costs.items()} == {16: (14, 16), 32: (14, 32)}
    assert costs[32].macs == 2 * costs[16].macs
    assert judged.session.judging.reason is None


def test_no_unit_can_go_is_said_and_no_mishap(driver, mlp_data):
    driver.open(nn.Sequential(nn.Linear(12, 4)), mlp_data).do("look", tab="criteria")
    assert driver.session.judging.reason == "No unit of this network can be removed."
    assert driver.problem == "" or "removed" not in driver.problem
    ask(driver, "measure", 256).run()
    assert driver.problem.startswith("No unit of this network")


def test_agreement_shows_how_far_it_is_and_what_it_found(judged):
    seen = []
    judged.session.observe(lambda change: seen.append(change["new"].agreement), "judging")
    ask(judged, "measure", 16).run()
    states = [found.state for found in seen]
    assert states[0] == "running"
    assert states[-1] == "done"
    progress = [found.progress for found in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert any("Removing unit" in found.text for found in seen)
    result = judged.session.judging.agreement.result
    assert result.oracle.num_examples == 16
    assert {"l2", "apoz", "random"} <= {row.criterion for row in result.rows}


def test_a_race_uses_the_setting_of_the_page(judged, mlp_data):
    judged.do("choose", "scope", "layer")
    ask(judged, "race", ["l2", "apoz"], "params").run()
    found = judged.session.judging.race
    assert found.state == "done"
    result = found.result
    assert (result.at, result.granularity, result.scope) == ("params", "unit", "layer")
    assert [racer.criterion for racer in result.racers] == ["l2", "apoz", "random"]
    stage = judged.session.network.stage
    assert result.baseline.accuracy == evaluate(stage.model, mlp_data).accuracy


def test_cancelled_halfway(judged, untouched_model):
    check = untouched_model(judged.session.network.stage.model)
    for start, name in ((("measure", 16), "agreement"), (("race", ["l2"], "macs"), "race")):
        ask(judged, *start)
        judged.step(6)
        assert getattr(judged.session.judging, name).state == "running"
        assert "Comparing criteria" in judged.session.status.text
        judged.do("cancel", name)
        found = getattr(judged.session.judging, name)
        assert (found.state, found.result) == ("cancelled", None)
        assert not judged.controller.worker.running(name)
    check()


def test_a_slider_move_goes_first(judged):
    ask(judged, "measure", 16)
    judged.step(5)
    judged.controller.worker.request(lambda: judged.controller.move(0.5), "move")
    judged.step(1)
    assert judged.session.position == 0.5
    assert judged.session.judging.agreement.state == "running"
    waiting = judged.controller.worker._jobs
    assert waiting["agreement"].priority > NOW
    judged.run()
    assert judged.session.judging.agreement.state == "done"


def test_what_was_found_belongs_to_the_network_that_it_was_found_on(judged):
    ask(judged, "measure", 16).run()
    judged.do("move", 0.5).do("apply")
    assert judged.session.judging.agreement.result is None
    ask(judged, "measure", 16)
    judged.step(4)
    judged.do("undo")
    assert judged.session.judging.agreement.state == "none"


def test_a_failure_is_said_where_it_was_asked_for(judged, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("no paper left")

    monkeypatch.setattr(judging, "race_steps", fail)
    ask(judged, "race", ["l2"], "macs").run()
    found = judged.session.judging.race
    assert (found.state, found.text) == ("failed", "Something unexpected failed.")
    assert "no paper left" in judged.problem


@pytest.mark.parametrize("images", [0, 17, -16, True, None, "16", 16.5, [16], {}])
def test_forged_numbers_of_examples(judged, images):
    ask(judged, "measure", images).run()
    assert "not taken on so many examples" in judged.problem
    assert judged.session.judging.agreement.state == "none"


@pytest.mark.parametrize(
    ("criteria", "at"),
    [
        ([], "macs"),
        ("l2", "macs"),
        (["l2", "l2"], "macs"),
        (["l3"], "macs"),
        (["magnitude"], "macs"),
        (["bn-scale"], "macs"),
        (["random"], "macs"),
        ([["l2"]], "macs"),
        ({"l2": 1}, "macs"),
        (["l1", "l2", "apoz", "mean-activation", "weight-similarity", "l9"], "macs"),
        (None, "macs"),
        (["l2"], "seconds"),
        (["l2"], None),
        (["l2"], ["macs"]),
    ],
)
def test_forged_races(judged, criteria, at):
    ask(judged, "race", criteria, at).run()
    assert "cannot race here" in judged.problem or "equal sparsity" in judged.problem
    assert judged.session.judging.race.state == "none"


def test_nothing_is_open_yet(driver):
    ask(driver, "measure", 256).run()
    assert "no network to look at" in driver.problem
    ask(driver, "race", ["l2"], "macs").run()
    assert "no network to look at" in driver.problem


def test_without_training_examples_the_test_part_is_taken(judged, mlp, mlp_data):
    judged.open(mlp, Data(train=None, test=mlp_data.test))
    ask(judged, "measure", 16).run()
    assert judged.session.judging.agreement.result.oracle.split == "test"
