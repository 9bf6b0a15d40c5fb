"""Experiments that outgrow a notebook: a grid as data, run here, on processes or on a cluster.

`prunevis sweep GRID.toml` is `sweep` on the command line; ``docs/sweeps.md`` shows both.
"""

from prunevis.sweeps.cells import Cell
from prunevis.sweeps.grid import Grid, read_grid
from prunevis.sweeps.running import measure_cell, run_cell
from prunevis.sweeps.sweeping import SweepProgress, finished, sweep, sweep_steps
from prunevis.sweeps.table import COLUMNS, read_sweep

__all__ = [
    "COLUMNS",
    "Cell",
    "Grid",
    "SweepProgress",
    "finished",
    "measure_cell",
    "read_grid",
    "read_sweep",
    "run_cell",
    "sweep",
    "sweep_steps",
]
