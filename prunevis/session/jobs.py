"""One worker thread that owns the session, the model and all drawing.

Callbacks of widgets arrive on whatever thread the kernel likes (the main one, or a subshell's), so
they only post: a *request* is a short function, a *job* is a generator that does at most about 50
ms of work between two yields. The worker runs requests first, then one step of the most urgent job,
and looks again. So a slider move waits for one step at most, and long work never has to be broken
off in the middle: closing its generator is enough.

Newest wins: a job posted under the name of another replaces it, and so does a request if nothing
else was asked in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from prunevis.session.turns import Turns

Steps = Generator[Any, None, Any]

#: Priorities, the smaller the sooner: what a hand waits for, what makes it better, what a tab waits
#: for, what takes its time, what nobody has asked for, and what holds others up (a library loaded)
#: and so waits for a pause.
NOW, REFINE, SOON, LONG, BACKGROUND, SPARE = 0, 1, 2, 3, 4, 5
#: Those that wait for a place where many pages share the machine.
IN_TURN = frozenset({REFINE, LONG, BACKGROUND, SPARE})


@dataclass
class _Job:
    name: str
    priority: int
    order: int
    start: Callable[[], Steps]
    steps: Steps | None = field(default=None)
    held: bool = False


class Worker:
    """Runs requests and jobs one after the other, on its own thread or in the caller's.

    Parameters
    ----------
    on_error
        Called on the worker with the name of the job or request and the exception it raised.
    on_step
        Called after every request, step and on going idle, with whether nothing is left to do.
    """

    def __init__(
        self,
        on_error: Callable[[str, BaseException], None],
        on_step: Callable[[bool], None] = lambda idle: None,
    ) -> None:
        self._on_error, self._on_step = on_error, on_step
        self._lock = threading.Condition()
        self._requests: deque[tuple[str, Callable[[], None]]] = deque()
        self._jobs: dict[str, _Job] = {}
        self._closing: list[Steps] = []
        self._count = 0
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._paused: frozenset[int] = frozenset()
        self._turns = Turns.from_environment()

    def request(self, call: Callable[[], None], name: str | None = None) -> None:
        """Have `call` run on the worker soon, in the order of asking.

        It replaces a request of the same `name` that nothing else was asked after: of many moves
        in a row only the last is run, but one before a click on "apply" still comes before it.
        """
        with self._lock:
            if self._stopped:
                return
            if name is not None and self._requests and self._requests[-1][0] == name:
                self._requests.pop()
            self._requests.append((name or "request", call))
            self._lock.notify_all()

    def asked(self, name: str) -> bool:
        """Whether a request called `name` is waiting."""
        with self._lock:
            return any(waiting == name for waiting, _ in self._requests)

    def submit(self, name: str, start: Callable[[], Steps], priority: int = LONG) -> None:
        """Start a job, in place of any job of the same name.

        It changes its priority by yielding another.
        """
        with self._lock:
            if self._stopped:
                return
            self._count += 1
            self._drop(name)
            self._jobs[name] = _Job(name, priority, self._count, start)
            self._lock.notify_all()

    def cancel(self, name: str) -> bool:
        """Close the job called `name` before its next step; return whether there was one."""
        with self._lock:
            found = name in self._jobs
            self._drop(name)
            self._lock.notify_all()
        return found

    def running(self, name: str) -> bool:
        """Whether a job called `name` is waiting or under way."""
        with self._lock:
            return name in self._jobs

    def hold(self, name: str, on: bool) -> bool:
        """Let the job called `name` rest, or go on; return whether there is one."""
        with self._lock:
            job = self._jobs.get(name)
            if job is not None:
                job.held = on
            self._lock.notify_all()
        return job is not None

    def pause(self, *priorities: int) -> None:
        """Hold jobs of these priorities back, and none else, until told otherwise."""
        with self._lock:
            self._paused = frozenset(priorities)
            self._lock.notify_all()

    def start(self) -> None:
        """Start the thread; without it, `run_until_idle` does the work."""
        if self._thread is None and not self._stopped:
            self._thread = threading.Thread(target=self._loop, name="prunevis", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Close all jobs and end the thread."""
        with self._lock:
            self._stopped = True
            self._requests.clear()
            for name in list(self._jobs):
                self._drop(name)
            self._lock.notify_all()
        if self._thread is None:
            self._close_dropped()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def run_until_idle(self, limit: int = 1_000_000) -> int:
        """Do everything that waits, in this thread; return the number of steps."""
        steps = 0
        while steps < limit:
            if self._once():
                steps += 1
                continue
            # being told of idleness may start new work (a figure to draw)
            self._tell(True)
            if self._stopped or not self._waiting():
                break
        return steps

    def _drop(self, name: str) -> None:
        job = self._jobs.pop(name, None)
        if job is not None and job.steps is not None:
            # closed on the worker: a generator must not be closed while it runs
            self._closing.append(job.steps)

    def _close_dropped(self) -> None:
        while True:
            with self._lock:
                if not self._closing:
                    return
                steps = self._closing.pop()
            try:
                steps.close()
            except Exception as error:
                self._on_error("close", error)

    def _next(self) -> tuple[str, Callable[[], None] | _Job] | None:
        if self._requests:
            return self._requests.popleft()
        ready = self._ready()
        if not ready:
            return None
        job = min(ready, key=lambda j: (j.priority, j.order))
        if job.priority in IN_TURN and self._thread is not None and not self._turns.take():
            ready = [other for other in ready if other.priority not in IN_TURN]
            if not ready:
                self._lock.wait(self._turns.again())
                return "turn", lambda: None
            job = min(ready, key=lambda j: (j.priority, j.order))
        return job.name, job

    def _once(self) -> bool:
        self._close_dropped()
        with self._lock:
            found = self._next()
        if found is None:
            return False
        name, work = found
        try:
            if isinstance(work, _Job):
                self._step(work)
            else:
                work()
        except Exception as error:
            self._on_error(name, error)
        finally:
            self._turns.give_back()
        self._tell(False)
        return True

    def _tell(self, idle: bool) -> None:
        # twice, so that what an error here changes (the problem shown) is told as well
        for _ in range(2):
            try:
                return self._on_step(idle)
            except Exception as error:
                self._on_error("show", error)

    def _step(self, job: _Job) -> None:
        try:
            if job.steps is None:
                job.steps = job.start()
            priority = next(job.steps)
            if isinstance(priority, int):
                job.priority = priority
        except BaseException as error:
            with self._lock:
                if self._jobs.get(job.name) is job:
                    del self._jobs[job.name]
                elif job.steps in self._closing:
                    self._closing.remove(job.steps)
            if not isinstance(error, StopIteration):
                raise

    def _loop(self) -> None:
        while True:
            if self._once():
                # a hand-over point, so that a busy worker does not keep the GIL from the kernel
                time.sleep(0)
                continue
            self._tell(True)
            with self._lock:
                if self._stopped and not self._closing:
                    return
                if not self._closing and not self._waiting():
                    self._lock.wait()

    def _waiting(self) -> bool:
        return bool(self._requests or self._ready()) or self._stopped

    def _ready(self) -> list[_Job]:
        return [
            job for job in self._jobs.values() if not job.held and job.priority not in self._paused
        ]
