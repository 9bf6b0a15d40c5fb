"""The table of results: one row a cell, one column a thing, the same types in every file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prunevis.errors import DataError, SpecError
from prunevis.sweeps.cells import FIELDS, NUMBERS, WHOLE

#: What a cell came to, in this order, after its own fields.
FIGURES: dict[str, type] = {
    "status": str,
    "error": str,
    "accuracy_dense": float,
    "accuracy_pruned": float,
    "accuracy": float,
    "loss_dense": float,
    "loss_pruned": float,
    "loss": float,
    "examples": int,
    "achieved_sparsity": float,
    "params_dense": int,
    "params": int,
    "nonzero_params": int,
    "bytes_dense": int,
    "bytes": int,
    "storage": str,
    "macs_dense": int,
    "macs": int,
    "effective_macs": int,
    "compression_ratio": float,
    "theoretical_speedup": float,
    "steps": int,
    "seconds": float,
    "prunevis": str,
    "torch": str,
    "python": str,
}
#: All columns, with the type of what they hold; any may be None.
COLUMNS: dict[str, type] = {
    "cell": str,
    **{name: float if name in NUMBERS else int if name in WHOLE else str for name in FIELDS},
    **FIGURES,
}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old one or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def write_csv(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows as CSV, UTF-8; None is an empty place, and numbers keep all their digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (row.get(name) for name in COLUMNS)
        writer.writerow("" if value is None else value for value in values)
    write_atomically(path, text.getvalue().encode("utf-8"))


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path) -> bool:
    """Write rows as Parquet if pyarrow is installed; return whether it was."""
    if find_spec("pyarrow") is None:
        return False
    import pyarrow
    import pyarrow.parquet

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    filled = [{name: row.get(name) for name in COLUMNS} for row in rows]
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(filled, schema=schema), content)
    write_atomically(path, content.getvalue().to_pybytes())
    return True


def read_sweep(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a sweep: of its table, or of the folder that it lies in.

    Parameters
    ----------
    path
        ``table.csv``, ``table.parquet``, or the folder that `prunevis sweep` wrote them to.

    Returns
    -------
    list of dict
        By column, with the types of `COLUMNS`; None where nothing was measured.

    Raises
    ------
    DataError
        If there is no such table, or it is none of a sweep's.
    SpecError
        If it is Parquet and pyarrow is not installed.
    """
    place = Path(path)
    if place.is_dir():
        place = place / "table.csv"
    if not place.is_file():
        raise DataError("There is no table of a sweep.", where=place)
    if place.suffix == ".parquet":
        if find_spec("pyarrow") is None:
            raise SpecError(
                "Parquet cannot be read without pyarrow.", fix="Read table.csv, which is the same."
            )
        import pyarrow.parquet

        return pyarrow.parquet.read_table(place).to_pylist()
    with place.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                "This is no table of a sweep.",
                expected="columns " + ", ".join(COLUMNS),
                got="none called " + ", ".join(missing),
                where=place,
            )
        return [{name: _typed(name, text) for name, text in row.items()} for row in reader]


def _typed(name: str, text: str) -> Any:
    return None if text == "" else COLUMNS.get(name, str)(text)
