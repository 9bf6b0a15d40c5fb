"""Cells on processes of this machine, by `concurrent.futures`.

Each worker is an executor of one process, so that it is known which cell a process died of and the
others go on. A worker ends with the process that started it, however that ends: it holds one end of
a pipe whose other end only that process has.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from prunevis.errors import SpecError
from prunevis.sweeps.cells import Cell
from prunevis.sweeps.running import failed, forget, run_cell

#: How often a cell may be begun: once more after its process died.
TRIES = 2
#: Most processes.
MOST_WORKERS = 256


def check_workers(count: object) -> int:
    """Return `count` if it is a number of processes; 0 is none but this one.

    Raises
    ------
    SpecError
        If it is not.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_WORKERS:
        raise SpecError(
            "That is no number of workers.", expected=f"0 to {MOST_WORKERS}", got=repr(count)
        )
    return count


def in_this_process(cells: Sequence[Cell], folder: str | None) -> Iterator[dict[str, Any]]:
    """Run cells one after another; yield each row when it is there."""
    try:
        for cell in cells:
            yield run_cell(cell, folder)
    finally:
        forget()


def on_processes(cells: Sequence[Cell], folder: str | None, count: int) -> Iterator[dict[str, Any]]:
    """Run cells on `count` processes of their own; yield each row when it is there.

    Closing the generator ends the processes at once. A cell whose process dies is begun once more;
    if that dies too, its row says so.

    Raises
    ------
    SpecError
        If processes cannot be started.
    """
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    waiting = deque(cells)
    begun: Counter[str] = Counter()
    #: Worker by what it is busy with; no cell while it starts.
    busy: dict[Future[Any], tuple[ProcessPoolExecutor, Cell | None]] = {}
    everyone: list[ProcessPoolExecutor] = []

    def start() -> None:
        worker = ProcessPoolExecutor(
            1, mp_context=context, initializer=_live_with, initargs=(theirs,)
        )
        everyone.append(worker)
        busy[worker.submit(os.getpid)] = worker, None

    def give(worker: ProcessPoolExecutor) -> None:
        if not waiting:
            return
        cell = waiting.popleft()
        begun[cell.key] += 1
        try:
            busy[worker.submit(run_cell, cell, folder)] = worker, cell
        except BrokenProcessPool:  # it died while it had nothing to do
            begun[cell.key] -= 1
            waiting.appendleft(cell)
            start()

    try:
        for _ in range(min(count, len(cells))):
            start()
        while busy:
            done, _ = wait(busy, return_when=FIRST_COMPLETED)
            rows: list[dict[str, Any]] = []
            for future in done:
                worker, cell = busy.pop(future)
                error = future.exception()
                if cell is None and error is not None:
                    raise SpecError(
                        "A worker process cannot be started.",
                        got=f"{type(error).__name__}: {error}",
                        fix='In a script of yours, call it below `if __name__ == "__main__":`.',
                    )
                if cell is None:
                    give(worker)
                elif error is None:
                    rows.append(future.result())
                    give(worker)
                elif isinstance(error, BrokenProcessPool):
                    worker.shutdown(wait=False)
                    if begun[cell.key] < TRIES:
                        waiting.appendleft(cell)
                    else:
                        rows.append(failed(cell, DIED))
                    if waiting:
                        start()
                else:
                    raise error
            yield from rows
    finally:
        ours.close()  # ends them, also in the middle of a cell
        theirs.close()
        for worker in everyone:
            worker.shutdown(wait=True, cancel_futures=True)


#: What is said of a cell whose process died each time.
DIED = (
    f"The process that ran this cell ended without an answer, {TRIES} times: it was killed, or "
    "ran out of memory."
)


def _live_with(lifeline: Connection) -> None:
    """Begin a worker: end with the process that holds the lifeline's other end, and leave
    Ctrl-C to it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        try:
            lifeline.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
