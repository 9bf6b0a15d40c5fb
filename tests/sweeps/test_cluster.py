"""A sweep on a real local Dask cluster, one of whose workers is killed midway."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from own_cells import Folder, wait_until

from prunevis.errors import SpecError
from prunevis.sweeps import cluster as room
from prunevis.sweeps import read_sweep, sweep, sweep_steps

SEEDS = [0, 1, 2, 3, 4, 5]
GRID = """
[grid]
model = "NAME:network"
data = "NAME:data"
seed = [0, 1, 2, 3, 4, 5]
"""


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="needs prunevis[cluster]")
    dask = pytest.importorskip("dask")
    # one death is forgiven, the second is the cell's own fault
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
        ) as cluster,
    ):
        yield cluster


def test_a_cluster_gives_the_same_figures(dask: Any, folder: Folder) -> None:
    grid = folder.grid(GRID)
    there = sweep(grid, folder.out, scheduler=dask.scheduler_address)
    assert os.getpid() not in {pid for _, pid in folder.starts}
    assert Counter(folder.started) == dict.fromkeys(SEEDS, 1)
    here = sweep(grid, folder.path / "here")
    for one, two in zip(there, here, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in two.items() if k != "seconds"
        }
    assert [row["cell"] for row in read_sweep(folder.out)] == [row["cell"] for row in here]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_worker_killed_midway_loses_nothing(dask: Any, folder: Folder) -> None:
    grid = folder.grid(GRID)
    folder.hold(3)
    steps = sweep_steps(grid, folder.out, scheduler=dask.scheduler_address)
    for _ in range(6):  # the first report, and all cells but the one that is held
        last = next(steps)
    assert last.done == 5
    wait_until(lambda: 3 in folder.started, "cell 3 runs")
    before = {path: path.stat().st_mtime_ns for path in (folder.out / "cells").glob("*.json")}
    psutil.Process(dict(folder.starts)[3]).kill()
    wait_until(lambda: folder.started.count(3) == 2, "another worker has taken cell 3")
    folder.let_go()
    assert [report.done for report in steps] == [6]
    rows = read_sweep(folder.out)
    assert [row["seed"] for row in rows] == SEEDS
    assert {row["status"] for row in rows} == {"ok"}
    assert Counter(folder.started) == {seed: 2 if seed == 3 else 1 for seed in SEEDS}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_cell_that_fails_and_one_that_kills_are_rows(dask: Any, folder: Folder) -> None:
    grid = folder.grid(
        '[grid]\nmodel = ["NAME:broken", "NAME:mortal"]\ndata = "NAME:data"\nseed = 2'
    )
    rows = sweep(grid, folder.out, scheduler=dask.scheduler_address)
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert rows[0]["error"] == "RuntimeError: the disk is full"
    assert "The workers that ran this cell died" in rows[1]["error"]


def test_workers_of_another_version_are_refused(
    dask: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "__version__", "0.0.1")
    with pytest.raises(SpecError, match=r"another version of prunevis.*0\.0\.1"):
        sweep(folder.grid(GRID), folder.out, scheduler=dask.scheduler_address)
    assert folder.started == []


def test_nobody_answers(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs prunevis[cluster]")
    monkeypatch.setattr(room, "PATIENCE", 1)
    with pytest.raises(SpecError, match=r"No Dask scheduler answers there.*tcp://127\.0\.0\.1:9"):
        sweep(folder.grid(GRID), folder.out, scheduler="tcp://127.0.0.1:9")


def test_without_dask_it_says_what_to_install(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SpecError, match=r"pip install \"prunevis\[cluster\]\""):
        sweep(folder.grid(GRID), folder.out, scheduler="tcp://127.0.0.1:8786")
