"""Who has a kernel, and for how long: kernels end with their tabs.

Jupyter ends kernels that are *idle*, but one that fills in a curve for a closed tab is busy, and a
warm one that waits for a visitor is idle: Voila's pool may even lose one between its hand-over and
the moment the browser connects. Here a kernel ends when it had no tab for the culling time,
whatever it does, and never while it waits in the pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def manager_factory(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return Voila's factory of kernel managers, `make`, with kernels that end with their tabs."""

    def factory(*args: Any, **kwargs: Any) -> Any:
        class TabKernelManager(make(*args, **kwargs)):
            """Ends kernels that had no tab for the culling time, whether they compute or not."""

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

            async def cull_kernel_if_idle(self, kernel_id: str) -> None:
                alone = self.__dict__.setdefault("_alone_since", {})
                if kernel_id in self.waiting() or self._kernel_connections.get(kernel_id, 0):
                    alone.pop(kernel_id, None)
                    return
                since = alone.setdefault(kernel_id, time.monotonic())
                if time.monotonic() - since >= self.cull_idle_timeout:
                    alone.pop(kernel_id, None)
                    await self.shutdown_kernel(kernel_id)

        return TabKernelManager

    return factory
