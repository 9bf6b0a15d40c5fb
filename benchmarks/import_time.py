"""What `import prunevis` costs whoever has torch loaded already."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.record import Figure, Report

TITLE = "import prunevis, beyond import torch"
BAR_S = 0.3

#: Run in a fresh interpreter each time; prints the seconds of each step.
PROGRAM = """
import json, time
marks = [time.perf_counter()]
import torch
marks.append(time.perf_counter())
import prunevis
marks.append(time.perf_counter())
from prunevis import explore
marks.append(time.perf_counter())
print(json.dumps([b - a for a, b in zip(marks, marks[1:])]))
"""


def measure(*, quick: bool = False) -> Report:
    """Return seconds of importing, each run in a process of its own."""
    runs = []
    # the first run writes byte code and warms the disk's cache, and does not count
    for _ in range(1 + (2 if quick else 7)):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    torch, package, page = zip(*runs[1:], strict=True)
    return Report(
        (
            Figure("import prunevis, after torch", "s", package, BAR_S, "median"),
            Figure("prunevis.explore on first use, after that", "s", page),
            Figure("import torch, for comparison", "s", torch),
        )
    )
