"""Results on the disk: each written once and whole, and the table that is made of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from prunevis.errors import DataError, SpecError
from prunevis.sweeps import COLUMNS, Cell, read_sweep
from prunevis.sweeps.running import failed, row_of
from prunevis.sweeps.store import Store
from prunevis.sweeps.table import FIGURES, write_csv, write_parquet

OK = {
    **{name: kind(3) for name, kind in FIGURES.items() if kind is not str},
    **{"status": "ok", "error": None, "storage": "csr", "accuracy": 0.1 + 0.2, "loss": 1e-17},
}


def rows() -> list[dict[str, Any]]:
    return [
        row_of(Cell("lenet5", layers=(("fc1", 0.5),), sparsity=1 / 3), OK),
        failed(Cell("lenet5", seed=1, pattern="2:4"), 'it said "no", in\ntwo lines; ünd', 0.25),
    ]


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    write_csv(rows(), tmp_path / "table.csv")
    found = read_sweep(tmp_path)
    assert found == [{name: row.get(name) for name in COLUMNS} for row in rows()]
    assert found == read_sweep(tmp_path / "table.csv")
    for row in found:
        for name, value in row.items():
            assert value is None or type(value) is COLUMNS[name], name
    assert (found[0]["accuracy"], found[0]["sparsity"], found[0]["keep"]) == (
        0.1 + 0.2,
        1 / 3,
        None,
    )
    assert (found[1]["error"], found[1]["loss"]) == ('it said "no", in\ntwo lines; ünd', None)


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    store = Store(tmp_path)
    store.write_table(rows())
    assert read_sweep(tmp_path / "table.parquet") == read_sweep(tmp_path / "table.csv")


def test_without_pyarrow_there_is_csv_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunevis.sweeps.table.find_spec", lambda name: None)
    store = Store(tmp_path)
    store.write_table(rows())
    assert write_parquet(rows(), tmp_path / "other.parquet") is False
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    (tmp_path / "table.parquet").touch()
    with pytest.raises(SpecError, match=r"without pyarrow.*table\.csv"):
        read_sweep(tmp_path / "table.parquet")


def test_what_is_no_table_of_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of a sweep"):
        read_sweep(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="none called cell, model"):
        read_sweep(tmp_path)


def test_a_cell_is_written_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.alone():
        one = rows()[0]
        assert store.write(one) is True
        assert store.write({**one, "accuracy": 0.0}) is False
        assert store.read([one["cell"]]) == {one["cell"]: json.loads(json.dumps(one))}
    assert [file.name for file in store.cells.iterdir()] == [f"{one['cell']}.json"]


def test_also_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    test_a_cell_is_written_once(tmp_path)


def test_what_a_kill_left_behind_is_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = rows()
    with store.alone():
        store.write(two)
    (store.cells / f".{one['cell']}.json.1.tmp").write_text('{"cell": "ab', encoding="utf-8")
    (store.cells / f"{one['cell']}.json").write_text('{"cell": "ab', encoding="utf-8")
    assert store.read([one["cell"], two["cell"]], mend=False).keys() == {two["cell"]}
    assert (store.cells / f"{one['cell']}.json").exists()
    with store.alone():
        assert store.read([one["cell"], two["cell"]]).keys() == {two["cell"]}
        assert store.write(one) is True
    names = sorted(file.name for file in store.cells.iterdir())
    assert names == sorted([f"{one['cell']}.broken", f"{one['cell']}.json", f"{two['cell']}.json"])


def test_another_cell_s_result_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = rows()
    with store.alone():
        store.write(one)
    os.rename(store.cells / f"{one['cell']}.json", store.cells / f"{two['cell']}.json")
    assert store.read([two["cell"]]) == {}


def test_two_sweeps_cannot_write_to_one_folder(tmp_path: Path) -> None:
    refused = pytest.raises(SpecError, match="Another sweep is writing")
    with Store(tmp_path).alone(), refused, Store(tmp_path).alone():
        pass
    with Store(tmp_path).alone():
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(SpecError, match="Results cannot be written there")
    with refused, Store(tmp_path / "file").alone():
        pass
