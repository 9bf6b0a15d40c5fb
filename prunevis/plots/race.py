"""Criteria on one trade-off, with the spread of their seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from prunevis.plots.alt import percent
from prunevis.plots.curves import accuracy_axis, end_labels
from prunevis.plots.records import Curve
from prunevis.plots.style import Theme, head, prepare, say, ticks

#: What is equal at each place of the x axis, in words.
EQUAL = {
    "sparsity": "share removed",
    "params": "share of the parameters gone",
    "macs": "share of the multiply-adds gone",
}
#: So that lines are told apart without their colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
#: Neither the orange of what goes nor the green of what is better.
HUES = {
    "light": ("#2b6cb0", "#7a4f9e", "#0e8a8c", "#a67c00", "#1d232b", "#b0407d"),
    "dark": ("#6ea8e0", "#b794d6", "#45c1c3", "#d9b23d", "#e8eaed", "#e58bbb"),
}
#: Longest name at the end of a line, in characters.
LONGEST = 18


def race(
    result: Any, *, title: str | None = None, ax: Axes | None = None, theme: str = "light"
) -> Axes:
    """Draw accuracy against what is gone, a line a criterion and a band from worst to best seed.

    Parameters
    ----------
    result
        From `prunevis.race`. Chance is dashed.

    Returns
    -------
    Axes
        One line a criterion with its name as gid; collections "band NAME" where seeds differ;
        the line "dense".
    """
    labels = {racer.criterion: _short(racer.label) for racer in result.racers}
    widest = max((len(text) for text in labels.values()), default=0)
    right = 0.26 + 0.066 * widest
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.6, 2.9),
        margins=(0.5, right, 0.36, 0.5),
        spines=("bottom",),
        title=title,
    )
    words = "Criteria at equal " + {"params": "parameters", "macs": "multiply-adds"}.get(
        result.at, "sparsity"
    )
    several = len(result.seeds) > 1
    seeds = f" · band: worst to best of {len(result.seeds)} seeds" if several else ""
    head(ax, words if title is None else title, colours, caption=EQUAL[result.at] + seeds)
    if not result.racers:
        return say(ax, "No criterion has run yet.", colours)
    accuracy_axis(ax, colours, result.baseline.accuracy)
    # all begin with the network as it came
    x = np.r_[0.0, result.shares]
    curves: dict[str, Curve] = {}
    tones: dict[str, str] = {}
    for place, racer in enumerate(result.racers):
        mean, low, high = (
            np.r_[result.baseline.accuracy, part] for part in (racer.mean, racer.low, racer.high)
        )
        there = ~np.isnan(mean)
        colour = _colour(colours, place, racer.criterion)
        chance = racer.criterion == "random"
        if len(racer.runs) > 1:
            ax.fill_between(
                x[there],
                low[there],
                high[there],
                color=colour,
                alpha=0.16,
                linewidth=0,
                gid=f"band {racer.criterion}",
            )
        ax.plot(
            x[there],
            mean[there],
            color=colour,
            linewidth=1.5,
            linestyle=(0, (4, 2)) if chance else "-",
            marker=MARKERS[place % len(MARKERS)],
            markersize=3.2,
            markeredgewidth=0,
            zorder=2 if chance else 3,
            gid=racer.criterion,
        )
        name, every = labels[racer.criterion], np.ones(int(there.sum()), dtype=bool)
        curves[name] = Curve(x[there], mean[there], low[there], high[there], every)
        tones[name] = colour
    ax.set_xlim(-0.02, float(x[-1]) + 0.02)
    ticks(ax.xaxis, percent)
    end_labels(ax, curves, list(curves), "", colours, tones)
    return ax


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _colour(colours: Theme, place: int, criterion: str) -> str:
    """Hues that mean nothing else on the page; chance is quiet."""
    hues = HUES[colours.name]
    return colours.quiet if criterion == "random" else hues[place % len(hues)]
