"""A grid: experiments as data, read from TOML and checked before anything runs.

Every key is an axis with one value or a list of them, and all combinations run; several
``[[grid]]`` are run one after another::

    [[grid]]
    model = ["lenet-300-100", "lenet5"]
    criterion = ["magnitude", "random"]
    sparsity = [0.5, 0.8, 0.9]
    seed = [0, 1, 2]
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from prunevis.errors import PrunevisError, SpecError
from prunevis.sweeps.cells import FIELDS, Cell, nearest

#: Most cells of a grid: each is a file.
MOST_CELLS = 100_000
#: Keys of a grid's file.
KEYS = ("name", "grid")
#: Axes, the slowest first.
AXES = tuple(name for name in FIELDS if name != "schedule_options")


@dataclass(frozen=True)
class Grid:
    """Cells that are to run.

    Attributes
    ----------
    cells
        Each once, in the order of the axes: all of one network together, seeds next to each other.
    name
        For the reader; may be "".
    folder
        Where "module:function" is looked for first: where the file lies. None: nowhere else.
    text
        The TOML that it was read from, or "".
    """

    cells: tuple[Cell, ...]
    name: str = ""
    folder: str | None = None
    text: str = field(default="", repr=False)

    def __len__(self) -> int:
        return len(self.cells)

    @staticmethod
    def of(*parts: Mapping[str, Any], name: str = "", folder: str | None = None) -> Grid:
        """Return the grid of one mapping or several: from each axis to a value or a list of them.

        Raises
        ------
        SpecError, UnknownNameError
            If an axis is unknown, empty, names a value twice or holds one that is not allowed; if
            two parts hold the same cell; if there are too many cells, or none.

        Examples
        --------
        >>> len(Grid.of({"model": "lenet5", "sparsity": [0.5, 0.9], "seed": [0, 1, 2]}))
        6
        """
        if not parts:
            raise SpecError("The grid is empty.", fix='Write [[grid]] and model = "lenet5".')
        cells: dict[str, Cell] = {}
        for place, part in enumerate(parts):
            where = "grid" if len(parts) == 1 else f"grid {place + 1}"
            # what differs only in something that does not matter is one cell: no epochs, two rates
            new = {cell.key: cell for cell in _cells(part, where)}
            for key in new.keys() & cells.keys():
                raise SpecError(
                    "A cell stands in the grid twice.",
                    got=new[key],
                    where=f"{where} and one before it",
                    fix="Each experiment runs once: take it out of one of them.",
                )
            cells.update(new)
        return Grid(tuple(cells.values()), name, folder)


def read_grid(path: str | os.PathLike[str]) -> Grid:
    """Return the grid of a TOML file.

    Raises
    ------
    SpecError, UnknownNameError
        If the file cannot be read, is no TOML, or holds something that is not allowed; the message
        says where.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
        told = tomllib.loads(text)
    except OSError as error:
        raise SpecError("The grid cannot be read.", got=error.strerror, where=place) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError("The grid is no TOML.", got=str(error), where=place) from error
    for key in told:
        nearest(key, KEYS, "key of a grid's file,")
    name, parts = told.get("name", ""), told.get("grid", [])
    if not isinstance(name, str):
        raise SpecError("`name` is a text.", got=repr(name), where=place)
    parts = [parts] if isinstance(parts, Mapping) else parts
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise SpecError("`grid` is a table or several.", expected="[grid] or [[grid]]", where=place)
    found = Grid.of(*parts, name=name, folder=str(place.resolve().parent))
    return Grid(found.cells, found.name, found.folder, text)


