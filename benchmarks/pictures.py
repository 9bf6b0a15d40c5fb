"""A picture of each result: every run as a tick, median and 95th percentile, and what was promised.

Figures of one unit share an axis, which is logarithmic, so that a baseline a hundred times slower
stands in the same picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from prunevis.plots.style import LOCK

PAPER, INK, QUIET, HAIRLINE = "#fbfaf7", "#1d232b", "#66707c", "#e7e4dd"
MEASURED, PROMISED = "#2b6cb0", "#d9581c"
#: Inches: of a row, of what stands above and below the rows of a unit, of the title.
ROW, MARGIN, TITLE = 0.3, 0.62, 0.55


def write(result: dict[str, Any], folder: Path) -> Path:
    """Draw a result into ``folder/NAME.png``; return the file."""
    path = folder / f"{result['name']}.png"
    with LOCK:
        picture = draw(result)
        FigureCanvasAgg(picture).print_png(str(path))
    return path


def draw(result: dict[str, Any]) -> Figure:
    """Return the picture of a result."""
    units: dict[str, list[dict[str, Any]]] = {}
    for figure in result["figures"]:
        units.setdefault(figure["unit"], []).append(figure)
    heights = [MARGIN + ROW * len(rows) for rows in units.values()]
    picture = Figure(figsize=(9.6, TITLE + sum(heights)), dpi=110, facecolor=PAPER)
    top = picture.get_figheight()
    picture.text(0.16 / 9.6, 1 - 0.3 / top, result["title"], color=INK, size=10.5, parse_math=False)
    below = top - TITLE
    for (unit, rows), height in zip(units.items(), heights, strict=True):
        below -= height
        box = (0.47, (below + MARGIN * 0.72) / top, 0.5, (height - MARGIN) / top)
        _draw_unit(picture.add_axes(box), unit, rows)
    return picture


def _draw_unit(ax: Axes, unit: str, rows: list[dict[str, Any]]) -> None:
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), facecolor=PAPER)
    for place, row in enumerate(rows):
        runs = [run for run in row["runs"] if run > 0]
        ax.plot(runs, [place] * len(runs), "|", color=MEASURED, alpha=0.3, markersize=8)
        ax.plot([row["median"]], [place], "o", color=MEASURED, markersize=6)
        ax.plot([row["p95"]], [place], "D", color=PAPER, mec=MEASURED, markersize=5)
        if row["bar"] is not None:
            span = [place - 0.42, place + 0.42]
            ax.plot([row["bar"]] * 2, span, "-", color=PROMISED, linewidth=2)
    every = [v for row in rows for v in (*row["runs"], row["bar"] or row["median"]) if v > 0]
    ax.set_xlim(min(every) / 1.6, max(every) * 1.6)
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    for label in (*ax.get_yticklabels(), *ax.get_xticklabels()):
        label.set(parse_math=False, color=INK, size=8)
    ax.xaxis.set_major_locator(LogLocator(numticks=7))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(colors=QUIET, labelcolor=INK, labelsize=8, length=0)
    ax.grid(axis="x", color=HAIRLINE, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel(
        f"{unit}   (● median, ◇ 95th percentile, | runs, orange line: promised)",
        color=QUIET,
        size=8,
        loc="left",
        parse_math=False,
    )
