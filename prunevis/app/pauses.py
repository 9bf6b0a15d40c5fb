"""Which work is held back: what nobody looks at, and what would hold up a hand on the slider."""

from __future__ import annotations

import threading
import time

from prunevis.session.jobs import BACKGROUND, REFINE, Worker

#: Seconds after the last move in which first estimates are made no better and the curve is not
#: filled in: the next move would wait for the step under way, and the browser often shares the
#: machine with Python. With every core busy a frame comes twice as late.
REST = 0.25


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
        self._moved_at = 0.0
        self._timer: threading.Timer | None = None
        self._tell()

    def views(self, count: int | None) -> None:
        """Take note of how many views there are; any thread."""
        with self._lock:
            self._looked_at = bool(count)
            self._tell()

    def moved(self) -> None:
        """Take note that a person moves the slider; any thread."""
        if not self._threaded:
            return
        with self._lock:
            self._moved_at = time.monotonic()
            if self._timer is None:
                self._wait(REST)
                self._tell()

    def close(self) -> None:
        """Let no timer outlive the page."""
        with self._lock:
            self._threaded = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _wait(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._over)
        self._timer.daemon = True
        self._timer.start()

    def _over(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            left = self._moved_at + REST - time.monotonic()
            self._timer = None
            if left > 0:
                self._wait(left)
            else:
                self._tell()

    def _tell(self) -> None:
        moving = [REFINE, BACKGROUND] if self._timer is not None else []
        unseen = [] if self._looked_at else [BACKGROUND]
        self._worker.pause(*moving, *unseen)
