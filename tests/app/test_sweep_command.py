"""`prunevis sweep`: what it takes, what it says, how it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prunevis.app import cli
from prunevis.app.commands import ALL
from prunevis.app.commands.sweep import bar, clock
from prunevis.sweeps import SweepProgress, read_sweep
from prunevis.sweeps.running import forget

MODULE = """
import torch
from torch import nn


def network(seed):
    if seed == 1:
        raise RuntimeError("no luck")
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def data():
    return torch.arange(40.0).reshape(10, 4), torch.arange(10) % 2
"""


@pytest.fixture
def grid(tmp_path: Path):
    name = f"command_cells_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    place = tmp_path / "small.toml"
    place.write_text(
        f'[grid]\nmodel = "{name}:network"\ndata = "{name}:data"\nseed = [0, 2]', encoding="utf-8"
    )
    yield place
    forget()
    sys.modules.pop(name, None)


def more(grid: Path, old: str, new: str) -> None:
    grid.write_text(grid.read_text("utf-8").replace(old, new), encoding="utf-8")


def test_each_subcommand_is_in_a_file_of_its_own(capsys) -> None:
    cli.main([])
    out = capsys.readouterr().out
    for command in ALL:
        assert command.__name__.rpartition(".")[2] in out


def test_a_sweep_from_the_command_line(grid: Path, capsys) -> None:
    assert cli.main(["sweep", str(grid), "--dry-run"]) == 0
    assert capsys.readouterr().out == "2 cells, 0 have a result.\n"
    assert not (grid.parent / "small-results").exists()
    assert cli.main(["sweep", str(grid)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("] ")[1].split(",")[0] for line in lines[:3]] == [
        "0 of 2",
        "1 of 2",
        "2 of 2",
    ]
    table = grid.parent / "small-results" / "table.csv"
    assert lines[3:] == [f"2 cells. {table}"]
    assert [row["seed"] for row in read_sweep(table)] == [0, 2]


def test_a_failure_is_said_and_is_the_exit_status(grid: Path, capsys, tmp_path: Path) -> None:
    more(grid, "[0, 2]", "[0, 1]")
    out = tmp_path / "other"
    assert cli.main(["sweep", str(grid), "--out", str(out)]) == 1
    said = capsys.readouterr()
    key = read_sweep(out)[1]["cell"]
    assert said.err == f"{key} failed: RuntimeError: no luck\n"
    assert said.out.endswith(f"2 cells, 1 of them failed. {out / 'table.csv'}\n")
    assert cli.main(["sweep", str(grid), "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out == "2 cells, 2 have a result, 1 of them failed.\n"
    assert cli.main(["sweep", str(grid), "--out", str(out), "--retry-failed"]) == 1
    assert "2 of 2, 1 failed" in capsys.readouterr().out


def test_a_wrong_grid_is_one_sentence(grid: Path, capsys) -> None:
    more(grid, "seed", "sede")
    assert cli.main(["sweep", str(grid)]) == 1
    said = capsys.readouterr()
    assert "Did you mean 'seed'?" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_ctrl_c_says_how_to_go_on(grid: Path, capsys, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("prunevis.sweeps.local.run_cell", stop)
    assert cli.main(["sweep", str(grid)]) == 130
    assert "Run the same command again" in capsys.readouterr().err
    monkeypatch.undo()
    assert cli.main(["sweep", str(grid)]) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("sweep", "GRID.toml"),
        ("sweep g.toml --workers -1", "--workers"),
        ("sweep g.toml --workers many", "a number from 0"),
        ("sweep g.toml --workers 2 --scheduler tcp://a:1", "not allowed with argument"),
    ],
)
def test_wrong_arguments(capsys, arguments: str, text: str) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments.split())
    assert end.value.code == 2
    assert text in capsys.readouterr().err


def test_the_bar() -> None:
    assert bar(SweepProgress(0, 4, 0, 0, 0.0, None)) == "[" + "-" * 28 + "] 0 of 4"
    assert (
        bar(SweepProgress(1, 4, 1, 0, 0.0, None)) == "[" + "#" * 7 + "-" * 21 + "] 1 of 4, 1 found"
    )
    row = {"status": "ok"}
    half = bar(SweepProgress(2, 4, 0, 1, 42.0, 42.4, row))
    assert half == "[" + "#" * 14 + "-" * 14 + "] 2 of 4, 1 failed, 0:42 left"
    assert bar(SweepProgress(4, 4, 0, 0, 84.0, 0.0, row)) == "[" + "#" * 28 + "] 4 of 4"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7380, "2:03:00")]
)
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
