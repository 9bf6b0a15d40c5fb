"""One worker: in the caller's thread, and on its own. Events instead of sleeping.

Long on purpose: the same promises are proven without a thread and with one.
"""

import gc
import threading
import weakref

import pytest

from prunevis.session.jobs import BACKGROUND, LONG, NOW, REFINE, SOON, Worker

WAIT = 20.0  # seconds until a hang is called one; nothing waits that long when all is well


class Log(list):
    """What happened, in order; `job` makes jobs that write here."""

    def job(self, name, steps=3, fail_at=None):
        def run():
            try:
                for k in range(steps):
                    if k == fail_at:
                        raise ValueError(f"{name} failed")
                    self.append(f"{name}{k}")
                    yield
            finally:
                self.append(f"{name} closed")

        return run

    def call(self, name):
        return lambda: self.append(name)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def errors():
    return []


@pytest.fixture
def worker(errors):
    return Worker(lambda name, error: errors.append((name, str(error))))


# -- in the caller's thread ------------------------------------------------------------------------


def test_nothing_to_do(worker):
    assert worker.run_until_idle() == 0


def test_a_job_runs_to_its_end(worker, log):
    worker.submit("a", log.job("a", 2))
    assert worker.running("a")
    assert log == []  # nothing runs before it is asked to
    assert worker.run_until_idle() == 3  # two yields and the end
    assert log == ["a0", "a1", "a closed"]
    assert not worker.running("a")


def test_step_by_step(worker, log):
    worker.submit("a", log.job("a", 2))
    assert worker.run_until_idle(limit=1) == 1
    assert log == ["a0"]
    assert worker.running("a")
    assert worker.run_until_idle(limit=1) == 1
    assert log == ["a0", "a1"]
    worker.run_until_idle()
    assert log == ["a0", "a1", "a closed"]


def test_requests_keep_their_order_and_come_first(worker, log):
    worker.submit("a", log.job("a", 1), NOW)
    for k in range(5):
        worker.request(log.call(f"request {k}"))
    worker.run_until_idle()
    assert log == [*(f"request {k}" for k in range(5)), "a0", "a closed"]


def test_a_request_comes_between_two_steps(worker, log):
    worker.submit("a", log.job("a", 2), NOW)
    worker.run_until_idle(limit=1)
    worker.request(log.call("request"))
    worker.run_until_idle()
    assert log == ["a0", "request", "a1", "a closed"]


def test_of_many_requests_of_a_name_in_a_row_the_newest_wins(worker, log):
    for k in range(5):
        worker.request(log.call(f"move {k}"), "move")
    assert worker.asked("move")
    assert not worker.asked("tick")
    worker.run_until_idle()
    assert log == ["move 4"]
    assert not worker.asked("move")


def test_what_was_asked_in_between_still_finds_what_was_asked_before(worker, log):
    for what in ("move 1", "move 2", "apply", "move 3", "move 4"):
        worker.request(log.call(what), what.split()[0] if "move" in what else None)
    worker.run_until_idle()
    assert log == ["move 2", "apply", "move 4"]


def test_urgent_jobs_first_then_first_come(worker, log):
    worker.submit("late", log.job("late", 1), BACKGROUND)
    worker.submit("long 1", log.job("x", 2), LONG)
    worker.submit("long 2", log.job("y", 1), LONG)
    worker.submit("soon", log.job("soon", 1), SOON)
    worker.submit("now", log.job("now", 1), NOW)
    worker.run_until_idle()
    assert [entry for entry in log if "closed" not in entry] == [
        "now0", "soon0", "x0", "x1", "y0", "late0",
    ]  # fmt: skip


def test_an_urgent_job_interrupts_a_long_one(worker, log):
    worker.submit("long", log.job("long", 2), LONG)
    worker.run_until_idle(limit=1)
    worker.submit("now", log.job("now", 1), NOW)
    worker.run_until_idle()
    assert log == ["long0", "now0", "now closed", "long1", "long closed"]


def test_a_newer_job_replaces_the_old_one_and_closes_it(worker, log):
    worker.submit("a", log.job("old"))
    worker.run_until_idle(limit=1)
    worker.submit("a", log.job("new", 1))
    worker.run_until_idle()
    assert log == ["old0", "old closed", "new0", "new closed"]


def test_a_job_that_was_never_started_is_dropped_without_a_trace(worker, log):
    worker.submit("a", log.job("old"))
    worker.submit("a", log.job("new", 1))
    worker.run_until_idle()
    assert log == ["new0", "new closed"]


def test_cancelling_closes_the_generator(worker, log):
    worker.submit("a", log.job("a"))
    worker.run_until_idle(limit=1)
    assert worker.cancel("a") is True
    assert not worker.running("a")
    assert worker.cancel("a") is False
    worker.run_until_idle()
    assert log == ["a0", "a closed"]


