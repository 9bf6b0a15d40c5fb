"""A grid of 24 short cells on two local workers, against one.

`prunevis.sweep` from its first line to the table: starting the processes, importing torch there,
reading the data and measuring the dense network are part of it. Each cell prunes LeNet-300-100 and
trains it for some seconds on one thread. Runs with one and with two workers alternate, so that what
else the machine does meets both.
"""

from __future__ import annotations

import tempfile
from statistics import median
from time import perf_counter

import prunevis as pv
from benchmarks.record import Figure, Report

TITLE = "A sweep of 24 short cells on two local workers, against one"
#: Times faster that two workers are to be.
BAR = 1.6
RUNS = 3


def measure(*, quick: bool = False) -> Report:
    """Return seconds with one and two workers, and how many times faster two are."""
    grid = pv.Grid.of(
        {
            "model": "lenet-300-100",
            "criterion": ["magnitude", "random"],
            "sparsity": [0.5, 0.9] if quick else [0.5, 0.8, 0.9, 0.95],
            "epochs": 0 if quick else 5,
            "seed": 0 if quick else [0, 1, 2],
        }
    )
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cells: list[float] = []
    for _ in range(1 if quick else RUNS):
        for workers, taken in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                begin = perf_counter()
                rows = pv.sweep(grid, folder, workers=workers)
                taken.append(perf_counter() - begin)
            assert all(row["status"] == "ok" for row in rows), rows
            if workers == 1:
                cells += [row["seconds"] for row in rows]
    ratios = tuple(one / two for one, two in zip(seconds[1], seconds[2], strict=True))
    note = f"{len(grid)} cells of {median(cells):.1f} s each (median), one thread each."
    return Report(
        (
            Figure("one worker", "s", tuple(seconds[1])),
            Figure("two workers", "s", tuple(seconds[2])),
            Figure("two workers: times faster", "×", ratios, BAR, "p5"),
        ),
        notes=(note,),
    )
