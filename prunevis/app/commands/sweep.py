"""`prunevis sweep`: run a grid of experiments, here, on processes or on a cluster."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunevis.sweeps import Grid, SweepProgress

#: Characters of the bar.
WIDE = 28


def add(commands: Any) -> None:
    """File the subcommand."""
    parser = commands.add_parser(
        "sweep",
        help="run a grid of experiments",
        description="Run every experiment of a grid that has no result yet. Stop it at any moment "
        "and run it again: what is finished is kept. Ends with 0 if every cell succeeded.",
    )
    parser.add_argument("grid", metavar="GRID.toml", type=Path, help="what is to run")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the results (GRID-results beside it)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_count,
        default=0,
        metavar="N",
        help="processes on this machine (0: in this one)",
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="an existing Dask cluster: tcp://host:8786"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="run cells that failed once more"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the grid, say how much there is to do"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sweep, with a bar."""
    from prunevis.errors import PrunevisError
    from prunevis.sweeps import finished, read_grid

    out = args.out or args.grid.with_name(f"{args.grid.stem}-results")
    try:
        grid = read_grid(args.grid)
        if args.dry_run:
            done, failed = finished(grid, out)
            print(f"{len(grid):,} cells, {done:,} have a result{_of_them(failed)}.")
            return 0
        return _sweep(args, grid, out)
    except PrunevisError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


def _sweep(args: argparse.Namespace, grid: Grid, out: Path) -> int:
    from prunevis.sweeps import sweep_steps

    steps = sweep_steps(
        grid,
        out,
        workers=args.workers,
        scheduler=args.scheduler,
        retry_failed=args.retry_failed,
    )
    progress = None
    with closing(steps):
        for progress in steps:
            _show(progress)
    if sys.stdout.isatty():
        print()
    assert progress is not None  # the first report comes before the first cell
    print(f"{progress.done:,} cells{_of_them(progress.failed)}. {out / 'table.csv'}")
    return 1 if progress.failed else 0


def _show(progress: SweepProgress) -> None:
    """Draw the bar: on a terminal over itself, else one line for each cell."""
    failure = progress.row is not None and progress.row["status"] != "ok"
    again = "\r\033[K" if sys.stdout.isatty() else ""
    if failure and progress.row is not None:
        print(f"{again}{progress.row['cell']} failed: {progress.row['error']}", file=sys.stderr)
    print(f"{again}{bar(progress)}", end="" if again else "\n", flush=True)


def bar(progress: SweepProgress) -> str:
    """Return e.g. "[#######---------------------] 6 of 24, 1 failed, 0:42 left"."""
    share = progress.done / max(1, progress.total)
    drawn = "#" * int(WIDE * share)
    text = f"[{drawn:-<{WIDE}}] {progress.done:,} of {progress.total:,}"
    if progress.row is None and progress.found:
        text += f", {progress.found:,} found"
    if progress.failed:
        text += f", {progress.failed:,} failed"
    if progress.seconds_left and progress.done < progress.total:
        text += f", {clock(progress.seconds_left)} left"
    return text


def clock(seconds: float) -> str:
    """Return e.g. "0:42" or "2:03:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _of_them(failed: int) -> str:
    return f", {failed:,} of them failed" if failed else ""


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else -1
    if count < 0:
        raise argparse.ArgumentTypeError("a number from 0")
    return count
