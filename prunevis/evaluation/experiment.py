"""Any experiment made with prunevis as one list of points, whatever call it came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunevis.errors import DataError
from prunevis.evaluation.oneshot import Pruned
from prunevis.evaluation.race import draws
from prunevis.evaluation.race_records import Race
from prunevis.evaluation.tradeoff import Tradeoff
from prunevis.graph.cost import ModelCost
from prunevis.pruning.spec import PruningSpec


@dataclass(frozen=True, slots=True)
class Point:
    """One pruned network.

    Attributes
    ----------
    model, data
        Names, "" where they are not known.
    criterion, method
        The criterion; and all that tells one method from another, e.g. "l2, unit, global".
    scheduled
        Whether it was trained after or while it was pruned.
    seed
        Of the run; None if not known.
    drawn
        Whether another seed could give another result.
    asked
        The share that was to go, in [0, 1); runs of one method at the same share belong together.
    compression
        Parameters before / parameters left; NaN if not known.
    speedup
        Multiply-adds before / multiply-adds left; NaN if not known.
    before, after
        Top-1 accuracy of the dense and of the pruned network, in [0, 1]; `before` NaN if not known.
    """

    model: str
    data: str
    criterion: str
    method: str
    scheduled: bool
    seed: int | None
    drawn: bool
    asked: float
    compression: float
    speedup: float
    before: float
    after: float

    @property
    def pair(self) -> tuple[str, str]:
        """Model and data."""
        return self.model, self.data


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs of one method at one share.

    Attributes
    ----------
    model, data, method, asked
        As of its points.
    runs
        How many.
    compression, speedup, before, mean
        Means over the runs; accuracy in [0, 1].
    std
        Sample standard deviation (n − 1) of the accuracy; NaN for a single run.
    """

    model: str
    data: str
    method: str
    asked: float
    runs: int
    compression: float
    speedup: float
    before: float
    mean: float
    std: float

    @property
    def change(self) -> float:
        """Accuracy after − before, in [−1, 1]."""
        return self.mean - self.before


@dataclass(frozen=True, eq=False, slots=True)
class Experiment:
    """What was measured, in one form.

    Attributes
    ----------
    points
        One a pruned network.
    in_memory
        Whether results were handed over as they came out of a call: one trained network, one
        version of the code. Rows of a table can come from anywhere.
    columns
        Names of the columns of such a table.
    versions
        Every version that a table names, e.g. "prunevis 0.1.0".
    failed
        Rows without an accuracy, which are left out.
    """

    points: tuple[Point, ...]
    in_memory: bool
    columns: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ()
    failed: int = 0

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Model and data of the points, each pair once."""
        return tuple(dict.fromkeys(point.pair for point in self.points))

    def methods(self) -> dict[tuple[str, str, str], list[Point]]:
        """Return points by model, data and method, in the order they came."""
        found: dict[tuple[str, str, str], list[Point]] = {}
        for point in self.points:
            found.setdefault((*point.pair, point.method), []).append(point)
        return found

    def summaries(self) -> tuple[Summary, ...]:
        """Return means and sample standard deviations, by method and then share, ascending."""
        found = []
        for (model, data, method), points in self.methods().items():
            for asked in sorted({point.asked for point in points}):
                runs = [point for point in points if point.asked == asked]
                after = [run.after for run in runs]
                found.append(
                    Summary(
                        model,
                        data,
                        method,
                        asked,
                        len(runs),
                        float(np.mean([run.compression for run in runs])),
                        float(np.mean([run.speedup for run in runs])),
                        float(np.mean([run.before for run in runs])),
                        float(np.mean(after)),
                        float(np.std(after, ddof=1)) if len(after) > 1 else math.nan,
                    )
                )
        return tuple(found)


def experiment_of(found: Any, *, model: str = "", data: str = "") -> Experiment:
    """Return what was measured as an `Experiment`.

    Parameters
    ----------
    found
        A `Tradeoff`, a `Race` or a `Pruned`; rows of a table (mappings by column), such as those
        of a sweep; or several of them. A row has "criterion", "sparsity" and "accuracy", and where
        they are known "model", "data", "granularity", "scope", "schedule", "repair", "seed",
        "accuracy_dense", and either "compression_ratio" and "theoretical_speedup" or
        "params_dense", "nonzero_params", "macs_dense" and "effective_macs"; `ALIASES` lists other
        names of these.
    model, data
        What the network and the data are called, where `found` does not say.

    Raises
    ------
    DataError
        If it is none of these, or holds no pruned network.
    """
    many = [found] if isinstance(found, Tradeoff | Race | Pruned | Mapping) else found
    if not isinstance(many, Iterable) or isinstance(many, str):
        raise _unknown(found)
    points: list[Point] = []
    rows: list[Mapping[str, Any]] = []
    for part in many:
        if isinstance(part, Mapping):
            rows.append(part)
        elif isinstance(part, Tradeoff):
            points += _of_tradeoff(part, model, data)
        elif isinstance(part, Race):
            points += _of_race(part, model, data)
        elif isinstance(part, Pruned):
            points += _of_pruned(part, model, data)
        else:
            raise _unknown(part)
    varied = [key for key in SETTINGS if _varies(key, rows)]
    read = [_of_row(row, varied, model, data) for row in rows]
    points += [point for point in read if point is not None]
    failed = read.count(None)
    if not points:
        raise DataError(
            "No pruned network with an accuracy is in this experiment.",
            got=f"{failed} rows without one" if failed else "nothing",
        )
    versions = {f"{key} {row[key]}" for row in rows for key in VERSIONS if not _empty(row.get(key))}
    return Experiment(
        tuple(points),
        not rows,
        frozenset(key for row in rows for key in row),
        tuple(sorted(versions)),
        failed,
    )


#: Columns of a table that say what code it came from.
VERSIONS = ("prunevis", "torch")
#: What is not worth a word: nothing mended, nothing trained.
USUAL = ("none", "one-shot")
#: By column, other names that it is found under.
ALIASES = {
    "accuracy": ("accuracy_after",),
    "accuracy_dense": ("accuracy_before",),
    "params_dense": ("base_params",),
    "macs_dense": ("base_macs",),
    "data": ("dataset",),
}
#: Settings of training; empty in rows of what was not trained.
TRAINING = ("lr", "batch_size", "momentum", "weight_decay", "lr_schedule")
#: Settings that tell methods apart where a table holds several values of them.
SETTINGS = ("of", "layers", "multiple_of", "min_units", "schedule_options", "epochs", *TRAINING)


def _unknown(found: Any) -> DataError:
    return DataError(
        "This is no experiment that can be read.",
        expected="a Tradeoff, a Race, a Pruned, rows as mappings, or several of them",
        got=type(found).__name__,
    )


def _varies(key: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a setting has several values; one of training, among rows that have one."""
    values = (row.get(key) for row in rows)
    return len({str(v) for v in values if key not in TRAINING or not _empty(v)}) > 1


