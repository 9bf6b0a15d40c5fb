"""Which work is held back: what nobody looks at, and what would hold up a hand on the slider."""

from __future__ import annotations

import threading
import time

from prunevis.session.jobs import BACKGROUND, REFINE, SPARE, Worker

#: Seconds after the last move in which first estimates are made no better and the curve is not
#: filled in: the next move would wait for the step under way, and the browser often shares the
#: machine with Python. With every core busy a frame comes twice as late.
REST = 0.25
#: Seconds after the last move, or the first look at the page, in which nothing is begun that takes
#: a second and cannot be broken off.
LONG_REST = 4.0


class Pauses:
    """Holds the sweep back while nobody looks, and whatever can wait while the slider moves.

    Parameters
    ----------
    worker
        Whose work it is.
    threaded
        Whether time passes by itself. Otherwise all is looked at, and moves hold nothing back.
    """

    def __init__(self, worker: Worker, *, threaded: bool) -> None:
        self._worker, self._threaded = worker, threaded
        self._lock = threading.Lock()
        self._looked_at = not threaded
        self._moved_at = self._came_at = -LONG_REST
        self._timer: threading.Timer | None = None
        self._tell()

    def views(self, count: int | None) -> None:
        """Take note of how many views there are; any thread."""
        with self._lock:
            came, self._looked_at = bool(count) and not self._looked_at, bool(count)
            if came and self._threaded:
                self._came_at = time.monotonic()
                self._wait()
            self._tell()

    def moved(self) -> None:
        """Take note that a person moves the slider; any thread."""
        if not self._threaded:
            return
        with self._lock:
            before, self._moved_at = self._moved_at, time.monotonic()
            if self._moved_at - before >= REST:
                self._wait()
                self._tell()

    @property
    def moving(self) -> bool:
        """Whether a hand is, or was a moment ago, on the slider."""
        return self._threaded and self._left()[0] > 0

    def close(self) -> None:
        """Let no timer outlive the page."""
        with self._lock:
            self._threaded = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _left(self) -> tuple[float, float]:
        """Return the seconds for which both kinds of work are held back yet."""
        now = time.monotonic()
        last = max(self._moved_at, self._came_at)
        return self._moved_at + REST - now, last + LONG_REST - now

    def _wait(self) -> None:
        """Look again when the next of them may go on."""
        if self._timer is not None:
            self._timer.cancel()
        due = [left for left in self._left() if left > 0]
        self._timer = threading.Timer(min(due), self._over) if due else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _over(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._wait()
                self._tell()

    def _tell(self) -> None:
        moving, busy = (left > 0 for left in self._left())
        held = [REFINE, BACKGROUND] if moving else []
        held += [SPARE] if busy and self._looked_at else []
        self._worker.pause(*held, *([] if self._looked_at else [BACKGROUND]))
