"""The page for a visitor: what a kernel of a served page runs."""

from __future__ import annotations

import os
from collections.abc import Generator
from importlib import import_module

import torch

from prunevis.app.explorer import Explorer
from prunevis.session.jobs import SPARE


def served_page() -> Explorer:
    """Return the page for a visitor: the zoo, and no traceback on the wire."""
    quiet_threads()
    explorer = Explorer(served=True)
    # while a warm kernel waits for its visitor: the first figure is then drawn at once
    explorer.controller.worker.submit("warm", _import_plots, SPARE)
    return explorer


def quiet_threads() -> None:
    """Leave cores to the browser and the server: the kernel is ours.

    Two threads on two busy cores were measured 3 to 5 times slower than one. With many kernels
    whoever serves them sets OMP_NUM_THREADS=1.
    """
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))


def _import_plots() -> Generator[None, None, None]:
    import_module("prunevis.plots")
    yield
    import_module("seaborn")
