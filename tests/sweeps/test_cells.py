"""A cell: checked, the same name everywhere, plain data."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.errors import SpecError, UnknownNameError
from prunevis.sweeps import Cell
from prunevis.sweeps.cells import DEFAULTS, FIELDS
from prunevis.sweeps.names import check_name
from prunevis.training import make_schedule
from prunevis.zoo import MODELS

CELLS = st.builds(
    Cell,
    model=st.sampled_from(["lenet5", "resnet8", "nets:small", "a.b:c.d"]),
    criterion=st.sampled_from(["magnitude", "random"]),
    scope=st.sampled_from(["layer", "global"]),
    sparsity=st.floats(0, 0.5),
    layers=st.sampled_from([None, (("conv1", None), ("fc1", 0.25))]),
    pattern=st.sampled_from([None, "2:4"]),
    epochs=st.integers(0, 3),
    lr=st.floats(1e-5, 1),
    seed=st.integers(0, 10**6),
)


@given(CELLS)
def test_a_cell_is_plain_data_and_comes_back(cell: Cell) -> None:
    told = json.loads(json.dumps(cell.as_dict()))
    again = Cell.from_dict(told)
    assert again == cell
    assert again.key == cell.key
    assert tuple(told) == FIELDS


@given(CELLS, CELLS)
def test_two_cells_have_one_name_only_if_they_are_equal(one: Cell, two: Cell) -> None:
    assert (one.key == two.key) == (one == two)


def test_a_name_never_changes() -> None:
    # written into results that people keep: the JSON of what is not at its default
    for cell, told in (
        (Cell("lenet5"), '{"model":"lenet5"}'),
        (Cell("lenet5", seed=1, sparsity=0.9), '{"model":"lenet5","seed":1,"sparsity":0.9}'),
    ):
        assert cell.key == hashlib.sha256(told.encode()).hexdigest()[:16]


def test_a_name_is_the_same_in_another_process() -> None:
    code = "from prunevis.sweeps import Cell; print(Cell('lenet5', sparsity=0.9, seed=3).key)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Cell("lenet5", sparsity=0.9, seed=3).key


def test_values_at_their_defaults_do_not_count() -> None:
    assert Cell.from_dict({"model": "lenet5"}).key == Cell.from_dict(Cell("lenet5").as_dict()).key
    assert set(DEFAULTS) == set(FIELDS) - {"model"}


def test_without_epochs_it_does_not_matter_how_one_would_train() -> None:
    assert Cell("lenet5", lr=0.1, batch_size=64, lr_schedule="constant") == Cell("lenet5")
    assert Cell("lenet5", epochs=1, lr=0.1) != Cell("lenet5", epochs=1)
    assert Cell("lenet5").settings is None
    assert Cell("lenet5", epochs=2, lr_schedule="constant", seed=4).settings.schedule == "constant"


def test_whole_sparsities_are_numbers() -> None:
    assert Cell("lenet5", sparsity=0).key == Cell("lenet5", sparsity=0.0).key


def test_a_cell_in_words() -> None:
    assert str(Cell("lenet5")) == "lenet5"
    assert str(Cell("lenet5", sparsity=0.9, seed=2)) == "lenet5, sparsity 0.9, seed 2"


def test_a_schedule_has_its_own_epochs_and_is_trained_with_the_cell_s_rate() -> None:
    cell = Cell("lenet5", schedule="iterative", schedule_options=(("rounds", 2),), lr=0.1)
    assert cell.when == make_schedule("iterative", rounds=2)
    assert cell.settings.lr == 0.1
    assert cell != Cell("lenet5", schedule="iterative", lr=0.1)
    assert Cell.from_dict(json.loads(json.dumps(cell.as_dict()))) == cell


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"model": "lenet6"}, UnknownNameError, "Did you mean 'lenet5'"),
        ({"data": "mnist"}, UnknownNameError, "fashion-mnist"),
        ({"model": 5}, SpecError, r"`model` holds what it cannot.*text.*5"),
        ({"model": "nets:"}, SpecError, r"names no function.*module:function"),
        ({"model": "my nets:small"}, SpecError, "names no function"),
        ({"criterion": "magnitud"}, UnknownNameError, "Did you mean 'magnitude'"),
        ({"criterion": "l2"}, SpecError, r"'l2' does not score single weights.*\[\[grid\]\]"),
        ({"sparsity": "0.5"}, SpecError, r"`sparsity`.*a number.*'0.5'"),
        ({"sparsity": True}, SpecError, r"`sparsity`.*a number.*True"),
        ({"sparsity": 90}, SpecError, "Did you mean 0.9"),
        ({"seed": 1.5}, SpecError, r"`seed`.*whole number.*1.5"),
        ({"seed": -1}, SpecError, r"`seed`.*from 0"),
        ({"epochs": -1}, SpecError, "`epochs`"),
        ({"epochs": 1, "lr": 0}, SpecError, "`lr` must be above 0"),
        ({"epochs": 1, "lr_schedule": "stair"}, SpecError, "no schedule 'stair'"),
        ({"schedule": "oneshot"}, UnknownNameError, r"'oneshot'.*Did you mean 'one-shot'"),
        ({"schedule": "cubic", "epochs": 2}, SpecError, "'cubic' has epochs of its own"),
        ({"schedule": "slimming"}, SpecError, "prunes units only"),
        ({"schedule": "cubic", "schedule_options": (("pow", 1),)}, SpecError, "no field 'pow'"),
        ({"schedule_options": (("n", 3),)}, SpecError, "One shot has nothing to set"),
        ({"granularity": "filter"}, SpecError, "no granularity 'filter'"),
        ({"layers": "fc1"}, SpecError, r"`layers`.*names of layers"),
        ({"pattern": "2:x"}, SpecError, "2:x"),
        ({"repair": "glue"}, UnknownNameError, "glue"),
        ({"sparsty": 0.5}, SpecError, r"no field of a cell 'sparsty'.*Did you mean 'sparsity'"),
    ],
)
def test_what_is_refused(fields: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Cell.from_dict({"model": "lenet5", **fields})


def test_a_cell_needs_a_model() -> None:
    with pytest.raises(SpecError, match="A cell has no model"):
        Cell.from_dict({"seed": 1})


def test_checking_a_name_imports_nothing() -> None:
    assert check_name("no_such_module:net", MODELS) == "no_such_module:net"
