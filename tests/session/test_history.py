"""Going back, branching, naming, forgetting and comparing, with the use cases' own driver."""

import gc
import weakref

import pytest

from prunevis.session import comparing, history


@pytest.fixture
def opened(driver, mlp, mlp_data):
    return driver.open(mlp, mlp_data)


def numbers(driver):
    return [stage.number for stage in driver.session.network.stages]


def step(driver, sparsity):
    driver.do("move", sparsity).do("apply")
    assert driver.problem == ""
    return driver.stage


def test_undo_forgets_nothing_and_redo_goes_on(opened):
    first, half = opened.stage, step(opened, 0.5)
    more = step(opened, 0.7)
    opened.do("undo").do("undo")
    assert opened.stage is first
    assert opened.session.network.nodes == (first, half, more)
    opened.do("redo")
    assert (opened.stage, opened.session.position) == (half, 0.5)
    assert opened.session.curve.estimates[0].value == half.baseline.accuracy
    opened.do("redo")
    assert opened.stage is more
    opened.do("redo")
    assert "There is nothing to redo" in opened.problem


def test_redo_goes_where_one_came_from_not_to_the_newest(opened):
    half = step(opened, 0.5)
    opened.do("undo")
    other = step(opened, 0.6)
    assert other.parent == half.parent == opened.session.network.original.number
    opened.do("go", half.number).do("undo").do("redo")
    assert opened.stage is half
    opened.do("go", other.number).do("reset").do("redo")
    assert opened.stage is other


def test_applying_at_an_earlier_step_branches(opened):
    half = step(opened, 0.5)
    deep = step(opened, 0.9)
    opened.do("go", half.number)
    assert numbers(opened) == [1, half.number]
    side = step(opened, 0.7)
    assert side.parent == deep.parent == half.number
    assert numbers(opened) == [1, half.number, side.number]
    opened.do("go", deep.number)
    assert opened.session.position == 0.9
    assert numbers(opened) == [1, half.number, deep.number]
    assert opened.session.curve.known == len(opened.session.table.sparsity)


def test_units_and_weights_on_two_branches(opened):
    step(opened, 0.5)
    opened.do("reset").do("choose", "granularity", "unit")
    units = step(opened, 0.5)
    assert opened.stage.graph.layers["fc1"].num_units < 8
    opened.do("undo").do("choose", "granularity", "weight").do("go", units.number)
    assert (opened.problem, opened.stage) == ("", units)


def test_going_where_one_is_changes_nothing(opened):
    before = opened.session.network
    opened.do("go", before.original.number)
    assert opened.session.network is before


@pytest.mark.parametrize("bad", [99, -1, "1", None, True, 1.0, [1], {"stage": 1}])
@pytest.mark.parametrize("what", ["go", "forget"])
def test_forged_numbers(opened, what, bad):
    opened.do(what, bad)
    assert "There is no step" in opened.problem
    assert len(opened.session.network.nodes) == 1


@pytest.mark.parametrize("what", [("go", 1), ("forget", 1), ("name", 1, "a"), ("redo",)])
def test_before_anything_is_open(driver, what):
    driver.do(*what)
    assert "No network is open yet" in driver.problem or "nothing to redo" in driver.problem


def test_names_stay_with_their_step(opened):
    half = step(opened, 0.5)
    opened.do("name", half.number, "half").do("name", 1, " dense ")
    assert opened.session.network.names == {half.number: "half", 1: "dense"}
    assert opened.stage is half  # the table's stage still: nothing is ranked anew
    opened.do("name", 1, "")
    opened.do("undo").do("forget", half.number)
    assert opened.session.network.names == {}
    opened.do("name", 1, "x" * 41)
    assert "too long" in opened.problem


def test_forgetting_needs_to_stand_elsewhere(opened):
    half = step(opened, 0.5)
    opened.do("forget", half.number)
    assert "on the way to the present network" in opened.problem
    opened.do("undo").do("forget", half.number)
    assert [s.number for s in opened.session.network.nodes] == [1]
    opened.do("redo")
    assert "nothing to redo" in opened.problem


def test_memory_is_bounded_and_told(opened):
    opened.controller.most_history = 3.5 * opened.stage.costs.base_bytes
    made = []
    for sparsity in (0.2, 0.4, 0.6, 0.8):
        made.append(step(opened, sparsity))
        opened.do("undo")
    network = opened.session.network
    assert [s.number for s in network.nodes] == [1, made[2].number, made[3].number]
    assert network.forgotten == 2


def test_fine_tuned_steps_branch_too(opened):
    half = step(opened, 0.5)
    opened.do("fine_tune", 1, 0.01, "train").do("keep")
    assert opened.stage.parent == half.number
    assert opened.stage.step.settings is not None


def test_what_is_forgotten_is_given_back(opened):
    deep = step(opened, 0.9)
    opened.controller.comparer.compare(1, deep.number)
    opened.run().do("undo").do("forget", deep.number)
    kept = weakref.ref(deep.model)
    del deep
    gc.collect()
    assert kept() is None


# -- comparing ---------------------------------------------------------------------------


def test_comparing_uses_what_was_measured(opened, monkeypatch):
    deep = step(opened, 0.9)
    first = opened.session.network.original
    opened.controller.comparer.compare(1, deep.number)
    opened.run()
    found = opened.session.comparing
    assert (found.state, found.pair) == ("done", (1, deep.number))
    assert found.result.before is first.baseline
    assert found.result.after is deep.baseline
    lost = (first.baseline.examples.correct & ~deep.baseline.examples.correct).sum()
    assert len(found.result.forgotten) == int(lost) > 0
    opened.do("undo")
    assert opened.session.comparing is found  # both steps are still there
    opened.do("forget", deep.number)
    assert opened.session.comparing.state == "none"


def test_confidences_only_of_what_is_shown(opened, monkeypatch):
    monkeypatch.setattr(comparing, "MOST", 2)
    deep = step(opened, 0.9)
    opened.controller.comparer.compare(1, deep.number)
    opened.run()
    sure = opened.session.comparing.result.forgotten.confidence
    assert len(sure) > 2
    assert sure.isnan().any(1).tolist() == [False] * 2 + [True] * (len(sure) - 2)


def test_cancelling_and_other_networks(opened, mlp, mlp_data):
    deep = step(opened, 0.9)
    opened.controller.comparer.compare(1, deep.number)
    opened.controller.cancel("compare")
    assert opened.session.comparing.state == "cancelled"
    opened.controller.comparer.compare(1, deep.number)
    opened.run()
    opened.open(mlp, mlp_data)
    assert opened.session.comparing.state == "none"


@pytest.mark.parametrize("pair", [(1, 1), (1, 99), (None, 1), ("1", 2), (1, [2])])
def test_pairs_that_cannot_be_compared(opened, pair):
    opened.controller.worker.request(lambda: opened.controller.comparer.compare(*pair))
    opened.run()
    assert "no step" in opened.problem or "not with itself" in opened.problem
    assert opened.session.comparing.state == "none"


def test_as_many_as_are_kept(opened, monkeypatch):
    monkeypatch.setattr(history, "MAX_NODES", 4)
    for sparsity in (0.1, 0.2, 0.3, 0.4, 0.5):
        step(opened, sparsity)
        opened.do("undo")
    assert len(opened.session.network.nodes) == 4
    assert opened.session.network.forgotten == 2
