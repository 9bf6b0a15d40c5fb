"""Pages of one machine take turns with what can wait, and never with what a hand waits for."""

import threading

import pytest

from prunevis.session.jobs import NOW, REFINE, SOON, Worker
from prunevis.session.turns import VARIABLE, Turns

pytest.importorskip("fcntl")


def test_there_are_as_many_places_as_said(tmp_path):
    first, second, third = (Turns(tmp_path, 2) for _ in range(3))
    assert first.take()
    assert second.take()
    assert not third.take()
    first.give_back()
    assert third.take()


def test_without_a_folder_nobody_waits(tmp_path):
    assert all(Turns(None, 1).take() for _ in range(3))
    assert Turns(tmp_path / "gone", 1).take()


def test_only_what_can_wait_waits(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    other = Turns(tmp_path, 1)
    assert other.take()
    done, urgent, late = [], threading.Event(), threading.Event()

    def job(name, event, count):
        def steps():
            for _ in range(count):
                done.append(name)
                yield
            event.set()

        return steps

    worker = Worker(on_error=lambda name, error: done.append(error))
    worker.submit("refine", job("refine", late, 2), REFINE)
    worker.submit("soon", job("soon", urgent, 2), SOON)
    worker.submit("now", job("now", threading.Event(), 2), NOW)
    worker.start()
    try:
        assert urgent.wait(10)
        assert not late.wait(0.2)
        assert done == ["now", "now", "soon", "soon"]
        other.give_back()
        assert late.wait(10)
        assert done[4:] == ["refine", "refine"]
    finally:
        worker.stop()
    assert other.take()
