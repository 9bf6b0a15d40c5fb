"""A sweep's table is what figures and the report card read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from own_cells import Folder

import prunevis as pv
from prunevis.evaluation.experiment import SETTINGS, experiment_of
from prunevis.sweeps import Cell, read_sweep, sweep
from prunevis.sweeps.cells import FIELDS

GRID = """
[grid]
model = "NAME:fixed"
data = "NAME:data"
criterion = ["magnitude", "random"]
sparsity = [0.25, 0.75]
epochs = [0, 1]
lr = 0.1
seed = [0, 1, 2]

"""


@pytest.fixture
def rows(folder: Folder) -> list[dict]:
    sweep(folder.grid(GRID), folder.out)
    return read_sweep(folder.out)


def test_the_trade_off_shows_mean_and_sample_standard_deviation_over_seeds(rows) -> None:
    ax = pv.plots.tradeoff_judged(rows)
    assert [line.get_gid() for line in ax.lines if "weight" in line.get_gid()] == [
        "magnitude, weight, global, epochs 0",
        "magnitude, weight, global, epochs 1",
        "random, weight, global, epochs 0",
        "random, weight, global, epochs 1",
    ]
    # what all have in common is no part of the names at their ends
    assert {"magnitude, epochs 0", "random, epochs 1"} <= {text.get_text() for text in ax.texts}
    name = "random, weight, global, epochs 1"
    (line,) = (line for line in ax.lines if line.get_gid() == name)
    (spread,) = (part for part in ax.collections if part.get_gid() == f"spread {name}")
    runs = np.array(
        [
            [r["accuracy"] for r in rows if (r["criterion"], r["epochs"], r["sparsity"]) == at]
            for at in (("random", 1, 0.25), ("random", 1, 0.75))
        ]
    )
    assert runs.shape == (2, 3)
    np.testing.assert_allclose(line.get_ydata(), runs.mean(1))
    sd = np.sqrt(((runs - runs.mean(1, keepdims=True)) ** 2).sum(1) / 2)
    assert sd.max() > 0
    ends = np.array([segment[:, 1] for segment in spread.get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * sd)


def test_the_report_card_reads_it(rows) -> None:
    card = pv.report_card(rows)
    assert card["seeds"].state == "met"
    assert {summary.runs for summary in card.summaries} == {3}


def test_failures_are_counted_and_left_out(rows) -> None:
    failure = {**rows[0], "status": "failed", "accuracy": None, "accuracy_dense": None, "seed": 9}
    found = experiment_of([*rows, failure])
    assert found.failed == 1
    assert len(found.points) == len(rows) == 24


def test_whatever_a_grid_can_vary_tells_methods_apart() -> None:
    """Otherwise experiments that differ in it would be averaged as if they were seeds."""
    named = {"criterion", "granularity", "scope", "pattern", "repair", "schedule"}
    beside = {"model", "data", "seed", "sparsity", "keep"}
    assert {*SETTINGS} | named | beside == {*FIELDS}


def test_the_example_in_the_documentation_is_a_grid() -> None:
    from prunevis.sweeps import read_grid

    grid = read_grid(Path(__file__).parents[2] / "docs" / "sweeps" / "magnitude-or-chance.toml")
    assert len(grid) == 24
    assert isinstance(grid.cells[0], Cell)
