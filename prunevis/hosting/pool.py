"""Who has a kernel, and for how long: kernels end with their tabs, and there is a cap.

Jupyter ends kernels that are *idle*, but one that fills in a curve for a closed tab is busy, and a
warm one that waits for a visitor is idle: Voila's pool may even lose one between its hand-over and
the moment the browser connects. Here a kernel ends when it had no tab for the culling time,
whatever it does, or when nobody used its tab for the idle time, and never while it waits in the
pool. One that has died is taken out, so that its place is free.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from prunevis.hosting.settings import Settings

log = logging.getLogger("prunevis")


@dataclass(eq=False)
class Visit:
    """A visitor: since when no tab is there (None: one is), and when it was last heard of."""

    alone: float | None = None
    heard: float = field(default_factory=lambda: time.monotonic())
    kernel_id: str | None = None
    #: What it may still say; see `prunevis.hosting.connection`.
    budget: Any = None


#: The visit whose request is being answered.
ARRIVING: ContextVar[Visit | None] = ContextVar("ARRIVING", default=None)


def manager_factory(make: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """Return Voila's factory of kernel managers, `make`, with kernels that end with their tabs."""

    def factory(*args: Any, **kwargs: Any) -> Any:
        class TabKernelManager(make(*args, **kwargs)):
            """Knows its visitors, and ends the kernels of those that left."""

            def __init__(self, **kwargs: Any) -> None:
                self.arriving: set[Visit] = set()
                self.visits: dict[str, Visit] = {}
                super().__init__(**kwargs)

            # -- visitors --------------------------------------------------------------------------

            @property
            def visitors(self) -> int:
                """How many have a kernel, or will in a moment."""
                return len(self.visits) + sum(visit.kernel_id is None for visit in self.arriving)

            @property
            def room(self) -> bool:
                """Whether there is room for one more."""
                return not settings.visitors or self.visitors < settings.visitors

            def heard(self, kernel_id: str) -> None:
                """Take note that a visitor's browser said something."""
                if kernel_id in self.visits:
                    self.visits[kernel_id].heard = time.monotonic()

            def _handed_over(self, kernel_id: str) -> None:
                visit = ARRIVING.get() or Visit()
                visit.kernel_id, visit.heard = kernel_id, time.monotonic()
                self.visits[kernel_id] = visit
                log.info("a visitor came: %d here", self.visitors)

            async def start_kernel(self, *args: Any, **kwargs: Any) -> str:
                # the pool's own kernels do not come this way
                kernel_id = await super().start_kernel(*args, **kwargs)
                self._handed_over(kernel_id)
                return kernel_id

            async def get_rendered_notebook(self, *args: Any, **kwargs: Any) -> Any:
                while True:
                    found = await super().get_rendered_notebook(*args, **kwargs)
                    kernel_id = found[2]
                    if await self._alive(kernel_id):
                        self._handed_over(kernel_id)
                        return found
                    # it died while it waited; the pool is being filled up again by now
                    await self.shutdown_kernel(kernel_id, now=True)

            async def shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> None:
                self.waiting()
                if self.visits.pop(kernel_id, None) is not None:
                    log.info("a visitor left: %d here", self.visitors)
                await super().shutdown_kernel(kernel_id, *args, **kwargs)

            # -- the end of kernels ----------------------------------------------------------------

            def waiting(self) -> set[str]:
                """Return the kernels in the pool, warm for the next visitors."""
                ready = set()
                for pool in getattr(self, "_pools", {}).values():
                    # one that failed to start would make every later shutdown fail with it
                    pool[:] = [
                        t for t in pool if not t.done() or not (t.cancelled() or t.exception())
                    ]
                    ready |= {t.result().get("kernel_id") for t in pool if t.done()}
                return ready

            async def _alive(self, kernel_id: str) -> bool:
                return bool(await self.get_kernel(kernel_id).is_alive())

            async def cull_kernel_if_idle(self, kernel_id: str) -> None:
                if kernel_id in self.waiting():
                    if not await self._alive(kernel_id):
                        log.info("a kernel is ended: it died while it waited")
                        await self.shutdown_kernel(kernel_id, now=True)
                        for name in self._pools:
                            self.fill_if_needed(notebook_name=name)
                    return
                now = time.monotonic()
                # one that is being started for the pool is nobody's yet
                visit = self.visits.get(kernel_id)
                if visit is None:
                    return
                connected = self._kernel_connections.get(kernel_id, 0)
                if not connected and visit.alone is None:
                    visit.alone = now
                elif connected:
                    visit.alone = None
                why = ""
                if visit.alone is not None and now - visit.alone >= self.cull_idle_timeout:
                    why = "its tab is gone"
                elif connected and settings.idle and now - visit.heard >= settings.idle:
                    why = "nobody used its tab"
                elif not await self._alive(kernel_id):
                    why = "it died"
                if why:
                    log.info("a kernel is ended: %s", why)
                    await self.shutdown_kernel(kernel_id, now=True)

        return TabKernelManager

    return factory
