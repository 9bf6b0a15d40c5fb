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
    kernel_profile,
    private_folders,
)
from prunevis.hosting.mends import mend
from prunevis.hosting.settings import Settings

#: What is done once for all kernels; called in the process that they are forked from.
SHARED = ("prunevis.app.preload:rehearse",)

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
        kernel_profile(Path(folder))
        from voila.app import Voila

        from prunevis.hosting import provisioner

        for gap in mend():
            log.warning("This version of Voila could not be adjusted: %s", gap)

        class Server(Voila):
            def launch_browser(self) -> None:
                # called when the server listens, just before its loop starts
                if announce is not None:
                    shown = "127.0.0.1" if self.ip in ("0.0.0.0", "::", "") else self.ip
                    announce(f"http://{shown}:{self.port}{self.base_url}")

        forks = settings.fork and provisioner.FORKS
        zygotes = provisioner.Zygotes(Path(folder), SHARED) if forks else None
        if zygotes is not None:
            provisioner.register()
            os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = provisioner.NAME
            provisioner.Zygotes.current = zygotes
            zygotes.start()
        app = Server(config=configuration(settings))
        app.initialize([str(NOTEBOOK)])
        app.open_browser = True
        try:
            app.start()
        finally:
            if zygotes is not None:
                zygotes.stop()
        sys.stdout.flush()
