"""A visitor is held to the limits, and told so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from prunevis.app import keeping
from prunevis.app.limits import Limits


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=100.0, used=0.0)
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: found.now))
    monkeypatch.setattr(keeping, "used_mb", lambda: found.used)
    return found


@pytest.fixture
def served(monkeypatch, visit):
    """Open the page for a visitor with limits."""

    def make(model, data, **limits):
        for variable, value in Limits(**limits).as_environment().items():
            monkeypatch.setenv(variable, value)
        return visit(model, data, served=True)

    return make


def test_the_page_says_what_a_visitor_may_use(served, mlp, mlp_data):
    found = served(mlp, mlp_data, epochs=3, memory_mb=5000)
    assert found.page.head["limits"] == (
        "For each visitor: trainings of up to 3 epochs and 5,000 MB of memory."
    )
    assert served(mlp, mlp_data).page.head["limits"] == ""


def test_a_page_of_one_s_own_has_no_limits(monkeypatch, visit, mlp, mlp_data):
    monkeypatch.setenv("PRUNEVIS_EPOCHS", "1")
    assert visit(mlp, mlp_data).explorer.limits == Limits()


def test_zoo_images_are_limited(monkeypatch, visit):
    monkeypatch.setenv("PRUNEVIS_IMAGES", "300")
    found = visit("lenet-300-100", served=True)
    assert found.page.curve["total"] == 300
    assert "300 test images" in found.page.head["title"]


def test_more_epochs_than_allowed_are_refused(served, mlp, mlp_data):
    found = served(mlp, mlp_data, epochs=3).slide(0.5)
    form = {"learning_rate": 0.01, "source": "train"}
    found.send("fine_tune", epochs=4, **form)
    assert "This is 4.0 epochs of training; on the page, at most 3 run." in found.problem
    assert found.session.fine_tuning.result is None
    found.send("fine_tune", epochs=3, **form)
    assert found.session.fine_tuning.result is not None


def running(found):
    """Let a training be under way."""
    found.session.fine_tuning = replace(found.session.fine_tuning, state="running")
    found.explorer.controller.worker.submit("fine_tune", lambda: iter(()))


def test_a_training_that_takes_too_long_is_ended(served, clock, mlp, mlp_data):
    found = served(mlp, mlp_data, minutes=2)
    keeper = found.explorer.keeper
    running(found)
    clock.now += 100
    keeper.look()
    assert found.session.fine_tuning.state == "running"
    clock.now += 21
    keeper.look()
    assert found.session.fine_tuning.state == "cancelled"
    found.run()
    assert "ended after 2 minutes, the most that one visitor has here" in found.problem
    # the next one has its whole time
    found.send("dismiss")
    running(found)
    clock.now += 110
    keeper.look()
    assert found.session.fine_tuning.state == "running"


def test_a_pause_does_not_count(served, clock, mlp, mlp_data):
    found = served(mlp, mlp_data, minutes=1)
    running(found)
    found.session.fine_tuning = replace(found.session.fine_tuning, state="paused")
    clock.now += 1000
    found.explorer.keeper.look()
    assert found.session.fine_tuning.state == "paused"


def test_too_much_memory_ends_what_runs_and_is_said_once(served, clock, mlp, mlp_data):
    found = served(mlp, mlp_data, memory_mb=1000)
    keeper = found.explorer.keeper
    running(found)
    clock.used, clock.now = 1001.0, clock.now + 1
    keeper.look()  # too soon after the last look
    assert found.session.fine_tuning.state == "running"
    clock.now += keeping.LOOK_EVERY
    keeper.look()
    found.run()
    assert found.session.fine_tuning.state == "cancelled"
    assert "it took 1,001 MB of memory, and one visitor has 1,000 MB here" in found.problem
    found.send("dismiss")
    clock.now += keeping.LOOK_EVERY
    keeper.look()
    assert found.run().problem == ""
    # again only after it was below
    for used, said in ((900.0, False), (1200.0, True)):
        clock.used, clock.now = used, clock.now + keeping.LOOK_EVERY
        keeper.look()
        assert bool(found.run().problem) is said


def test_a_kernel_beyond_help_ends(served, clock, mlp, mlp_data):
    found = served(mlp, mlp_data, memory_mb=1000)
    ended = []
    found.explorer.keeper.end = ended.append
    clock.used, clock.now = 1501.0, clock.now + 10
    found.explorer.keeper.look()
    assert ended == [1]


def test_memory_is_this_process_s_own():
    before = keeping.used_mb()
    assert 10 < before < 20_000
    held = bytearray(b"x") * 50_000_000
    assert 40 < keeping.used_mb() - before < 60
    del held
