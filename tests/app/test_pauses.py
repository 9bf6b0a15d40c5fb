"""What is held back: nothing here waits for time to pass."""

from __future__ import annotations

import threading

import pytest

from prunevis.app import pauses
from prunevis.app.pauses import LONG_REST, REST, Pauses
from prunevis.session.jobs import BACKGROUND, REFINE, SPARE


class Timers:
    """Stands for the modules threading and time: time passes when a test says so."""

    Lock = staticmethod(threading.Lock)

    def __init__(self):
        self.now, self.waiting = 0.0, []

    def monotonic(self):
        return self.now

    def Timer(self, seconds, call):
        return Timer(self, (self.now + seconds, call))

    def wait(self, seconds):
        self.now += seconds
        due = [call for when, call in self.waiting if when <= self.now + 1e-9]
        self.waiting = [(when, call) for when, call in self.waiting if when > self.now + 1e-9]
        for call in due:
            call()


class Timer:
    def __init__(self, timers, entry):
        self.timers, self.entry = timers, entry

    def start(self):
        self.timers.waiting.append(self.entry)

    def cancel(self):
        if self.entry in self.timers.waiting:
            self.timers.waiting.remove(self.entry)


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
    timers.wait(LONG_REST)
    assert worker.paused == ()
    for _ in range(20):
        held.moved()
        assert worker.paused == (REFINE, BACKGROUND, SPARE)
        timers.wait(0.05)
    assert len(timers.waiting) == 1  # one timer, however many moves
    timers.wait(REST - 0.06)
    assert worker.paused == (REFINE, BACKGROUND, SPARE)
    timers.wait(0.02)
    assert worker.paused == (SPARE,)
    timers.wait(LONG_REST - REST)
    assert worker.paused == ()
    assert timers.waiting == []
    held.moved()
    assert worker.paused == (REFINE, BACKGROUND, SPARE)


def test_nobody_looks_nothing_is_swept_whatever_moves(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=True)
    assert worker.paused == (BACKGROUND,)
    held.moved()
    timers.wait(2 * REST)
    assert worker.paused == (BACKGROUND,)
    held.moved()
    held.views(1)
    assert worker.paused == (REFINE, BACKGROUND, SPARE)  # still moving
    timers.wait(REST)
    assert worker.paused == (SPARE,)
    held.views(None)
    assert worker.paused == (BACKGROUND,)


def test_who_has_just_come_is_not_held_up_by_a_library_loaded(timers):
    worker = FakeWorker()
    held = Pauses(worker, threaded=True)
    assert SPARE not in worker.paused  # a warm kernel waits for its visitor
    held.views(1)
    assert worker.paused == (SPARE,)
    timers.wait(LONG_REST / 2)
    held.views(2)  # a second view of the same page
    timers.wait(LONG_REST / 2)
    assert worker.paused == ()


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