def _method(spec: Mapping[str, Any]) -> str:
    """Return all that tells a method from another, what is usual left out."""
    parts = [str(spec.get("criterion", "")), spec.get("granularity"), spec.get("scope")]
    parts += [spec.get(key) for key in ("pattern", "repair", "schedule")]
    return ", ".join(str(p) for p in parts if not _empty(p) and str(p) not in USUAL)


def _spec(spec: PruningSpec) -> dict[str, Any]:
    keys = ("criterion", "granularity", "scope", "pattern", "repair")
    return {key: getattr(spec, key) for key in keys}


def _point(
    names: tuple[str, str],
    spec: Mapping[str, Any],
    seed: int,
    asked: float,
    cost: ModelCost,
    before: float,
    after: float,
) -> Point:
    return Point(
        *names,
        criterion=spec["criterion"],
        method=_method(spec),
        scheduled=False,
        seed=seed,
        drawn=draws(spec["criterion"]),
        asked=asked,
        compression=cost.compression_ratio,
        speedup=cost.theoretical_speedup,
        before=before,
        after=after,
    )


def _of_tradeoff(found: Tradeoff, model: str, data: str) -> list[Point]:
    spec, before = _spec(found.spec), found.baseline.accuracy
    return [
        _point((model, data), spec, found.spec.seed, p.sparsity, p.cost, before, p.estimate.value)
        for p in found.points
        if p.achieved > 0
    ]


def _of_race(found: Race, model: str, data: str) -> list[Point]:
    before = found.baseline.accuracy
    return [
        _point((model, data), spec, run.seed, p.share, p.cost, before, p.estimate.value)
        for racer in found.racers
        for spec in [{"criterion": racer.criterion, "granularity": found.granularity,
                      "scope": found.scope}]
        for run in racer.runs
        for p in run.points
        if p is not None
    ]  # fmt: skip


def _of_pruned(found: Pruned, model: str, data: str) -> list[Point]:
    plan = found.plan
    before, after = found.accuracy_before, found.accuracy_after
    return [
        _point((model, data), _spec(plan.spec), plan.spec.seed, plan.sparsity, found.cost_after,
               before, after)
    ]  # fmt: skip


def _of_row(row: Mapping[str, Any], varied: Iterable[str], model: str, data: str) -> Point | None:
    """Return the point of a row; None where it has no accuracy, as a run that failed."""
    after = _number(row, "accuracy")
    if math.isnan(after):
        return None
    epochs = _number(row, "epochs")
    schedule, seed = row.get("schedule"), _number(row, "seed")
    compression = _ratio(row, "compression_ratio", "params_dense", "nonzero_params")
    several = [f"{key} {row[key]}" for key in varied if not _empty(row.get(key))]
    asked = _number(row, "sparsity")
    if math.isnan(asked):
        asked = 1 - _number(row, "keep")
    if math.isnan(asked):
        asked = 0.0 if math.isnan(compression) else 1 - 1 / max(1.0, compression)
    return Point(
        model=str(row.get("model") or model),
        data=str(_value(row, "data") or data),
        criterion=str(row.get("criterion") or ""),
        method=", ".join([_method(row), *several]),
        scheduled=epochs > 0 or (not _empty(schedule) and schedule not in USUAL),
        seed=None if math.isnan(seed) else int(seed),
        drawn=True,
        asked=asked,
        compression=compression,
        speedup=_ratio(row, "theoretical_speedup", "macs_dense", "effective_macs"),
        before=_number(row, "accuracy_dense"),
        after=after,
    )


def _ratio(row: Mapping[str, Any], ratio: str, before: str, after: str) -> float:
    if not _empty(row.get(ratio)):
        return _number(row, ratio)
    return _number(row, before) / max(1.0, _number(row, after))


def _value(row: Mapping[str, Any], key: str) -> Any:
    """Return what a column holds, under whichever of its names."""
    found = (row.get(name) for name in (key, *ALIASES.get(key, ())))
    return next((value for value in found if not _empty(value)), None)


def _number(row: Mapping[str, Any], key: str) -> float:
    value = _value(row, key)
    if _empty(value):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            "A column of numbers holds something else.", expected=f"`{key}`: a number", got=value
        ) from None


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
