"""Where results lie: a folder with one file a cell, each written once and whole.

::

    FOLDER/cells/3f2a….json   one row, as soon as the cell is done
    FOLDER/grid.toml          the grid, as it was when the sweep last began
    FOLDER/table.csv          all rows of the grid, in its order (and table.parquet)
    FOLDER/.lock              held while a sweep runs; the system lets go when the process ends

A cell's file is written under another name, flushed to the disk, and then linked to its own name,
which fails if that is taken: there is no moment at which half a file can be read, and no second
result for a cell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prunevis.errors import SpecError
from prunevis.sweeps.table import write_atomically, write_csv, write_parquet


class Store:
    """The folder of one sweep.

    Parameters
    ----------
    folder
        Is made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.cells = self.folder / "cells"
        self.table = self.folder / "table.csv"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises
        ------
        SpecError
            If another sweep is writing there, or the folder cannot be made.
        """
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("a")
        except OSError as error:
            raise SpecError(
                "Results cannot be written there.", got=error.strerror, where=self.folder
            ) from error
        with file:
            if not _locked(file.fileno()):
                raise SpecError(
                    "Another sweep is writing its results there.",
                    where=self.folder,
                    fix="Wait until it has ended, or choose another folder.",
                )
            for left in self.cells.glob(".*.tmp"):
                left.unlink()
            yield

    def read(self, keys: Iterable[str], *, mend: bool = True) -> dict[str, dict[str, Any]]:
        """Return the rows that are there, by cell; to mend is to set unreadable files aside."""
        found: dict[str, dict[str, Any]] = {}
        for key in keys:
            path = self._path(key)
            try:
                row = json.loads(path.read_text(encoding="utf-8"))
                fits = isinstance(row, dict) and row.get("cell") == key and "status" in row
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                row, fits = {}, False
            if fits:
                found[key] = row
            elif mend:
                os.replace(path, path.with_suffix(".broken"))
        return found

    def write(self, row: Mapping[str, Any]) -> bool:
        """Write a cell's row; return False, and change nothing, if there is one already."""
        path = self._path(row["cell"])
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(row, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: the lock alone keeps others out
            if path.exists():
                return False
            os.replace(beside, path)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
        return True

    def drop(self, keys: Iterable[str]) -> None:
        """Take out cells, so that they run again."""
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def write_grid(self, text: str) -> None:
        """Keep the grid beside its results."""
        write_atomically(self.folder / "grid.toml", text.encode("utf-8"))

    def write_table(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write all rows as CSV, and as Parquet where pyarrow is installed."""
        kept = list(rows)
        write_csv(kept, self.table)
        write_parquet(kept, self.folder / "table.parquet")

    def _path(self, key: str) -> Path:
        return self.cells / f"{key}.json"


def _locked(file: int) -> bool:
    """Lock an open file for this process until it is closed; return whether that worked."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
