"""Starts the server, and ends it with all its kernels."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from prunevis.hosting import logs
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
#: As `prunevis.session.turns` reads it, which is not loaded here.
TURNS = "PRUNEVIS_TURNS"

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
        where = Path(folder)
        os.environ.update(private_folders(where))
        os.environ.update(settings.kernels)
        if settings.fork:
            os.environ[TURNS] = folder
        kernel_profile(where)
        if settings.access_log:
            logs.start()
        gaps = mend(settings)
        server = make_server(settings, where, gaps, announce)
        server.initialize([str(NOTEBOOK)])
        server.open_browser = True
        with forking(where) if settings.fork else contextlib.nullcontext():
            server.start()
        sys.stdout.flush()


def make_server(
    settings: Settings, where: Path, gaps: list[str], announce: Callable[[str], None] | None
) -> Any:
    """Return Voila's application with our handlers, before it is started."""
    from jupyter_core.utils import run_sync
    from voila.app import Voila

    from prunevis.hosting.handlers import with_ours

    class Server(Voila):
        def init_settings(self) -> dict[str, Any]:
            write = logs.access if settings.access_log else logs.nothing
            theirs: Any = super().init_settings()
            return {**theirs, "prunevis": settings, "log_function": write}

        def init_handlers(self) -> list[Any]:
            theirs: Any = super().init_handlers()
            rules, missing = with_ours(theirs, str(self.server_url))
            for gap in (*gaps, *missing):
                log.warning("This version of Voila could not be adjusted: %s", gap)
            return rules

        def listen(self) -> None:
            # what a proxy says of the scheme is believed; nothing depends on addresses
            self.app.listen = partial(self.app.listen, xheaders=True)
            super().listen()

        def launch_browser(self) -> None:
            # called when the server listens, just before its loop starts
            if announce is not None:
                shown = "127.0.0.1" if self.ip in ("0.0.0.0", "::", "") else self.ip
                announce(f"http://{shown}:{self.port}{self.base_url}")

        def _handle_signal_stop(self, sig: Any, frame: Any) -> None:
            if not hasattr(self, "ioloop"):  # not even started
                raise SystemExit(0)
            super()._handle_signal_stop(sig, frame)

        def stop(self) -> None:
            # there is nothing to save in a kernel: none is asked to end, and waited for
            shutil.rmtree(self.connection_dir, ignore_errors=True)
            run_sync(self.kernel_manager.shutdown_all)(now=True)

    config = configuration(settings)
    config.Voila.connection_dir_root = str(where)
    return Server(config=config)


@contextlib.contextmanager
def forking(where: Path) -> Iterator[None]:
    """Have kernels forked from one loaded process, where the system can."""
    from prunevis.hosting import provisioner

    if not provisioner.FORKS:
        yield
        return
    provisioner.register()
    zygotes = provisioner.Zygotes(where, SHARED)
    provisioner.Zygotes.current = zygotes
    zygotes.start()
    try:
        yield
    finally:
        zygotes.stop()
        provisioner.Zygotes.current = None
