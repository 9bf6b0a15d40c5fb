"""A grid: read from TOML, all combinations in order, refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunevis.errors import PrunevisError, SpecError, UnknownNameError
from prunevis.sweeps import Grid, read_grid

TEXT = """
name = "two small ones"

[[grid]]
model = ["lenet5", "lenet-300-100"]
sparsity = [0.5, 0.9]
seed = [0, 1]
epochs = 1

[[grid]]
model = "lenet5"
criterion = "l2"
granularity = "unit"
keep = 0.5
of = "macs"
"""


def written(tmp_path: Path, text: str) -> Path:
    place = tmp_path / "grid.toml"
    place.write_text(text, encoding="utf-8")
    return place


def test_a_grid_is_all_combinations_seeds_next_to_each_other(tmp_path: Path) -> None:
    grid = read_grid(written(tmp_path, TEXT))
    assert [(c.model, c.sparsity, c.seed) for c in grid.cells] == [
        ("lenet5", 0.5, 0),
        ("lenet5", 0.5, 1),
        ("lenet5", 0.9, 0),
        ("lenet5", 0.9, 1),
        ("lenet-300-100", 0.5, 0),
        ("lenet-300-100", 0.5, 1),
        ("lenet-300-100", 0.9, 0),
        ("lenet-300-100", 0.9, 1),
        ("lenet5", None, 0),
    ]
    assert {c.epochs for c in grid.cells[:8]} == {1}
    assert (grid.cells[8].keep, grid.cells[8].of, grid.cells[8].granularity) == (
        0.5,
        "macs",
        "unit",
    )
    assert (grid.name, grid.text, grid.folder) == ("two small ones", TEXT, str(tmp_path))


def test_one_table_will_do(tmp_path: Path) -> None:
    assert len(read_grid(written(tmp_path, '[grid]\nmodel = "lenet5"'))) == 1


def test_what_makes_no_difference_runs_once() -> None:
    grid = Grid.of({"model": "lenet5", "epochs": [0, 1], "lr": [0.1, 0.01]})
    assert [(c.epochs, c.lr) for c in grid.cells] == [(0, 0.01), (1, 0.1), (1, 0.01)]


def test_layers_patterns_and_schedules() -> None:
    told = {
        "model": "lenet5",
        "layers": ["all", ["conv1", "conv2"], {"fc1": 0.3}],
        "pattern": ["none", "2:4"],
        "schedule": {"name": "one-shot"},
    }
    # a choice among kinds of layers cannot be told from names of layers by type alone
    with pytest.raises(SpecError, match="no layers"):
        Grid.of({**told, "layers": [["conv1"], 3]})
    grid = Grid.of(told)
    assert [(c.layers, c.pattern) for c in grid.cells] == [
        (layers, pattern)
        for layers in (None, (("conv1", None), ("conv2", None)), (("fc1", 0.3),))
        for pattern in (None, "2:4")
    ]
    assert {c.schedule for c in grid.cells} == {"one-shot"}


@given(
    st.lists(st.floats(0, 0.9), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
)
def test_a_grid_has_as_many_cells_as_combinations(shares: list[float], seeds: list[int]) -> None:
    grid = Grid.of({"model": "lenet5", "sparsity": shares, "seed": seeds})
    assert len(grid) == len(shares) * len(seeds) == len({cell.key for cell in grid.cells})


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("", SpecError, "The grid is empty"),
        ("grid = 3", SpecError, "a table or several"),
        ("name = 3\n[grid]", SpecError, "`name` is a text"),
        ("[[grid]", SpecError, r"no TOML.*line 1"),
        ('[gird]\nmodel = "lenet5"', SpecError, r"'gird'.*Did you mean 'grid'"),
        ("[grid]\nseed = 1", SpecError, "The grid has no model"),
        ('[grid]\nmodel = "lenet5"\nsparsities = 0.5', SpecError, "Did you mean 'sparsity'"),
        ('[grid]\nmodel = "lenet5"\nseed = []', SpecError, "The axis `seed` is empty"),
        ('[grid]\nmodel = "lenet5"\nlayers = []', SpecError, "The axis `layers` is empty"),
        ('[grid]\nmodel = "lenet5"\nseed = [1, 2, 1]', SpecError, "`seed` names a value twice.*1"),
        ('[grid]\nmodel = "lenet5"\nsparsity = [0, 0.0]', SpecError, "names a value twice"),
        ('[grid]\nmodel = "lenet5"\nkeep = 0.5\nsparsity = 0.5', SpecError, "says twice"),
        ('[grid]\nmodel = "lenet5"\nof = "macs"', SpecError, "`of` says what a share is kept of"),
        ('[grid]\nmodel = "lenet5"\nlayers = ["a", "b"]', SpecError, "together, or one at a time"),
        ('[grid]\nmodel = "lenet5"\nschedule = {n = 1}', SpecError, "A schedule has no name"),
        ('[grid]\nmodel = ["lenet5", "x"]', UnknownNameError, "no model called 'x'.*grid: model x"),
        ('[grid]\nmodel = "lenet5"\nsparsity = [0.5, "a"]', SpecError, "sparsity a"),
        ('[grid]\nmodel = "lenet5"\nsparsity = [0.5, 1.5]', SpecError, "sparsity 1.5"),
        (
            '[[grid]]\nmodel = "lenet5"\n[[grid]]\nmodel = "lenet5"\nseed = [1, 0]',
            SpecError,
            "stands in the grid twice.*grid 2",
        ),
        (
            '[[grid]]\nmodel = "lenet5"\n[[grid]]\nmodel = "lenet5"\ncriterion = "l2"',
            SpecError,
            r"does not score single weights.*grid 2: model lenet5",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, error: type[PrunevisError], match: str) -> None:
    with pytest.raises(error, match=match):
        read_grid(written(tmp_path, text))


def test_a_grid_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot be read.*No such file"):
        read_grid(tmp_path / "none.toml")


def test_too_many_cells_are_refused_before_they_are_made() -> None:
    with pytest.raises(SpecError, match="at most 100,000"):
        Grid.of({"model": "lenet5", "seed": list(range(1000)), "epochs": list(range(101))})