def _cells(part: Mapping[str, Any], where: str) -> Iterable[Cell]:
    """Return the combinations of one part, in the order of the axes."""
    for name in part:
        nearest(name, AXES, f"axis of a {where.split()[0]},")
    if "model" not in part:
        raise SpecError("The grid has no model.", where=where, fix='Write e.g. model = "lenet5".')
    if "keep" in part and "sparsity" in part:
        raise SpecError(
            "The grid says twice how much is pruned.",
            got="sparsity and keep",
            where=where,
            fix="Leave one of them out, or give each a [[grid]] of its own.",
        )
    if "of" in part and "keep" not in part:
        raise SpecError(
            "`of` says what a share is kept of, and no share is.",
            where=where,
            fix='Write e.g. keep = [0.5, 0.25] and of = "macs".',
        )
    axes = {name: _values(name, part[name], where) for name in AXES if name in part}
    count = prod(len(values) for values in axes.values())
    if count > MOST_CELLS:
        raise SpecError(
            "The grid has too many cells.",
            expected=f"at most {MOST_CELLS:,}",
            got=f"{count:,}",
            where=where,
        )
    for combination in product(*axes.values()):
        told = dict(zip(axes, combination, strict=True))
        told.update(_told_of_schedule(told.get("schedule", "one-shot"), where))
        if "keep" in told:
            told["sparsity"] = None
        try:
            yield Cell.from_dict(told)
        except PrunevisError as error:
            if error.where is not None and str(error.where).startswith(where):
                raise
            named = ", ".join(f"{k} {_short(v)}" for k, v in zip(axes, combination, strict=True))
            raise type(error)(
                error.problem,
                expected=error.expected,
                got=error.got,
                where=f"{where}: {named}",
                fix=error.fix,
            ) from error


def _values(name: str, told: Any, where: str) -> list[Any]:
    """Return the values of an axis, each once."""
    if name == "layers":
        values = _layers(told, where)
    else:
        values = list(told) if isinstance(told, list) else [told]
    if not values:
        raise SpecError(
            f"The axis `{name}` is empty.", where=where, fix="Give it a value, or leave it out."
        )
    if name == "pattern":
        values = [None if value == "none" else value for value in values]
    seen: set[str] = set()
    for value in values:
        # 1 and 1.0 are one sparsity, and true is no number
        if isinstance(value, int) and not isinstance(value, bool):
            key = repr(float(value))
        else:
            key = json.dumps(value, sort_keys=True, default=str)
        if key in seen:
            raise SpecError(
                f"The axis `{name}` names a value twice.", got=_short(value), where=where
            )
        seen.add(key)
    return values


def _layers(told: Any, where: str) -> list[Any]:
    """Return choices of layers: None for all, lists of names, or pairs of name and sparsity."""
    several = isinstance(told, list) and not all(isinstance(name, str) for name in told)
    choices = told if several or told == [] else [told]
    found: list[Any] = []
    for choice in choices:
        if choice == "all":
            found.append(None)
        elif isinstance(choice, Mapping):
            found.append([[name, value] for name, value in choice.items()])
        elif isinstance(choice, list) and choice and all(isinstance(n, str) for n in choice):
            if not several:
                raise SpecError(
                    "Are these layers that are pruned together, or one at a time?",
                    got=_short(told),
                    where=f"{where}, layers",
                    fix='Write [["a", "b"]] for together, [["a"], ["b"]] for one at a time.',
                )
            found.append([[name, None] for name in choice])
        else:
            raise SpecError(
                "These are no layers.",
                expected='"all", a list of lists of names, or {name = sparsity}',
                got=_short(choice),
                where=f"{where}, layers",
            )
    return found


def _told_of_schedule(told: Any, where: str) -> dict[str, Any]:
    """Return a schedule's name and options, of ``"one-shot"`` or ``{name = "one-shot", ...}``."""
    if not isinstance(told, Mapping):
        return {"schedule": told}
    if not isinstance(told.get("name"), str):
        raise SpecError(
            "A schedule has no name.",
            got=_short(told),
            where=f"{where}, schedule",
            fix='Write {name = "one-shot"}.',
        )
    options = sorted((key, value) for key, value in told.items() if key != "name")
    return {"schedule": told["name"], "schedule_options": tuple(options)}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
