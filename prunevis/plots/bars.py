"""Where parameters and multiply-adds lie, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from prunevis.errors import SpecError
from prunevis.plots.alt import percent
from prunevis.plots.style import FONT, bare, head, prepare, say, write

#: Most rows; of a deeper network the largest layers are shown and the rest added up.
MOST_ROWS = 16
#: Where the second column of bars begins, in bar lengths.
SECOND = 2.35


@dataclass(frozen=True, slots=True)
class Row:
    """A layer's parameters and multiply-adds, before and left."""

    name: str
    params: int
    params_left: int
    macs: int
    macs_left: int


def layer_costs(
    cost: Any,
    *,
    before: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw each layer's parameters and multiply-adds, what stays in blue, what goes in orange.

    Parameters
    ----------
    cost
        `ModelCost`.
    before
        `ModelCost` of the dense network; needed where units were removed, because `cost` then no
        longer knows how many parameters a layer had.

    Returns
    -------
    Axes
        Its collections "params kept", "params cut", "macs kept" and "macs cut" hold one rectangle
        a row; the longest bar of a column is 1 long, and the second column begins at `SECOND`.

    Raises
    ------
    SpecError
        If units were removed and `before` is missing.
    """
    rows = _rows(cost, before)
    widest = max((len(row.name) for row in rows), default=0)
    left = min(1.7, 0.2 + 0.068 * min(widest, 22))
    height = 0.24 * max(1, len(rows))
    ax, colours = prepare(
        ax, theme, figsize=(4.0, height + 0.86), margins=(left, 0.14, 0.56, 0.3), title=title
    )
    words = "Where parameters and multiply-adds lie" if title is None else title
    head(ax, words, colours, pad=20)
    if not rows:
        return say(ax, "There is no layer to show.", colours)
    parts = (
        ("params", "parameters", [r.params for r in rows], [r.params_left for r in rows], 0.0),
        ("macs", "multiply-adds", [r.macs for r in rows], [r.macs_left for r in rows], SECOND),
    )
    bare(ax)
    ax.set_xlim(0, SECOND + 2.3)
    ax.set_ylim(len(rows), -0.15)
    for gid, word, full, kept, offset in parts:
        all_of_it, longest = max(1, sum(full)), max(1, *full)
        ends = np.array(kept, float) / longest
        tips = np.array(full, float) / longest
        for start, end, colour, name in (
            (np.zeros(len(rows)), ends, colours.kept, "kept"),
            (ends, tips, colours.cut, "cut"),
        ):
            ax.add_collection(
                PolyCollection(
                    list(_bars(start + offset, end + offset)),
                    facecolors=colour,
                    edgecolors="none",
                    gid=f"{gid} {name}",
                )
            )
        write(ax, offset, -0.28, word, colours.quiet, va="bottom")
        for i, (whole, rest) in enumerate(zip(full, kept, strict=True)):
            text = percent(whole / all_of_it)
            if rest < whole:
                text += f", −{percent(1 - rest / whole)}"
            write(
                ax, offset + tips[i] + 0.03, i + 0.5, text, colours.quiet, va="center", fontsize=7.5
            )
    ax.set_yticks(np.arange(len(rows)) + 0.5)
    for label in ax.set_yticklabels([_short(row.name) for row in rows], family=FONT):
        label.set(color=colours.ink, parse_math=False)
    head(ax, None, colours, caption="share of the dense network · orange and − go")
    return ax


def _rows(cost: Any, before: Any) -> list[Row]:
    rows: list[Row] = []
    for name, layer in cost.layers.items():
        if before is None and layer.removed_macs < layer.macs:
            raise SpecError(
                "Units were removed, so their cost alone does not say what the layers had.",
                where=f"layer {name!r}",
                fix="Pass before=prunevis.cost(graph), the cost of the dense network.",
            )
        dense = layer if before is None else before.layers[name]
        rows.append(
            Row(name, dense.num_params, layer.nonzero_params, dense.macs, layer.effective_macs)
        )
    if len(rows) <= MOST_ROWS:
        return rows
    total_params = max(1, sum(row.params for row in rows))
    total_macs = max(1, sum(row.macs for row in rows))
    by_size = sorted(rows, key=lambda row: -(row.params / total_params + row.macs / total_macs))
    shown = {row.name for row in by_size[: MOST_ROWS - 1]}
    rest = [row for row in rows if row.name not in shown]
    others = Row(
        f"{len(rest)} others",
        sum(row.params for row in rest),
        sum(row.params_left for row in rest),
        sum(row.macs for row in rest),
        sum(row.macs_left for row in rest),
    )
    return [row for row in rows if row.name in shown] + [others]


def _bars(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return rectangles, shape (rows, 4, 2)."""
    low = np.arange(len(start)) + 0.22
    high = low + 0.56
    return np.stack(
        [np.stack(p, 1) for p in ((start, low), (end, low), (end, high), (start, high))], axis=1
    )


def _short(name: str) -> str:
    return name if len(name) <= 22 else "…" + name[-21:]
