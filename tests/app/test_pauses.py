"""What is held back: nothing here waits for time to pass."""

from __future__ import annotations

import threading

import pytest

from prunevis.app import pauses
from prunevis.app.pauses import REST, Pauses
from prunevis.session.jobs import BACKGROUND, REFINE


class Timers:
    """Stands for the modules threading and time: time passes when a test says so."""

    Lock = staticmethod(threading.Lock)

    def __init__(self):
        self.now, self.waiting = 0.0, []

    def monotonic(self):
        return self.now

    def Timer(self, seconds, call):
        timer = type("Timer", (), {"start": lambda self: None, "cancel": lambda self: None})()
        self.waiting.append((self.now + seconds, call))
        return timer

    def wait(self, seconds):
        self.now += seconds
        due = [call for when, call in self.waiting if when <= self.now + 1e-9]
        self.waiting = [(when, call) for when, call in self.waiting if when > self.now + 1e-9]
        for call in due:
            call()


class FakeWorker:
    paused: tuple[int, ...] = ()

    def pause(self, *priorities):
        self.paused = priorities


@pytest.fixture
def timers(monkeypatch):
    found = Timers()
    monkeypatch.setattr(pauses, "threading", found)
    monkeypatch.setattr(pauses, "time", found)
    return found


def test_the_sweep_rests_until_a_while_after_the_last_move(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=True)
    held.views(1)
    assert worker.paused == ()
    for _ in range(20):
        held.moved()
        assert worker.paused == (REFINE, BACKGROUND)
        timers.wait(0.05)
    assert len(timers.waiting) == 1  # one timer, however many moves
    timers.wait(REST - 0.06)
    assert worker.paused == (REFINE, BACKGROUND)
    timers.wait(0.02)
    assert worker.paused == ()
    assert timers.waiting == []
    held.moved()
    assert worker.paused == (REFINE, BACKGROUND)


def test_nobody_looks_nothing_is_swept_whatever_moves(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=True)
    assert worker.paused == (BACKGROUND,)
    held.moved()
    timers.wait(2 * REST)
    assert worker.paused == (BACKGROUND,)
    held.moved()
    held.views(1)
    assert worker.paused == (REFINE, BACKGROUND)  # still moving
    timers.wait(REST)
    assert worker.paused == ()
    held.views(None)
    assert worker.paused == (BACKGROUND,)


def test_without_a_thread_a_move_holds_nothing_back(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=False)
    held.moved()
    assert worker.paused == ()
    assert timers.waiting == []


def test_a_closed_page_leaves_no_timer_at_work(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=True)
    held.views(1)
    held.moved()
    held.close()
    timers.wait(2 * REST)
    assert timers.waiting == []
    held.moved()
    assert timers.waiting == []
