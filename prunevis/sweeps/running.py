"""What is measured of a cell. The same cell gives the same figures in any process."""

from __future__ import annotations

import json
import platform
import threading
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from prunevis import __version__
from prunevis.data import Data
from prunevis.errors import DataError, PrunevisError, SpecError
from prunevis.evaluation.exact import Evaluation, evaluate
from prunevis.evaluation.pace import threads
from prunevis.graph.cost import CostModel
from prunevis.graph.layers import ModelGraph
from prunevis.graph.trace import trace
from prunevis.pruning import PruningPlan, rank
from prunevis.steps import finished
from prunevis.sweeps.cells import ONE_SHOT, TUNING, Cell
from prunevis.sweeps.names import data_named, drawing, looking_in, model_named, takes_seed
from prunevis.training import fine_tune_steps, run_schedule_steps, trainable_copy

#: Test examples a batch: fixed, since sums depend on it in their last digits.
BATCH = 500
#: Test examples that training looks at on its way: only to notice that it diverged.
WATCHED = 64

#: torch's random state and its number of threads belong to the whole process, and a Dask worker
#: may have several threads.
_ALONE = threading.Lock()


@dataclass(frozen=True, eq=False, slots=True)
class Dense:
    """A network as it came, with what all cells that prune it need to know."""

    model: nn.Module
    data: Data
    graph: ModelGraph
    evaluation: Evaluation


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What a schedule gave.

    Attributes
    ----------
    model
        The network that came out.
    plan
        What went.
    pruned
        Measured when all was pruned, before it was fine-tuned; None if it was trained meanwhile.
    steps
        Optimiser steps taken.
    """

    model: nn.Module
    plan: PruningPlan
    pruned: Evaluation | None
    steps: int


def run_cell(cell: Cell, folder: str | None = None) -> dict[str, Any]:
    """Run one cell; return its row of the table.

    Parameters
    ----------
    cell
        What is to be done.
    folder
        Where "module:function" is looked for first.

    Returns
    -------
    dict
        The columns of `prunevis.sweeps.table.COLUMNS`. If the cell fails, ``status`` is "failed",
        ``error`` says why, and what could not be measured is None. Nothing is raised but what ends
        a process, such as KeyboardInterrupt. On one thread, whatever torch's own choice is.
    """
    begin = time.perf_counter()
    try:
        found = measure_cell(cell, folder)
    except Exception as error:
        return failed(cell, words_of(error), time.perf_counter() - begin)
    return row_of(cell, {**found, "status": "ok", "seconds": time.perf_counter() - begin})


def measure_cell(cell: Cell, folder: str | None = None) -> dict[str, Any]:
    """Return the figures of one cell; what goes wrong is raised, with its traceback.

    Parameters
    ----------
    cell, folder
        As for `run_cell`.
    """
    with _ALONE, threads(1), looking_in(folder):
        own = cell.seed if takes_seed(cell.model) else None
        dense = _dense(cell.model, cell.data, own)
        with drawing(cell.seed):
            outcome = (one_shot if cell.schedule == ONE_SHOT else scheduled)(dense, cell)
        pruned = outcome.pruned
        last = pruned if pruned is not None and not outcome.steps else None
        if last is None:
            last = evaluate(outcome.model, dense.data.test, batch_size=BATCH)
        costs = CostModel(dense.graph)
        before, after = costs.cost(), costs.cost(outcome.plan)
        return {
            "accuracy_dense": dense.evaluation.accuracy,
            "accuracy_pruned": pruned.accuracy if pruned is not None else None,
            "accuracy": last.accuracy,
            "loss_dense": dense.evaluation.loss,
            "loss_pruned": pruned.loss if pruned is not None else None,
            "loss": last.loss,
            "examples": last.total,
            "achieved_sparsity": outcome.plan.achieved_sparsity,
            "params_dense": before.num_params,
            "params": after.num_params,
            "nonzero_params": after.nonzero_params,
            "bytes_dense": before.bytes,
            "bytes": after.bytes,
            "storage": after.storage,
            "macs_dense": before.macs,
            "macs": after.removed_macs,
            "effective_macs": after.effective_macs,
            "compression_ratio": after.compression_ratio,
            "theoretical_speedup": after.theoretical_speedup,
            "steps": outcome.steps,
        }


def forget() -> None:
    """Let go of the networks and data that cells of this process have in common."""
    _dense.cache_clear()
    _data.cache_clear()


def one_shot(dense: Dense, cell: Cell) -> Outcome:
    """Prune the trained network once, then fine-tune it if the cell has epochs."""
    ranking = rank(dense.model, cell.spec, graph=dense.graph, data=dense.data)
    plan = ranking.plan()
    model, masks = trainable_copy(dense.model, plan)
    pruned = evaluate(model, dense.data.test, batch_size=BATCH)
    steps = 0
    if cell.settings is not None:
        few = _watching_few(dense, cell)
        for report in fine_tune_steps(model, few, masks=masks, settings=cell.settings):
            steps = report.steps
    return Outcome(model, plan, pruned, steps)


def scheduled(dense: Dense, cell: Cell) -> Outcome:
    """Train and prune the network on the cell's schedule."""
    found = finished(
        run_schedule_steps(
            dense.model,
            _watching_few(dense, cell),
            cell.when,
            spec=cell.spec,
            settings=cell.settings,
            graph=dense.graph,
        )
    )
    if found.plan is None:
        raise SpecError("The schedule pruned nothing.", where=cell.schedule)
    return Outcome(found.model, found.plan, None, found.timeline.steps)


def _watching_few(dense: Dense, cell: Cell) -> Data:
    if dense.data.train is None:
        raise DataError("There are no training examples to train on.", where=cell.data)
    return replace(dense.data, test=dense.data.test.take(slice(WATCHED)))


@lru_cache(maxsize=2)
def _data(name: str) -> Data:
    with drawing(0):
        return data_named(name)


@lru_cache(maxsize=4)
def _dense(name: str, data_name: str, seed: int | None) -> Dense:
    """Return a network and its data; kept, since many cells prune the same one."""
    data = _data(data_name)
    with drawing(seed or 0):
        model = model_named(name, seed or 0)
    graph = trace(model, data.test.inputs[:1])
    return Dense(model, data, graph, evaluate(model, data.test, batch_size=BATCH))


def words_of(error: BaseException) -> str:
    """Return what went wrong, as a sentence in one line."""
    text = str(error) if isinstance(error, PrunevisError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:2000]


def failed(cell: Cell, error: str, seconds: float | None = None) -> dict[str, Any]:
    """Return the row of a cell that could not be measured."""
    return row_of(cell, {"status": "failed", "error": error, "seconds": seconds})


def row_of(cell: Cell, found: dict[str, Any]) -> dict[str, Any]:
    """Return a row: the cell, what was found, and with which versions."""
    told = cell.as_dict()
    for name in ("layers", "schedule_options"):
        told[name] = json.dumps(told[name]) if told[name] else None
    if not cell.trained:  # nothing was trained, so nothing is said of how
        told.update(dict.fromkeys(TUNING))
    about = {
        "prunevis": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    return {"cell": cell.key, **told, **found, **about}