def test_a_job_may_cancel_or_replace_itself(worker, log):
    def cancels():
        log.append("begin")
        worker.cancel("a")
        yield
        log.append("never")

    worker.submit("a", cancels)
    worker.run_until_idle()
    assert log == ["begin"]

    def replaces():
        log.append("first")
        worker.submit("a", log.job("second", 1))
        yield
        log.append("never")

    worker.submit("a", replaces)
    worker.run_until_idle()
    assert log == ["begin", "first", "second0", "second closed"]


def test_a_job_that_cancels_itself_with_its_last_step(worker, log, errors):
    def last():
        worker.cancel("a")
        worker.submit("a", log.job("next", 1))
        return
        yield

    worker.submit("a", last)
    worker.run_until_idle()
    assert log == ["next0", "next closed"]
    assert errors == []
    assert worker._closing == []


@pytest.mark.parametrize("fail_at", [0, 1])
def test_an_error_is_told_and_the_rest_goes_on(worker, log, errors, fail_at):
    worker.submit("a", log.job("a", 3, fail_at))
    worker.submit("b", log.job("b", 1))
    worker.run_until_idle()
    assert errors == [("a", "a failed")]
    assert log[-2:] == ["b0", "b closed"]
    assert not worker.running("a")


def test_an_error_in_a_request_and_in_making_a_job(worker, log, errors):
    def request():
        raise KeyError("request")

    def start():
        raise RuntimeError("no start")

    worker.request(request, "move")
    worker.submit("a", start)
    worker.request(log.call("after"))
    worker.run_until_idle()
    assert errors == [("move", "'request'"), ("a", "no start")]
    assert log == ["after"]
    assert not worker.running("a")


def test_an_error_while_closing_is_told(worker, log, errors):
    def stubborn():
        try:
            yield
        finally:
            raise ValueError("would not close")

    worker.submit("a", stubborn)
    worker.run_until_idle(limit=1)
    worker.cancel("a")
    worker.submit("b", log.job("b", 1))
    worker.run_until_idle()
    assert errors == [("close", "would not close")]
    assert log == ["b0", "b closed"]


def test_paused_jobs_wait_and_go_on(worker, log):
    worker.pause(BACKGROUND)
    worker.submit("sweep", log.job("sweep", 2), BACKGROUND)
    worker.submit("now", log.job("now", 1), NOW)
    worker.run_until_idle()
    assert log == ["now0", "now closed"]
    assert worker.running("sweep")
    worker.pause()
    worker.run_until_idle(limit=1)
    worker.pause(BACKGROUND)
    worker.run_until_idle()
    assert log[2:] == ["sweep0"]
    worker.pause(LONG)
    worker.run_until_idle()
    assert log[2:] == ["sweep0", "sweep1", "sweep closed"]


def test_on_step_is_told_of_every_step_and_of_idleness(log):
    told = []
    worker = Worker(lambda *a: None, told.append)
    worker.submit("a", log.job("a", 1))
    worker.request(log.call("request"))
    worker.run_until_idle()
    assert told == [False, False, False, True]  # the request, one step, the end, idle


def test_work_that_idleness_starts_is_done_too(log):
    worker = Worker(lambda *a: None, lambda idle: begin(idle))
    begun = []

    def begin(idle):
        if idle and not begun:
            begun.append(True)
            worker.submit("figure", log.job("figure", 1))

    worker.request(log.call("request"))
    worker.run_until_idle()
    assert log == ["request", "figure0", "figure closed"]


def test_an_error_in_on_step_does_not_end_the_work(log, errors):
    def on_step(idle):
        if not idle:
            raise OSError("cannot be shown")

    worker = Worker(lambda name, error: errors.append((name, str(error))), on_step)
    worker.submit("a", log.job("a", 2))
    worker.run_until_idle()
    assert log == ["a0", "a1", "a closed"]
    assert {text for _, text in errors} == {"cannot be shown"}


def test_stop_closes_all_jobs_and_takes_no_more(worker, log):
    worker.submit("a", log.job("a"))
    worker.run_until_idle(limit=1)
    worker.submit("b", log.job("b"))
    worker.request(log.call("request"))
    worker.stop()
    assert log == ["a0", "a closed"]
    worker.submit("c", log.job("c"))
    worker.request(log.call("request"))
    assert worker.run_until_idle() == 0
    assert log == ["a0", "a closed"]
    worker.start()  # a stopped worker stays stopped
    assert worker._thread is None


# -- on its own thread -----------------------------------------------------------------------------


@pytest.fixture
def threaded(errors):
    """A worker on its thread, and an event that is set whenever it goes idle."""
    idle = threading.Event()
    worker = Worker(
        lambda name, error: errors.append((name, str(error))),
        lambda now_idle: idle.set() if now_idle else idle.clear(),
    )
    worker.idle = idle
    worker.start()
    yield worker
    worker.stop(WAIT)
    assert not worker._thread.is_alive()


def reached(event):
    assert event.wait(WAIT), "the worker never came here"


def asked(worker, call=lambda: None):
    """Have `call` run on the worker and wait for it."""
    done = threading.Event()
    worker.request(lambda: (call(), done.set()))
    reached(done)


