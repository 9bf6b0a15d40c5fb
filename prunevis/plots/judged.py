"""A trade-off as it should be judged: against ratios, with its front and what others published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from prunevis.errors import SpecError
from prunevis.plots.curves import accuracy_axis, end_labels
from prunevis.plots.race import HUES, MARKERS
from prunevis.plots.records import Curve
from prunevis.plots.style import Theme, head, prepare, say

if TYPE_CHECKING:
    from prunevis.evaluation.experiment import Summary

CAPTIONS = {
    "compression": "times fewer parameters",
    "speedup": "times fewer multiply-adds",
    "latency": "times as fast, measured",
}


def tradeoff_judged(
    result: Any,
    *,
    x: str = "compression",
    published: Sequence[Any] = (),
    latency: Mapping[float, Any] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw accuracy against what is saved, dense / pruned, with the Pareto front.

    Parameters
    ----------
    result
        A trade-off, a race, pruned networks or rows of a table; see
        `prunevis.evaluation.experiment.experiment_of`. Points are means over runs, with a line of
        one sample standard deviation to each side where there are several.
    x
        "compression" (parameters), "speedup" (multiply-adds) or "latency" (measured).
    published
        From `prunevis.published`, for the same network and data; drawn quietly behind. Nobody
        publishes latency on this machine, so none are drawn there.
    latency
        For "latency": `Latency` by share removed, that of the dense network at 0; from
        `prunevis.tradeoff_latency`. It is of one method, so `result` must be too.

    Returns
    -------
    Axes
        One line a method, with the method as gid; "spread METHOD"; "front", the points that no
        other beats in both; "published"; and "dense".

    Raises
    ------
    SpecError
        If `x` is none of these, there are several networks or data, or "latency" is asked for
        without measurements of one method.
    """
    from prunevis.evaluation.experiment import experiment_of
    from prunevis.evaluation.pareto import pareto_front

    if x not in CAPTIONS:
        raise SpecError(f"A trade-off is not judged by {x!r}.", expected=", ".join(CAPTIONS))
    found = experiment_of(result)
    if len(found.pairs) > 1:
        raise SpecError(
            "One figure is of one network and one set of data.",
            got=", ".join(" on ".join(pair) for pair in found.pairs),
            fix="Draw one of them at a time.",
        )
    groups: dict[str, list[Summary]] = {}
    for summary in found.summaries():
        groups.setdefault(summary.method, []).append(summary)
    if x == "latency" and (not latency or 0.0 not in latency or len(groups) > 1):
        raise SpecError(
            "Measured time needs the latencies of one method.",
            expected="`latency`: by share removed, the dense network at 0",
            fix="Measure them with prunevis.tradeoff_latency(model, tradeoff, data).",
        )
    single = len(groups) == 1
    labels = told_apart(list(groups))
    widest = 0 if single else min(22, max(len(name) for name in labels.values()))
    right = 0.2 if single else 0.26 + 0.062 * widest
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.4, 3.0),
        margins=(0.5, right, 0.36, 0.66),
        spines=("bottom",),
        title=title,
    )
    head(ax, "What accuracy costs" if title is None else title, colours)
    dense = found.points[0].before
    accuracy_axis(ax, colours, None if math.isnan(dense) else dense)
    xs: list[float] = []
    ys: list[float] = []
    curves: dict[str, Curve] = {}
    tones: dict[str, str] = {}
    for place, (method, group) in enumerate(groups.items()):
        known = sorted((s for s in group if not math.isnan(_at(s, x, latency))), key=_asked)
        at = np.array([_at(s, x, latency) for s in known])
        mean = np.array([s.mean for s in known])
        if not at.size:
            continue
        hues = HUES[colours.name]
        tone = colours.kept if single else hues[place % len(hues)]
        tone = colours.quiet if method.startswith("random") else tone
        _draw(ax, method, at, mean, [s.std for s in known], tone, place, colours)
        xs += at.tolist()
        ys += mean.tolist()
        curves[labels[method]] = Curve(at, mean, mean, mean, np.ones(at.size, bool))
        tones[labels[method]] = tone
    if not xs:
        return say(ax, "No point is known on this axis.", colours)
    behind = [] if x == "latency" else [(getattr(p, x), p.top1_pruned) for p in published]
    behind = [pair for pair in behind if not math.isnan(pair[0])]
    if behind:
        ax.scatter(
            *zip(*behind, strict=True),
            s=16,
            facecolors="none",
            edgecolors=colours.quiet,
            linewidths=0.8,
            alpha=0.75,
            zorder=1.5,
            gid="published",
        )
    front = pareto_front(-np.array(xs), ys)[::-1]
    ax.plot(
        np.array(xs)[front],
        np.array(ys)[front],
        linestyle="none",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=colours.better,
        markeredgewidth=1.1,
        zorder=4,
        gid="front",
    )
    _ratio_axis(ax, xs + [pair[0] for pair in behind])
    if not single:
        end_labels(ax, curves, list(curves), "", colours, tones)
    words = CAPTIONS[x]
    if x == "latency" and latency is not None:
        row = latency[0.0]
        threads = f"{row.threads} thread" + ("" if row.threads == 1 else "s")
        words += f" · batch {row.batch}, {threads} on {row.device}"
    words += "\nring: Pareto front"
    words += " · grey: published, same network and data" if behind else ""
    head(ax, None, colours, caption=words)
    return ax


