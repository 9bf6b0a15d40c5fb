"""Which work is held back: what nobody looks at, and what would hold up a hand on the slider."""

from __future__ import annotations

import threading
import time

from prunevis.session.jobs import BACKGROUND, Worker

#: Seconds after the last move in which the curve is not filled in. The browser often shares the
#: machine with Python: with every core busy a frame comes twice as late.
REST = 0.25


class Pauses:
    """Holds the background sweep back while nobody looks and while the slider moves.

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
        free = self._looked_at and self._timer is None
        self._worker.pause(*([] if free else [BACKGROUND]))
