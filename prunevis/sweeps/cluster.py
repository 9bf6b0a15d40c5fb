"""Cells on a Dask cluster that is there already; `pip install "prunevis[cluster]"`.

Dask places the cells, and begins one again elsewhere when its worker is lost. What a worker needs
is prunevis, of the same version, and the modules that "module:function" names. Results come back
over the network; only the process that runs the sweep writes files.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from prunevis import __version__
from prunevis.errors import PrunevisError, SpecError
from prunevis.sweeps.cells import Cell
from prunevis.sweeps.running import failed, run_cell, words_of

#: Seconds that a scheduler has to answer.
PATIENCE = 10


def on_cluster(cells: Sequence[Cell], folder: str | None, address: str) -> Iterator[dict[str, Any]]:
    """Run cells on the cluster whose scheduler listens at `address`; yield rows as they come.

    Closing the generator cancels what has not begun. A cell whose workers died as often as the
    cluster allows (``distributed.scheduler.allowed-failures``) has a row that says so.

    Raises
    ------
    SpecError
        If dask.distributed is not installed, nobody answers, or workers have another prunevis.
    PrunevisError
        If the cluster goes away; what is finished is kept.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise SpecError(
            "A cluster needs dask.distributed, which is not installed.",
            fix='Install it: pip install "prunevis[cluster]".',
        ) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise SpecError(
            "No Dask scheduler answers there.",
            expected="an address such as tcp://host:8786",
            got=f"{type(error).__name__}: {error}",
            where=address,
        ) from error
    with client:
        _check_versions(client)
        run = uuid.uuid4().hex[:8]  # what an earlier, lost run left behind must not be mixed up
        busy = {
            client.submit(
                run_cell, cell, folder, key=f"prunevis-{run}-{cell.key}", pure=False
            ): cell
            for cell in cells
        }
        try:
            for future in as_completed(list(busy), loop=client.loop):
                cell = busy.pop(future)
                if future.status == "finished":
                    yield future.result()
                elif future.status == "error":
                    yield failed(cell, _why(future.exception()))
                else:
                    raise PrunevisError(
                        "The connection to the cluster was lost.",
                        where=address,
                        fix="Run the same command again: what is finished is kept.",
                    )
        finally:
            client.cancel(list(busy))


def version_here() -> str:
    """Return the version of prunevis in the process that this runs in."""
    return __version__


def _check_versions(client: Any) -> None:
    """Raise SpecError if a worker lacks prunevis, or has another."""
    try:
        found = client.run(version_here)
    except Exception as error:
        raise SpecError(
            "The cluster's workers cannot run prunevis.",
            got=words_of(error),
            fix="Install prunevis where the workers run.",
        ) from error
    others = sorted({version for version in found.values() if version != __version__})
    if others:
        raise SpecError(
            "The cluster's workers have another version of prunevis.",
            expected=__version__,
            got=", ".join(others),
        )


def _why(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return (
            "The workers that ran this cell died, as often as the cluster allows: they were "
            "killed, or ran out of memory."
        )
    return words_of(error)
