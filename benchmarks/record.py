"""A benchmark's figures: runs, median, 95th percentile, bar, and on what they were measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One thing that was measured several times.

    Attributes
    ----------
    name, unit
        What, in words, and "ms", "s", "1/s", "MB" or "×".
    runs
        Every single measurement, in the order taken.
    bar
        What was promised of `judged`, in `unit`; None where nothing was.
    judged
        Which of them is held against the bar: "median", "p95" or "max", which may be at most that,
        or "p5", of what should be large, which must be at least that.
    """

    name: str
    unit: str
    runs: tuple[float, ...] = field(repr=False)
    bar: float | None = None
    judged: str = "p95"

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def p95(self) -> float:
        """The smallest run that at least 95 % of the runs do not exceed."""
        return percentile(self.runs, 0.95)

    @property
    def p5(self) -> float:
        """The largest run that at least 95 % of the runs reach."""
        return -percentile([-run for run in self.runs], 0.95)

    @property
    def max(self) -> float:
        return max(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        value = getattr(self, self.judged)
        return value >= self.bar if self.judged == "p5" else value <= self.bar

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "count": len(self.runs),
            "median": round(self.median, 4),
            "p95": round(self.p95, 4),
            "max": round(self.max, 4),
            "bar": self.bar,
            "judged": self.judged if self.bar is not None else None,
            "met": self.met,
            "runs": [round(run, 4) for run in self.runs],
        }


@dataclass(frozen=True)
class Report:
    """What a benchmark found; `notes` are sentences on what happened in this run."""

    figures: tuple[Figure, ...]
    chromium: str | None = None
    notes: tuple[str, ...] = ()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: always one of `values`."""
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def conditions() -> dict[str, Any]:
    """Return when and on what is measured; taken before a benchmark starts."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "torch": installed("torch"),
            "voila": installed("voila"),
        },
    }


def installed(package: str) -> str | None:
    """Return a package's version without loading it, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_json(
    name: str, title: str, report: Report, when: dict[str, Any], *, quick: bool
) -> dict[str, Any]:
    """Return a result as it is kept in ``results/NAME.json``."""
    return {
        "name": name,
        "title": title,
        "quick": quick,
        "date": when["date"],
        "machine": {**when["machine"], "chromium": report.chromium},
        "figures": [figure.as_json() for figure in report.figures],
        "notes": list(report.notes),
    }


def write(result: dict[str, Any], folder: Path) -> Path:
    """Write a result into `folder`; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def amount(value: float, unit: str) -> str:
    """Return e.g. "0.43 ms": three digits, but never a fraction of what is large."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} {unit}"


def verdict(figure: dict[str, Any]) -> str:
    """Return e.g. "p95 ≤ 50 ms: met", "" where nothing was promised."""
    if figure["bar"] is None:
        return ""
    sign = "≥" if figure["judged"] == "p5" else "≤"
    return (
        f"{figure['judged']} {sign} {figure['bar']:g} {figure['unit']}: "
        f"{'met' if figure['met'] else 'MISSED'}"
    )


def table(result: dict[str, Any]) -> str:
    """Return a result as lines for a terminal."""
    rows: list[tuple[str, ...]] = [("", "median", "p95", "max", "runs", "bar")]
    for figure in result["figures"]:
        values = [amount(figure[key], figure["unit"]) for key in ("median", "p95", "max")]
        rows.append((figure["name"], *values, str(figure["count"]), verdict(figure)))
    wide = [max(len(row[k]) for row in rows) for k in range(6)]
    lines = [
        f"  {row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}  {row[3]:>{wide[3]}}  "
        f"{row[4]:>{wide[4]}}  {row[5]}".rstrip()
        for row in rows
    ]
    machine = result["machine"]
    on = f"  {machine['cpus']} CPUs, load {machine['load_average']} at the start"
    quick = ", quick: proves that it runs, measures nothing" if result["quick"] else ""
    return "\n".join([result["title"], *lines, on + quick, *(f"  {n}" for n in result["notes"])])
