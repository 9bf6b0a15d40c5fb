"""Voila's configuration, and folders that keep the account of the host out of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from prunevis.hosting.settings import Settings

HERE = Path(__file__).parent / "voila"
NOTEBOOK = HERE / "app.ipynb"
TEMPLATE = "prunevis"
#: JupyterLab's extensions that the page needs; what is installed beside them does not disturb it.
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
)


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
        "TORCHINDUCTOR_CACHE_DIR": str(where / "torch"),
        # the page evaluates in the background: two kernels must not fight for the same cores
        "OMP_WAIT_POLICY": "passive",
    }


#: Of every kernel: no warnings of what is so on purpose (local TCP), nothing kept of what it ran,
#: and widgets answer also where they were loaded before there was a kernel.
KERNEL = """\
c = get_config()
c.IPKernelApp.log_level = 40
c.HistoryManager.enabled = False
c.IPKernelApp.extensions = ["ipywidgets"]
"""


def kernel_profile(where: Path) -> None:
    """Write the configuration of the kernels."""
    profile = where / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL, "utf-8")


def headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every answer carries."""
    framed_by = " ".join(["'self'", *settings.embed])
    return {
        "Content-Security-Policy": f"frame-ancestors {framed_by}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def configuration(settings: Settings) -> Any:
    """Return the configuration of Voila as a traitlets `Config`."""
    from traitlets.config import Config

    c = Config()
    c.Voila.ip = settings.host
    c.Voila.port = settings.port
    c.Voila.base_url = settings.base_url
    # other free ports nearby are tried
    c.Voila.port_retries = 0 if settings.strict_port else 20
    c.Voila.open_browser = False
    c.Voila.log_level = "ERROR"
    c.Voila.tornado_settings = {
        "headers": headers(settings),
        "websocket_max_message_size": 10 * 1024 * 1024,
        # milliseconds; a browser that is gone without a word is noticed by it
        "ws_ping_interval": 30_000,
        # the answer is looked for when the next one is sent: with no more than that in between,
        # a timer that is late by a millisecond ends the line of a browser that has answered
        # (tornado reads both as seconds and says that one is too long: it never pings itself)
        "ws_ping_timeout": 90_000,
    }
    if settings.origins:
        c.Voila.tornado_settings["allow_origin_pat"] = "|".join(
            f"{re.escape(origin)}$" for origin in settings.origins
        )
    c.VoilaConfiguration.template = TEMPLATE
    c.VoilaConfiguration.strip_sources = True
    c.VoilaConfiguration.show_tracebacks = False
    c.VoilaConfiguration.allow_template_override = "NO"
    c.VoilaConfiguration.allow_theme_override = "NO"
    c.VoilaConfiguration.extension_allowlist = list(EXTENSIONS)
    c.Voila.kernel_websocket_connection_class = "prunevis.hosting.connection.GuardedConnection"
    c.VoilaConfiguration.preheat_kernel = settings.warm > 0
    c.VoilaConfiguration.default_pool_size = settings.warm
    c.VoilaExecutor.timeout = 120
    c.MappingKernelManager.cull_interval = max(1, min(5, settings.cull // 4))
    c.MappingKernelManager.cull_idle_timeout = settings.cull
    # a page that somebody looks at is not ended under their hands; see `pool`
    c.MappingKernelManager.cull_connected = False
    return c
