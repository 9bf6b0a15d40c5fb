"""Lines with names, as reports draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Names above a figure, in a row.
IN_A_ROW = 3


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    across: str,
    up: str,
    x_text: Callable[[float], str] = "{:g}".format,
    y_text: Callable[[float], str] = "{:g}".format,
    markers: bool = True,
) -> Axes:
    """Draw named curves in a figure of their own.

    Parameters
    ----------
    curves
        x and y by name; a name that begins with "random" is drawn quiet and dashed.
    title, across, up
        What it shows, and what the axes are, with units.
    x_text, y_text
        Write a number of an axis.
    markers
        Whether each point has one.

    Returns
    -------
    Axes
        One line a curve, its name as gid.
    """
    from prunevis.plots.race import HUES, MARKERS
    from prunevis.plots.style import FONT, LIGHT, head, prepare, ticks

    rows = -(-len(curves) // IN_A_ROW)
    ax, colours = prepare(
        None,
        "light",
        figsize=(5.2, 2.8 + 0.17 * rows),
        margins=(0.62, 0.2, 0.3 + 0.19 * rows, 0.52),
        spines=("bottom",),
        title=title,
    )
    head(ax, title, colours, caption=across, pad=8 + 14 * rows)
    hues = HUES["light"]
    for place, (name, (x, y)) in enumerate(curves.items()):
        chance = name.startswith("random")
        ax.plot(
            x,
            y,
            label=name,
            gid=name,
            color=colours.quiet if chance else hues[place % len(hues)],
            linestyle=(0, (4, 2)) if chance else "-",
            linewidth=1.5,
            marker=MARKERS[place % len(MARKERS)] if markers else None,
            markersize=3.2,
        )
    ticks(ax.xaxis, x_text)
    ticks(ax.yaxis, y_text)
    ax.set_ylabel(up, fontsize=7.5, color=LIGHT.quiet, family=FONT)
    ax.grid(True, axis="y", color=colours.hairline, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncol=IN_A_ROW,
        frameon=False,
        fontsize=7.5,
        borderaxespad=0.1,
        columnspacing=1.4,
    )
    return ax
