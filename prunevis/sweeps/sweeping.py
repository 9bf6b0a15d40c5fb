"""Running a grid: what is there is kept, what is missing runs, what comes is written at once."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prunevis.errors import SpecError
from prunevis.sweeps.cells import Cell
from prunevis.sweeps.cluster import on_cluster
from prunevis.sweeps.grid import Grid, read_grid
from prunevis.sweeps.local import check_workers, in_this_process, on_processes
from prunevis.sweeps.store import Store


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is.

    Attributes
    ----------
    done, total
        Cells that have a row, of how many; `found` of them had one before this run.
    failed
        Cells whose row says that they failed.
    seconds, seconds_left
        Of this run, and an extrapolation; None before the first cell.
    row
        The newest row; None in the first report.
    """

    done: int
    total: int
    found: int
    failed: int
    seconds: float
    seconds_left: float | None
    row: Mapping[str, Any] | None = field(default=None, repr=False)


def sweep(
    grid: Grid | Mapping[str, Any] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    scheduler: str | None = None,
    retry_failed: bool = False,
) -> list[dict[str, Any]]:
    """Run every cell of a grid that has no result yet; return the table.

    Parameters
    ----------
    grid
        A `Grid`, the path of its TOML file, or a mapping from axes to values, as for `Grid.of`.
    out
        Folder of the results. Run again after whatever interruption: finished cells are kept, and
        a grid that has grown only runs what is new.
    workers
        Processes on this machine; 0 runs the cells in this one, one after another. With processes,
        a script must call this below ``if __name__ == "__main__":``.
    scheduler
        Address of a Dask cluster's scheduler, such as "tcp://host:8786", in the place of `workers`.
    retry_failed
        Whether cells that failed before run again.

    Returns
    -------
    list of dict
        One row a cell of the grid, in its order, as `prunevis.read_sweep` reads them. A cell that
        failed has a row that says why. The same cell has the same figures in any mode.

    Raises
    ------
    SpecError, UnknownNameError
        If the grid, the folder, the number of workers or the cluster cannot be used.
    PrunevisError
        If the cluster goes away.
    """
    steps = sweep_steps(grid, out, workers=workers, scheduler=scheduler, retry_failed=retry_failed)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def sweep_steps(
    grid: Grid | Mapping[str, Any] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 0,
    scheduler: str | None = None,
    retry_failed: bool = False,
) -> Generator[SweepProgress, None, list[dict[str, Any]]]:
    """Sweep cell by cell, reporting after each; returns the table. Close it to stop.

    Parameters as for `sweep`.
    """
    whole = as_grid(grid)
    if scheduler is not None and workers:
        raise SpecError(
            "Cells run on local workers or on a cluster, not on both.",
            fix="Leave out `workers` or `scheduler`.",
        )
    check_workers(workers)
    store, cells = Store(out), {cell.key: cell for cell in whole.cells}
    with store.alone():
        store.write_grid(whole.text or _as_toml(whole))
        rows = store.read(cells)
        if retry_failed:
            again = [key for key, row in rows.items() if row["status"] != "ok"]
            store.drop(again)
            for key in again:
                del rows[key]
        found, begin = len(rows), time.perf_counter()
        missing = [cell for key, cell in cells.items() if key not in rows]

        def report(row: Mapping[str, Any] | None = None) -> SweepProgress:
            seconds, new = time.perf_counter() - begin, len(rows) - found
            left = seconds / new * (len(cells) - len(rows)) if new else None
            bad = sum(row["status"] != "ok" for row in rows.values())
            return SweepProgress(len(rows), len(cells), found, bad, seconds, left, row)

        try:
            yield report()
            with closing(_running(missing, whole.folder, workers, scheduler)) as running:
                for row in running:
                    if store.write(row):
                        rows[row["cell"]] = row
                        yield report(row)
        finally:
            table = [rows[key] for key in cells if key in rows]
            store.write_table(table)
        return table


def as_grid(grid: Grid | Mapping[str, Any] | str | os.PathLike[str]) -> Grid:
    """Return the grid that is meant by a mapping or a path."""
    if isinstance(grid, Grid):
        return grid
    return Grid.of(grid) if isinstance(grid, Mapping) else read_grid(grid)


def finished(grid: Grid, out: str | os.PathLike[str]) -> tuple[int, int]:
    """Return how many cells of `grid` have a row in the folder `out`, and how many of them failed.

    Nothing is made or changed.
    """
    if not Path(out).is_dir():
        return 0, 0
    rows = Store(out).read((cell.key for cell in grid.cells), mend=False)
    return len(rows), sum(row["status"] != "ok" for row in rows.values())


def _running(
    cells: Sequence[Cell], folder: str | None, workers: int, scheduler: str | None
) -> Generator[dict[str, Any], None, None]:
    rows: Iterator[dict[str, Any]]
    if not cells:
        return
    if scheduler is not None:
        rows = on_cluster(cells, folder, scheduler)
    elif workers:
        rows = on_processes(cells, folder, workers)
    else:
        rows = in_this_process(cells, folder)
    yield from rows


def _as_toml(grid: Grid) -> str:
    """Return the cells as comments: the grid was made in code."""
    return "".join(f"# {cell.key} {cell}\n" for cell in grid.cells)
