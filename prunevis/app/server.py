"""Voila, set up for the page: private folders, a kernel kept warm, culling, no foreign request.

Three things that Voila 0.5 leaves open are mended here, each by overriding one method and only
where that method is there (`mend` says in the log what could not be):

* the kernel's websocket waits up to 40 ms a message for company (Nagle), so TCP_NODELAY is set;
* the beacon that a closing tab sends carries no XSRF token, is refused, and the kernel stays
  (voila#1458); that one handler is exempted, origins are still checked;
* Jupyter ends kernels that are *idle*, but one that fills in a curve for a closed tab is busy, and
a
  warm one that waits for a visitor is idle. Here a kernel ends when it had no tab for the culling
  time, whatever it does, and never while it waits in the pool.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "voila"
NOTEBOOK = HERE / "app.ipynb"
TEMPLATE = "prunevis"

log = logging.getLogger("prunevis")


def private_folders(where: Path) -> dict[str, str]:
    """Return environment variables that keep Jupyter out of the person's own settings.

    A stray user-wide kernel called "python3", a startup script or a configuration file would
    otherwise decide what the page runs on.
    """
    paths = os.environ.get("JUPYTER_PATH", "")
    return {
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(HERE / "share"), paths])),
        "JUPYTER_CONFIG_DIR": str(where / "config"),
        "JUPYTER_DATA_DIR": str(where / "data"),
        "JUPYTER_RUNTIME_DIR": str(where / "runtime"),
        "IPYTHONDIR": str(where / "ipython"),
        # the page evaluates in the background: two kernels must not fight for the same cores
        "OMP_WAIT_POLICY": "passive",
    }


def quiet_kernels(where: Path) -> None:
    """Keep kernels from warning a visitor's host of what is so on purpose (local TCP)."""
    profile = where / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "c = get_config()\nc.IPKernelApp.log_level = 40\n", "utf-8"
    )


def configuration(*, host: str, port: int, warm: int, cull: int) -> Any:
    """Return the configuration of Voila as a traitlets `Config`.

    Parameters
    ----------
    host, port
        Where to listen; other free ports near `port` are tried if it is taken.
    warm
        Kernels that wait for visitors.
    cull
        Seconds after which a kernel without a tab is ended.
    """
    from traitlets.config import Config

    c = Config()
    c.Voila.ip = host
    c.Voila.port = port
    c.Voila.port_retries = 20
    c.Voila.open_browser = False
    c.Voila.log_level = "ERROR"
    c.Voila.tornado_settings = {
        "headers": {
            "Content-Security-Policy": "frame-ancestors 'self'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
        "websocket_max_message_size": 10 * 1024 * 1024,
    }
    c.VoilaConfiguration.template = TEMPLATE
    c.VoilaConfiguration.strip_sources = True
    c.VoilaConfiguration.show_tracebacks = False
    c.VoilaConfiguration.allow_template_override = "NO"
    c.VoilaConfiguration.allow_theme_override = "NO"
    c.VoilaConfiguration.preheat_kernel = warm > 0
    c.VoilaConfiguration.default_pool_size = warm
    c.VoilaExecutor.timeout = 120
    c.MappingKernelManager.cull_interval = max(1, min(15, cull // 4))
    c.MappingKernelManager.cull_idle_timeout = cull
    # a page that somebody looks at is never ended under their hands
    c.MappingKernelManager.cull_connected = False
    return c


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
    make = voila.app.voila_kernel_manager_factory

    def factory(*args: Any, **kwargs: Any) -> Any:
        class TabKernelManager(make(*args, **kwargs)):
            """Ends kernels that had no tab for the culling time, whether they compute or not."""

            def _waits(self, kernel_id: str) -> bool:
                """Whether a kernel is in the pool, warm for the next visitor."""
                ready = []
                for pool in getattr(self, "_pools", {}).values():
                    # one that failed to start would make every later shutdown fail with it
                    pool[:] = [
                        t for t in pool if not t.done() or not (t.cancelled() or t.exception())
                    ]
                    ready += [t.result().get("kernel_id") for t in pool if t.done()]
                return kernel_id in ready

            async def cull_kernel_if_idle(self, kernel_id: str) -> None:
                alone = self.__dict__.setdefault("_alone_since", {})
                if self._waits(kernel_id) or self._kernel_connections.get(kernel_id, 0):
                    alone.pop(kernel_id, None)
                    return
                since = alone.setdefault(kernel_id, time.monotonic())
                if time.monotonic() - since >= self.cull_idle_timeout:
                    alone.pop(kernel_id, None)
                    await self.shutdown_kernel(kernel_id)

        return TabKernelManager

    voila.app.voila_kernel_manager_factory = factory


def serve(
    *, host: str, port: int, warm: int, cull: int, announce: Any = None, strict_port: bool = False
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; all kernels end with it.

    Parameters
    ----------
    host, port, warm, cull
        As for `configuration`.
    announce
        Called with the address once the server listens.
    strict_port
        Fail if `port` is taken, instead of taking another.
    """
    with tempfile.TemporaryDirectory(prefix="prunevis-") as folder:
        os.environ.update(private_folders(Path(folder)))
        quiet_kernels(Path(folder))
        from voila.app import Voila

        for gap in mend():
            log.warning("This version of Voila could not be adjusted: %s", gap)
        config = configuration(host=host, port=port, warm=warm, cull=cull)
        if strict_port:
            config.Voila.port_retries = 0

        class Page(Voila):
            def launch_browser(self) -> None:
                # called when the server listens, just before its loop starts
                if announce is not None:
                    shown = "127.0.0.1" if self.ip in ("0.0.0.0", "::", "") else self.ip
                    announce(f"http://{shown}:{self.port}{self.base_url}")

        app = Page(config=config)
        app.initialize([str(NOTEBOOK)])
        app.open_browser = True
        app.start()
        sys.stdout.flush()
