"""Measured time of networks beside each other, with its spread."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from prunevis.plots.style import FONT, head, prepare, say, ticks, write

#: Longest spread that is drawn, in times of the reference's median; a pause of the machine can make
#: a sample any length.
FARTHEST = 2.5


def latency(
    result: Any, *, title: str | None = None, ax: Axes | None = None, theme: str = "light"
) -> Axes:
    """Draw how long each network takes, against the dense one: medians, and quartiles as a line.

    Parameters
    ----------
    result
        From `prunevis.compare_latency` or `latency`. Every size of batch has its own scale: 1 is
        the median of the dense network at that size.

    Returns
    -------
    Axes
        One bar a row with "NAME BATCH" as gid, and a line "spread NAME BATCH" from its first to its
        third quartile.
    """
    rows = list(result.rows)
    groups = len(result.batches) if rows else 0
    height = 0.27 * max(1, len(rows)) + 0.3 * groups
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.2, height + 0.86),
        margins=(0.86, 0.14, 0.36, 0.5),
        spines=("bottom",),
        title=title,
    )
    head(ax, "Measured time" if title is None else title, colours)
    if not rows:
        return say(ax, "Nothing has been measured yet.", colours)
    tones = {"dense": colours.quiet, "masked": colours.cut, "removed": colours.kept}
    places: list[float] = []
    y, longest = 0.0, 1.0
    for batch in result.batches:
        scale = result[result.reference, batch].median or 1.0
        noun = "example" if batch == 1 else "examples"
        write(ax, 0.0, y + 0.35, f"{batch} {noun} at once", colours.quiet, va="center")
        y += 0.95
        for row in (row for row in rows if row.batch == batch):
            length, low, high = (
                min(part / scale, FARTHEST) for part in (row.median, row.low, row.high)
            )
            bar = ax.barh(y, length, height=0.56, color=tones.get(row.name, colours.kept))[0]
            bar.set_gid(f"{row.name} {batch}")
            ax.plot(
                [low, high],
                [y, y],
                color=colours.ink,
                linewidth=1.4,
                solid_capstyle="butt",
                gid=f"spread {row.name} {batch}",
            )
            words = _said(result, row)
            write(ax, max(length, high) + 0.03, y, words, colours.ink, va="center")
            longest = max(longest, high + 0.03 + 0.028 * len(words))
            places.append(y)
            y += 1.0
        y += 0.15
    ax.set_ylim(y - 0.2, 0.0)
    ax.set_xlim(0, longest + 0.05)
    ticks(ax.xaxis, lambda value: f"{value:g}×")
    ax.set_yticks(places)
    for label in ax.set_yticklabels([row.name for row in rows], family=FONT):
        label.set(color=colours.ink, parse_math=False)
    first = rows[0]
    threads = f"{first.threads} thread" + ("" if first.threads == 1 else "s")
    caption = f"times the {result.reference} median · line: quartiles · {threads}, {first.device}"
    head(ax, None, colours, caption=caption)
    return ax


def _said(result: Any, row: Any) -> str:
    from prunevis.evaluation.latency_records import duration

    text = duration(row.median)
    if row.name == result.reference:
        return text
    if result.within_noise(row.name, row.batch):
        return f"{text}, within noise"
    return f"{text}, {result.speedup(row.name, row.batch):.2f}× as fast"
