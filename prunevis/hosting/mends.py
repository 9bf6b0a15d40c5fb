"""What Voila 0.5 leaves open, closed: each by overriding one method, only where that is there.

* The kernel's websocket waits up to 40 ms a message for company (Nagle): TCP_NODELAY is set.
* The beacon that a closing tab sends carries no XSRF token, is refused, and the kernel stays
  (voila#1458): that one handler is exempted, origins are still checked.
* Kernels end with their tabs: see `prunevis.hosting.pool`.

`mend` says what could not be closed in the version that is installed, for the log.
"""

from __future__ import annotations

from typing import Any

from prunevis.hosting.pool import manager_factory


def mend() -> list[str]:
    """Close the gaps named above; return what could not be closed, in words."""
    missing: list[str] = []
    for what, how in (
        ("TCP_NODELAY on the kernel's websocket", _no_delay),
        ("kernels end with their tab", _closing_beacon),
        ("kernels end when their tab is gone for long", _end_with_tabs),
    ):
        try:
            how()
        except (ImportError, AttributeError) as error:
            missing.append(f"{what}: {error}")
    return missing


def _no_delay() -> None:
    from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler as Handler

    opened = Handler.open

    async def open_at_once(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.set_nodelay(True)
        return await opened(self, *args, **kwargs)

    Handler.open = open_at_once


def _closing_beacon() -> None:
    from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler as Handler

    Handler.post  # noqa: B018 - it must be there, or the handler has changed
    # a beacon is a plain POST from our own page; a foreign origin is refused all the same
    Handler.check_xsrf_cookie = lambda self: None


def _end_with_tabs() -> None:
    import voila.app
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    MappingKernelManager.cull_kernel_if_idle  # noqa: B018 - it must be there to be overridden
    voila.app.voila_kernel_manager_factory = manager_factory(voila.app.voila_kernel_manager_factory)
