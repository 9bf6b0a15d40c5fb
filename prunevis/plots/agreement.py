"""How well criteria agree with the oracle: Spearman's ρ as a table of coloured cells."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes

from prunevis.errors import SpecError
from prunevis.plots.style import (
    LOCK,
    blend,
    diverging,
    head,
    prepare,
    say,
    write,
)

#: Most layers that have a column; of more, the first and the last are shown.
MOST_COLUMNS = 9
#: Longest names that are written in full, in characters: of criteria by view, and of layers.
LONGEST_LABEL = {"summary": 33, "layers": 22}
LONGEST_LAYER = 16
#: Height of a row, in inches.
ROW = 0.215


def agreement(
    result: Any,
    *,
    show: str = "summary",
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw ρ of each criterion: blue agrees with the oracle, orange contradicts it.

    Parameters
    ----------
    result
        From `prunevis.agreement`.
    show
        "summary": mean over layers, all layers with scores as they are, all layers with scores
        divided by their layer's L2 norm. "layers": each layer by itself.

    Returns
    -------
    Axes
        Its first collection is the mesh, whose array holds ρ, a row a criterion, best mean over
        layers first; NaN (masked) where ρ is not defined.
    """
    if show not in ("summary", "layers"):
        raise SpecError("There is no such view.", expected="'summary' or 'layers'", where="show")
    rows, columns, cells = table(result, show)
    widest = max((len(row) for row in rows), default=0)
    most = LONGEST_LABEL[show]
    longest = max((len(column) for column in columns), default=0)
    left = 0.24 + 0.062 * min(widest, most)
    top = 0.34 + (0.22 if show == "summary" else 0.12 + 0.052 * min(longest, LONGEST_LAYER))
    right = 0.14 if show == "summary" else 0.5
    height = ROW * max(1, len(rows)) + top + 0.34
    ax, colours = prepare(
        ax, theme, figsize=(4.2, height), margins=(left, right, top, 0.34), title=title
    )
    words = "Agreement with the oracle" if show == "summary" else "Agreement, layer by layer"
    head(ax, words if title is None else title, colours, pad=(top - 0.26) * 72)
    if not rows or not columns:
        return say(ax, "No criterion has been compared yet.", colours)
    import seaborn

    with LOCK:  # seaborn renders the figure once while it draws
        seaborn.heatmap(
            cells,
            mask=np.isnan(cells),
            vmin=-1,
            vmax=1,
            cmap=cast(Any, diverging(colours).reversed()),
            cbar=False,
            xticklabels=False,
            yticklabels=False,
            linewidths=1.0,
            linecolor=colours.card,
            ax=ax,
        )
    ax.set(xlabel="", ylabel="")
    for (y, x), value in np.ndenumerate(cells):
        known = not math.isnan(value)
        text = f"{value:.2f}".replace("-", "−") if known else "–"
        text = "0.00" if text == "−0.00" else text
        # light text on the strong ends of the scale, ink on the pale middle
        strong = known and abs(value) > (0.62 if colours.name == "light" else 0.75)
        colour = colours.card if strong else colours.ink if known else colours.quiet
        write(ax, x + 0.5, y + 0.5, text, colour, ha="center", va="center", fontsize=7)
    for y, row in enumerate(rows):
        chance = row in chances(result)
        write(
            ax,
            -0.08,
            y + 0.5,
            row if len(row) <= most else row[: most - 1] + "…",
            colours.quiet if chance else colours.ink,
            ha="right",
            va="center",
            style="italic" if chance else "normal",
        )
    for x, column in enumerate(columns):
        if show == "summary":
            write(ax, x + 0.5, -0.2, column, colours.quiet, ha="center", va="bottom")
        else:
            name = column if len(column) <= LONGEST_LAYER else "…" + column[1 - LONGEST_LAYER :]
            options = {"ha": "left", "va": "bottom", "rotation": 45, "rotation_mode": "anchor"}
            write(ax, x + 0.35, -0.15, name, colours.quiet, **options)
    caption = f"Spearman's ρ with |change of loss|, {result.oracle.num_examples:,} examples"
    width = 4.2 - left - right
    write(
        ax,
        -(left - 0.14) / width,
        -0.09 / (ROW * len(rows)),
        caption,
        colours.quiet,
        va="top",
        transform=ax.transAxes,
    )
    ax.patch.set(facecolor=blend(colours.card, colours.hairline, 0.6), visible=True)
    return ax


def table(result: Any, show: str = "summary") -> tuple[list[str], list[str], np.ndarray]:
    """Return labels of criteria, columns and ρ, shape (criteria, columns), best first."""
    found = sorted(result.rows, key=lambda row: -row.mean if row.mean == row.mean else math.inf)
    if show == "summary":
        columns = ["per layer", "all, raw", "all, L2"]
        values = [[row.mean, row.raw, row.normalised] for row in found]
    else:
        columns = list(result.oracle.change)
        if len(columns) > MOST_COLUMNS:
            first = MOST_COLUMNS // 2
            columns = [*columns[: MOST_COLUMNS - first], *columns[-first:]]
        values = [[row.layers.get(name, math.nan) for name in columns] for row in found]
    labels = [row.label for row in found]
    return labels, columns, np.array(values, dtype=float).reshape(len(labels), len(columns))


def chances(result: Any) -> set[str]:
    """Return the labels of criteria that draw at random: what others are to be held against."""
    return {row.label for row in result.rows if row.criterion == "random"}
