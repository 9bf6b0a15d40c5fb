"""Starts the server, and ends it with all its kernels."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from prunevis.hosting.configuration import (
    NOTEBOOK,
    configuration,
    private_folders,
    quiet_kernels,
)
from prunevis.hosting.mends import mend
from prunevis.hosting.settings import Settings

log = logging.getLogger("prunevis")


def serve(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM; all kernels end with it.

    Parameters
    ----------
    settings
        How.
    announce
        Called with the address once the server listens.
    """
    with tempfile.TemporaryDirectory(prefix="prunevis-") as folder:
        os.environ.update(private_folders(Path(folder)))
        os.environ.update(settings.kernels)
        quiet_kernels(Path(folder))
        from voila.app import Voila

        for gap in mend():
            log.warning("This version of Voila could not be adjusted: %s", gap)

        class Server(Voila):
            def launch_browser(self) -> None:
                # called when the server listens, just before its loop starts
                if announce is not None:
                    shown = "127.0.0.1" if self.ip in ("0.0.0.0", "::", "") else self.ip
                    announce(f"http://{shown}:{self.port}{self.base_url}")

        app = Server(config=configuration(settings))
        app.initialize([str(NOTEBOOK)])
        app.open_browser = True
        app.start()
        sys.stdout.flush()
