"""Reports of reproductions: the paper's numbers beside ours, as Markdown, figures and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Dots an inch of the figures in a report.
DPI = 110


@dataclass(frozen=True, slots=True)
class Compared:
    """One number of the paper beside ours.

    Attributes
    ----------
    what
        What was measured, with its unit.
    paper, ours
        As text; "-" where the paper has none.
    verdict
        "reached", "missed", "ordering holds", "differs", or "" where there is nothing to judge.
    """

    what: str
    paper: str
    ours: str
    verdict: str = ""


@dataclass
class Report:
    """What a reproduction found, section by section.

    Attributes
    ----------
    compared
        The paper's numbers beside ours: the first table.
    results
        All that was measured, plain JSON.
    """

    compared: list[Compared] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    _blocks: list[str] = field(default_factory=list)
    _figures: list[tuple[str, Figure]] = field(default_factory=list)

    def compare(self, what: str, paper: str, ours: str, verdict: str = "") -> None:
        """Add a row to the first table."""
        self.compared.append(Compared(what, paper, ours, verdict))

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._blocks.append(f"## {text}")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._blocks.append(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; the first column is text, the others numbers."""
        lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
        self._blocks.append("\n".join([*lines, *(_row(row) for row in rows)]))

    def figure(self, name: str, ax: Axes, alt: str) -> None:
        """Add the picture that `ax` is part of; `alt` says in words what it shows."""
        figure = ax.get_figure(root=True)
        assert figure is not None, "axes are drawn in a figure"
        self._figures.append((name, figure))
        self._blocks.append(f"![{alt}](FIGURE-{name}.png)")

    def write(self, folder: Path, name: str, kind: Any, how: dict[str, Any]) -> Path:
        """Write ``name.md``, its figures and ``name.json`` into a folder; return the first's path.

        Parameters
        ----------
        folder
            Exists.
        name
            Of the reproduction.
        kind
            Its class, for title and citation.
        how
            What it was run with: short, seeds, data, seconds, threads.
        """
        import prunevis

        versions = {
            "prunevis": prunevis.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        short = " --short" if how["short"] else ""
        parts = [
            f"# {kind.title}",
            f"{kind.citation} <{kind.url}>",
            kind.summary,
            f"`prunevis reproduce {name}{short}` · {how['data']} · seeds "
            f"{', '.join(str(seed) for seed in how['seeds'])} · {how['seconds'] / 60:.1f} minutes "
            f"on {how['threads']} thread{'' if how['threads'] == 1 else 's'} · prunevis "
            f"{versions['prunevis']}, torch {versions['torch']}",
        ]
        if how["short"]:
            parts.append(
                "**The short form: few images, few steps. It shows that everything runs, and "
                "nothing about the paper.**"
            )
        parts.append("## The paper beside ours")
        lines = [_row(["what", "paper", "ours", ""]), _row(["---", "---:", "---:", "---"])]
        rows = (_row([c.what, c.paper, c.ours, c.verdict]) for c in self.compared)
        parts.append("\n".join([*lines, *rows]))
        body = "\n\n".join([*parts, *self._blocks]).replace("FIGURE-", f"{name}-") + "\n"
        for suffix, figure in self._figures:
            # no date or version in the file: the same numbers give the same bytes
            figure.savefig(folder / f"{name}-{suffix}.png", dpi=DPI, metadata={"Software": None})
        record = {
            "name": name,
            "title": kind.title,
            **how,
            "versions": versions,
            "compared": [[c.what, c.paper, c.ours, c.verdict] for c in self.compared],
            "results": self.results,
        }
        text = json.dumps(record, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", "utf-8")
        path = folder / f"{name}.md"
        path.write_text(body, "utf-8")
        return path


def mean_and_spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Return "mean ± sample standard deviation" as text; the number alone if there is one."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.{digits}f}{unit}"
    spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.{digits}f} ± {spread:.{digits}f}{unit}"


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