def test_it_works_on_a_thread_of_its_own(threaded, log):
    threads = []
    done = threading.Event()

    def job():
        threads.append(threading.current_thread())
        yield
        threads.append(threading.current_thread())
        done.set()

    threaded.submit("a", job)
    reached(done)
    asked(threaded, lambda: threads.append(threading.current_thread()))
    assert set(threads) == {threaded._thread}
    assert threaded._thread is not threading.current_thread()
    assert threaded._thread.daemon


def test_requests_from_many_threads_each_keep_their_order(threaded):
    seen = []
    gate = threading.Barrier(4)

    def post(who):
        gate.wait(WAIT)
        for k in range(50):
            threaded.request(lambda who=who, k=k: seen.append((who, k)))

    posters = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    for thread in posters:
        thread.start()
    for thread in posters:
        thread.join(WAIT)
    asked(threaded)
    assert len(seen) == 200
    for who in range(4):
        assert [k for w, k in seen if w == who] == list(range(50))


def test_cancelling_a_job_while_it_runs(threaded, log):
    inside, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def job():
        try:
            inside.set()
            go_on.wait(WAIT)
            log.append("step finished")
            yield
            log.append("never")
        finally:
            log.append(f"closed on {threading.current_thread().name}")
            closed.set()

    threaded.submit("a", job)
    reached(inside)
    assert threaded.cancel("a") is True  # returns at once, the step goes on
    assert not threaded.running("a")
    assert log == []
    go_on.set()
    reached(closed)
    assert log == ["step finished", f"closed on {threaded._thread.name}"]


def test_a_slider_move_waits_for_one_step_only(threaded, log):
    inside, go_on = threading.Event(), threading.Event()

    def endless():
        while True:
            log.append("step")
            inside.set()
            go_on.wait(WAIT)
            yield

    threaded.submit("sweep", endless, BACKGROUND)
    reached(inside)
    done = threading.Event()
    threaded.request(lambda: (log.append("move"), done.set()))
    go_on.set()
    reached(done)
    assert log.index("move") == 1
    threaded.cancel("sweep")


def test_it_sleeps_until_it_is_paused_no_more(threaded, log):
    threaded.pause(BACKGROUND)
    done = threading.Event()

    def job():
        log.append("ran")
        done.set()
        yield

    threaded.submit("sweep", job, BACKGROUND)
    asked(threaded)
    assert log == []
    assert threaded.running("sweep")
    threaded.pause()
    reached(done)


def test_an_error_does_not_end_the_thread(threaded, errors):
    def fail():
        raise ValueError("no")

    threaded.request(fail, "bad")
    asked(threaded)
    assert errors == [("bad", "no")]
    assert threaded._thread.is_alive()


def test_an_error_in_on_step_does_not_end_the_thread(errors):
    def on_step(idle):
        raise OSError("cannot be shown")

    worker = Worker(lambda name, error: errors.append(str(error)), on_step)
    worker.start()
    asked(worker)
    asked(worker)
    assert worker._thread.is_alive()
    assert "cannot be shown" in errors
    worker.stop(WAIT)


def test_stop_while_a_job_runs(threaded, log):
    inside, go_on = threading.Event(), threading.Event()

    def job():
        try:
            inside.set()
            go_on.wait(WAIT)
            yield
        finally:
            log.append("closed")

    threaded.submit("a", job)
    reached(inside)
    stopper = threading.Thread(target=threaded.stop, args=(WAIT,))
    stopper.start()
    go_on.set()
    stopper.join(WAIT)
    assert not stopper.is_alive()
    assert not threaded._thread.is_alive()
    assert log == ["closed"]


def test_stop_from_the_worker_itself(errors):
    worker = Worker(lambda name, error: errors.append(str(error)))
    worker.start()
    worker.request(worker.stop)
    worker._thread.join(WAIT)
    assert not worker._thread.is_alive()
    assert errors == []


def test_starting_twice_is_one_thread(threaded):
    before = threaded._thread
    threaded.start()
    assert threaded._thread is before


def test_a_stopped_worker_keeps_nothing_alive(log):
    class Big:
        pass

    big = Big()
    alive = weakref.ref(big)
    worker = Worker(lambda *a: None)
    worker.submit("a", lambda big=big: iter([big]))
    del big
    worker.stop()
    gc.collect()
    assert alive() is None


def test_a_job_that_has_given_its_first_answer_lets_others_go_first():
    done = []

    def job(name, *priorities):
        for priority in priorities:
            done.append(name)
            yield priority

    worker = Worker(lambda name, error: None)
    worker.submit("slider", lambda: job("slider", REFINE, None), NOW)
    worker.submit("tab", lambda: job("tab", None, None), SOON)
    worker.pause(REFINE)
    worker.run_until_idle()
    assert done == ["slider", "tab", "tab"]
    assert worker.running("slider")
    worker.pause()
    worker.run_until_idle()
    assert done == ["slider", "tab", "tab", "slider"]
    assert not worker.running("slider")