def told_apart(methods: Sequence[str]) -> dict[str, str]:
    """Return a label a method without what all have in common: there is room for few letters.

    >>> told_apart(["l2, unit, epochs 1", "random, unit, epochs 1"])
    {'l2, unit, epochs 1': 'l2', 'random, unit, epochs 1': 'random'}
    """
    parts = {method: method.split(", ") for method in methods}
    common = set.intersection(*(set(found) for found in parts.values()))
    short = {
        method: ", ".join(part for part in found if part not in common) or found[0]
        for method, found in parts.items()
    }
    return short if len(set(short.values())) == len(methods) else {m: m for m in methods}


def _draw(
    ax: Axes,
    method: str,
    at: np.ndarray,
    mean: np.ndarray,
    std: list[float],
    tone: str,
    place: int,
    colours: Theme,
) -> None:
    several = [k for k, value in enumerate(std) if not math.isnan(value)]
    if several:
        low, high = ([mean[k] + sign * std[k] for k in several] for sign in (-1, 1))
        lines = ax.vlines([at[k] for k in several], low, high, color=tone, linewidth=0.9)
        lines.set_gid(f"spread {method}")
    chance = method.startswith("random")
    ax.plot(
        at,
        mean,
        color=tone,
        linewidth=1.4,
        linestyle=(0, (4, 2)) if chance else "-",
        marker=MARKERS[place % len(MARKERS)],
        markersize=3.4,
        markeredgewidth=0,
        zorder=3,
        gid=method,
    )


def _asked(summary: Summary) -> float:
    return summary.asked


def _at(summary: Summary, x: str, latency: Mapping[float, Any] | None) -> float:
    """Return where a point lies, dense / pruned; NaN where that is not known."""
    if x != "latency" or latency is None:
        return getattr(summary, x)
    mine = latency.get(summary.asked)
    return math.nan if mine is None else latency[0.0].median / mine.median


def _ratio_axis(ax: Axes, values: list[float]) -> None:
    """Powers of two, as far as there are points; never narrower than 1 to 2."""
    low, high = min(1.0, *values), max(2.0, *values)
    ax.set_xscale("log", base=2)
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    steps = range(first, last + 1, 1 + (last - first) // 7)
    ax.xaxis.set_major_locator(FixedLocator([2.0**k for k in steps]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    ax.set_xlim(low / 1.08, high * 1.12)
