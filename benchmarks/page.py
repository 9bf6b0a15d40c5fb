"""What pages of the documentation share: tables, figures, and what they were made on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from prunevis.plots import png


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, the first column flush left and the others flush right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)  # as in |w|
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float, digits: int = 2) -> str:
    """Return e.g. "0.53", "−0.02" or "–" for NaN."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text


def seconds(value: float) -> str:
    """Return e.g. "1.2 s" or "3 ms"."""
    return record.amount(value, "s") if value >= 1 else f"{1000 * value:.0f} ms"


def figure(folder: Path, name: str, ax: Any, alt: str) -> str:
    """Write a figure into `folder`; return the line of Markdown that shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png(ax.figure, dpi=160))
    return f"![{alt}]({name}.png)"


def made_on(took: float) -> str:
    """Return a sentence on the machine, the versions and the time it took."""
    found = record.conditions()
    machine = found["machine"]
    return (
        f"Made on {found['date'][:10]} with torch {machine['torch']} and Python "
        f"{machine['python']} on {torch.get_num_threads()} thread of {machine['cpus']} CPUs, in "
        f"{took:.0f} s."
    )
