"""A sweep: what is there is kept, what is missing runs; here, on processes, and killed midway."""

from __future__ import annotations

import os
import signal
from collections import Counter

import psutil
import pytest
from own_cells import Folder, wait_until

from prunevis.errors import SpecError
from prunevis.sweeps import Cell, Grid, finished, read_grid, read_sweep, sweep, sweep_steps

SEEDS = [0, 1, 2, 3, 4, 5]
GRID = """
[grid]
model = "NAME:network"
data = "NAME:data"
seed = [0, 1, 2, 3, 4, 5]
epochs = 1
"""


def figures(rows: list[dict]) -> list[dict]:
    """What must be the same in any mode."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "error")} for row in rows]


def cell_of(folder: Folder, seed: int) -> str:
    return Cell(folder.of("network"), folder.of("data"), seed=seed, epochs=1).key


def test_every_cell_runs_once_and_the_table_is_in_order(folder: Folder) -> None:
    grid = folder.grid(GRID)
    seen = []
    steps = sweep_steps(grid, folder.out)
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            rows = stop.value
            break
    assert [report.done for report in seen] == [0, 1, 2, 3, 4, 5, 6]
    assert {report.total for report in seen} == {6}
    assert seen[0].row is None
    assert seen[0].seconds_left is None
    assert seen[-1].seconds_left == 0
    assert folder.started == [row["seed"] for row in rows] == SEEDS
    assert {row["status"] for row in rows} == {"ok"}
    assert figures(read_sweep(folder.out)) == figures(rows)
    assert folder.written() == {row["cell"] for row in rows}
    assert (folder.out / "grid.toml").read_text("utf-8") == grid.read_text("utf-8")
    # again: nothing is left to do
    assert sweep(grid, folder.out) == rows
    assert folder.started == SEEDS


def test_a_grid_that_has_grown_runs_what_is_new(folder: Folder) -> None:
    sweep(folder.grid(GRID.replace("[0, 1, 2, 3, 4, 5]", "[0, 1]")), folder.out)
    reports = list(sweep_steps(folder.grid(GRID.replace("[0, 1, 2,", "[7, 1, 2,")), folder.out))
    assert (reports[0].found, reports[0].total) == (1, 6)
    assert folder.started == [0, 1, 7, 2, 3, 4, 5]
    assert [row["seed"] for row in read_sweep(folder.out)] == [7, 1, 2, 3, 4, 5]
    assert len(folder.written()) == 7  # what is no longer asked for is kept


def test_failures_stand_beside_successes_and_can_be_tried_again(folder: Folder) -> None:
    text = '[grid]\nmodel = ["NAME:network", "NAME:broken"]\ndata = "NAME:data"\nseed = [0, 1]'
    grid = folder.grid(text)
    rows = sweep(grid, folder.out)
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "failed"]
    assert rows[3]["error"] == "RuntimeError: the disk is full"
    assert finished(read_grid(grid), folder.out) == (4, 2)
    source = folder.path / f"{folder.name}.py"
    text = source.read_text("utf-8").replace(
        'raise RuntimeError("the disk is full")', "return fixed()"
    )
    source.write_text(text, encoding="utf-8")
    import sys

    sys.modules.pop(folder.name)
    assert [row["status"] for row in sweep(grid, folder.out)][2:] == ["failed", "failed"]
    again = sweep(grid, folder.out, retry_failed=True)
    assert {row["status"] for row in again} == {"ok"}
    assert figures(again[:2]) == figures(rows[:2])
    assert folder.started == [0, 1]


def test_stopping_keeps_what_is_finished(folder: Folder) -> None:
    grid = folder.grid(GRID)
    steps = sweep_steps(grid, folder.out)
    for _ in range(3):
        next(steps)
    steps.close()
    assert [row["seed"] for row in read_sweep(folder.out)] == [0, 1]
    sweep(grid, folder.out)
    assert folder.started == SEEDS


def test_a_grid_made_in_code(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder.path)
    told = {"model": folder.of("fixed"), "data": folder.of("data"), "sparsity": [0.0, 0.5]}
    rows = sweep(told, folder.out)
    assert [row["sparsity"] for row in rows] == [0.0, 0.5]
    kept = (folder.out / "grid.toml").read_text("utf-8")
    assert all(f"# {row['cell']} " in kept for row in rows)
    with pytest.raises(SpecError, match="The grid is empty"):
        read_grid(folder.out / "grid.toml")
    assert sweep(Grid.of(told), folder.out) == rows


@pytest.mark.parametrize("workers", [-1, True, 1.5, 1000])
def test_a_number_of_workers_that_is_none(folder: Folder, workers: object) -> None:
    with pytest.raises(SpecError, match=r"no number of workers.*0 to 256"):
        sweep({"model": "lenet5"}, folder.out, workers=workers)  # type: ignore[arg-type]
    assert not folder.out.exists()


def test_workers_and_a_cluster_at_once_are_refused(folder: Folder) -> None:
    with pytest.raises(SpecError, match="not on both"):
        sweep({"model": "lenet5"}, folder.out, workers=2, scheduler="tcp://127.0.0.1:1")


def test_workers_give_the_same_figures_and_one_that_dies_takes_nobody_along(
    folder: Folder,
) -> None:
    """Seed 1 kills its process once, seed 2 each time; the others must not notice."""
    grid = folder.grid(GRID.replace(":network", ":mortal"))
    rows = sweep(grid, folder.out, workers=2)
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "ok", "ok", "ok"]
    assert "ended without an answer, 2 times" in rows[2]["error"]
    assert Counter(folder.started) == {seed: 1 for seed in SEEDS if seed != 2}
    assert os.getpid() not in {pid for _, pid in folder.starts}
    folder.grid(GRID)
    here = sweep(folder.grid(GRID), folder.path / "here")
    for one, two in zip(rows, here, strict=True):
        if one["status"] == "ok":
            for name in ("accuracy_dense", "accuracy_pruned", "accuracy", "loss", "loss_dense"):
                assert one[name] == two[name], name


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_any_moment_it_goes_on_where_it_was(folder: Folder, workers: int) -> None:
    folder.grid(GRID)
    folder.hold(3)
    process = folder.command("--workers", str(workers))
    try:
        # without workers, 0 to 2 are there and 3 runs; with two, 4 and 5 are there as well
        done = {cell_of(folder, k) for k in SEEDS if k < 3 or (workers and k > 3)}
        wait_until(lambda: folder.written() == done and 3 in folder.started, "cell 3 runs")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        ran = [pid for _, pid in folder.starts]
        wait_until(lambda: not any(_runs(pid) for pid in ran), "the workers have ended too")
        assert not (folder.out / "table.csv").exists()
    finally:
        process.kill()
        folder.let_go()
    before = {path: path.stat().st_mtime_ns for path in (folder.out / "cells").glob("*.json")}
    rows = sweep(folder.path / "grid.toml", folder.out)
    assert [row["seed"] for row in rows] == SEEDS
    assert {row["status"] for row in rows} == {"ok"}
    # only the one that was running began again, and nothing was written twice
    assert Counter(folder.started) == {seed: 2 if seed == 3 else 1 for seed in SEEDS}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    fresh = sweep(folder.path / "grid.toml", folder.path / "fresh")
    assert figures(rows) == figures(fresh)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
