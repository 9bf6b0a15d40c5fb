"""What is measured of a cell."""

from __future__ import annotations

import random
import re
import sys

import numpy as np
import pytest
import torch

import prunevis as pv
from prunevis.errors import ModelError, SpecError
from prunevis.sweeps import COLUMNS, Cell, measure_cell, run_cell
from prunevis.sweeps.running import _dense, forget
from prunevis.sweeps.table import FIGURES
from prunevis.training import make_schedule


def cell(folder, **more) -> Cell:
    told = {"model": folder.of("fixed"), "data": folder.of("data"), **more}
    return Cell(**told)


def own(folder):
    sys.path.insert(0, str(folder.path))
    try:
        return __import__(folder.name)
    finally:
        sys.path.remove(str(folder.path))


@pytest.mark.parametrize(
    "fields",
    [
        {"sparsity": 0.5},
        {"criterion": "random", "sparsity": 0.75, "seed": 3},
        {"criterion": "l2", "granularity": "unit", "scope": "layer", "sparsity": 0.5},
        {"sparsity": None, "keep": 0.5, "of": "params"},
    ],
)
def test_a_row_is_what_prune_says(folder, fields) -> None:
    row = run_cell(cell(folder, **fields), str(folder.path))
    module = own(folder)
    if fields["sparsity"] is None:
        del fields["sparsity"]
    found = pv.prune(module.fixed(), module.data(), **fields)
    assert row["status"] == "ok"
    assert row["accuracy_dense"] == found.accuracy_before
    assert row["accuracy_pruned"] == row["accuracy"] == found.accuracy_after
    assert row["loss"] == pytest.approx(found.after.loss, abs=1e-6)
    cost = found.cost_after
    for name in ("nonzero_params", "effective_macs", "bytes", "compression_ratio", "storage"):
        assert row[name] == getattr(cost, name), name
    assert row["params"] == cost.num_params
    assert row["theoretical_speedup"] == cost.theoretical_speedup
    assert row["achieved_sparsity"] == found.plan.achieved_sparsity
    # 6 → 8 → 3: 48 + 24 weights, 8 + 3 biases
    assert (row["params_dense"], row["macs_dense"], row["examples"]) == (83, 72, 90)
    assert (row["steps"], row["torch"]) == (0, torch.__version__)


def test_fine_tuning_is_that_of_fine_tune(folder) -> None:
    row = run_cell(cell(folder, sparsity=0.6, epochs=3, lr=0.1, seed=2), str(folder.path))
    module = own(folder)
    model, data = module.fixed(), module.data()
    plan = pv.rank(model, pv.PruningSpec(sparsity=0.6, seed=2), data=data,
                   graph=pv.trace(model, data.test[0][:1])).plan()  # fmt: skip
    tuned = pv.fine_tune(model, data, plan=plan, epochs=3, lr=0.1, seed=2)
    assert row["accuracy_pruned"] == tuned.before.accuracy
    assert row["accuracy"] == tuned.after.accuracy != tuned.before.accuracy
    assert row["steps"] == 3  # 64 examples are one batch


def test_a_schedule_runs_as_run_schedule_and_twice_the_same(folder) -> None:
    options = (("epochs", 2.0), ("rounds", 2))
    one = cell(folder, sparsity=0.6, schedule="iterative", schedule_options=options, lr=0.1)
    row = run_cell(one, str(folder.path))
    module = own(folder)
    made = make_schedule("iterative", rounds=2, epochs=2.0)
    found = pv.run_schedule(module.fixed(), module.data(), made, sparsity=0.6, lr=0.1)
    assert row["status"] == "ok", row
    assert row["accuracy"] == found.after.accuracy
    assert (row["steps"], row["accuracy_pruned"], row["lr"]) == (4, None, 0.1)
    assert row["nonzero_params"] == found.cost_after.nonzero_params
    again = run_cell(one, str(folder.path))
    assert {**row, "seconds": 0} == {**again, "seconds": 0}


def test_the_same_cell_has_the_same_figures_whatever_ran_before(folder) -> None:
    cells = [cell(folder, criterion=name, sparsity=0.5, epochs=1, seed=1)
             for name in ("random", "snip")]  # fmt: skip
    first = [run_cell(one, str(folder.path)) for one in cells]
    forget()
    torch.manual_seed(99)
    again = [run_cell(one, str(folder.path)) for one in reversed(cells)][::-1]
    for one, two in zip(first, again, strict=True):
        assert {k: one[k] for k in one if k != "seconds"} == {
            k: two[k] for k in two if k != "seconds"
        }


def test_nothing_of_the_process_is_changed(folder) -> None:
    python, numpy, state = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    path, threads = list(sys.path), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_cell(cell(folder, epochs=1), str(folder.path))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state)
    assert sys.path == path


def test_a_network_that_takes_a_seed_is_another_one_for_each(folder) -> None:
    rows = [run_cell(cell(folder, model=folder.of("network"), seed=k, sparsity=0.0),
                     str(folder.path)) for k in (0, 1, 0)]  # fmt: skip
    assert rows[0]["loss"] == rows[2]["loss"] != rows[1]["loss"]
    assert folder.started == [0, 1]


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"model": "no_such_module_x:net"}, "module 'no_such_module_x' cannot be imported"),
        ({"model": "OWN:nothing"}, "holds no function 'nothing'"),
        ({"model": "OWN:no_network"}, "returns no network.*Got: int"),
        ({"model": "OWN:broken"}, "RuntimeError: the disk is full"),
        ({"data": "OWN:test_only", "epochs": 1}, "no training examples"),
        ({"epochs": 2, "lr": 1e30}, "diverged"),
        ({"layers": (("fc9", None),)}, "fc9"),
    ],
)
def test_what_fails_is_a_row_that_says_why(folder, fields, match) -> None:
    told = {k: v.replace("OWN", folder.name) if isinstance(v, str) else v
            for k, v in fields.items()}  # fmt: skip
    row = run_cell(cell(folder, **told), str(folder.path))
    assert row["status"] == "failed"
    assert re.search(match, row["error"])
    assert "\n" not in row["error"]
    assert row.get("accuracy") is None
    assert row["seed"] == 0
    assert row["torch"] == torch.__version__


def test_the_traceback_can_be_had(folder) -> None:
    with pytest.raises(RuntimeError, match="the disk is full"):
        measure_cell(cell(folder, model=folder.of("broken")), str(folder.path))
    with pytest.raises(ModelError, match="returns no network"):
        measure_cell(cell(folder, model=folder.of("no_network")), str(folder.path))
    with pytest.raises(SpecError, match="cannot be imported"):
        measure_cell(cell(folder, model="no_such_module_x:net"))


def test_a_row_has_the_columns_of_the_table(folder) -> None:
    row = run_cell(cell(folder, layers=(("0", 0.25),)), str(folder.path))
    assert set(row) | {"error"} == set(COLUMNS)
    for name, kind in FIGURES.items():
        assert name == "error" or type(row[name]) is kind, name
    assert row["layers"] == '[["0", 0.25]]'


def test_what_cells_have_in_common_is_let_go(folder) -> None:
    run_cell(cell(folder), str(folder.path))
    assert _dense.cache_info().currsize == 1
    forget()
    assert _dense.cache_info().currsize == 0
