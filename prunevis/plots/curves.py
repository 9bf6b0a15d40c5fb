"""What pruning costs in accuracy: along the trade-off, and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from prunevis.plots.alt import percent
from prunevis.plots.records import Curve, curve_of, layer_curves
from prunevis.plots.style import Theme, blend, head, prepare, say, ticks, write

#: Most layers that are drawn in colour and labelled; the most sensitive come first.
MOST_LINES = 10

_CAPTIONS = {
    "sparsity": "share removed",
    "size": "size of the smallest file",
    "flops": "FLOPs an example, zeros skipped",
    "params": "parameters left",
}


def tradeoff(
    result: Any,
    *,
    x: str = "sparsity",
    position: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    theme: str = "light",
) -> Axes:
    """Draw accuracy against what is saved: dots are exact, the band is a 95 % interval.

    Parameters
    ----------
    result
        From `prunevis.tradeoff`, or arrays; see `prunevis.plots.records.curve_of`.
    x
        "sparsity", "size", "flops" or "params". All but sparsity run from large to small, so that
        more pruning is always further right, and are logarithmic over more than a factor of 8.
    position
        Draw a marker at this value of `x`.

    Returns
    -------
    Axes
        Its lines "curve", "exact" (dots) and, if known, "dense"; its collection "band".
    """
    curve = curve_of(result, x)
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.2, 2.6),
        margins=(0.5, 0.2, 0.36, 0.5),
        spines=("bottom",),
        title=title,
    )
    head(ax, f"Accuracy against {_CAPTIONS[x]}" if title is None else title, colours)
    if not curve.x.size:
        return say(ax, "No position is known yet.", colours)
    accuracy_axis(ax, colours, curve.baseline)
    _band_and_line(ax, curve, colours)
    _saving_axis(ax, x, curve.x)
    estimated = not curve.exact.all()
    caption = _CAPTIONS[x] + (" · dots exact, band 95 % interval" if estimated else " · all exact")
    head(ax, None, colours, caption=caption)
    if position is not None:
        ax.axvline(position, color=colours.pruned, linewidth=1.2, gid="position")
        ax.plot(
            [position],
            [_at(curve, position)],
            marker="o",
            markersize=6,
            markerfacecolor=colours.pruned,
            markeredgecolor=colours.card,
            linestyle="none",
            gid="marker",
        )
    return ax


def sensitivity(
    result: Any, *, title: str | None = None, ax: Axes | None = None, theme: str = "light"
) -> Axes:
    """Draw accuracy with one layer pruned at a time, one labelled line a layer.

    Parameters
    ----------
    result
        From `prunevis.sensitivity`, or its progress, or arrays by layer name; see
        `prunevis.plots.records.layer_curves`.

    Returns
    -------
    Axes
        One line a layer, with the layer's name as its gid; beyond ten layers, all but the ten
        most sensitive are hairlines without a label.
    """
    curves, baseline = layer_curves(result)
    curves = {name: curve for name, curve in curves.items() if curve.x.size}
    widest = max((len(name) for name in curves), default=0)
    right = min(1.7, 0.28 + 0.066 * widest)
    ax, colours = prepare(
        ax,
        theme,
        figsize=(4.2, 2.8),
        margins=(0.5, right, 0.36, 0.5),
        spines=("bottom",),
        title=title,
    )
    head(
        ax,
        "Pruning one layer at a time" if title is None else title,
        colours,
        caption="share of the layer removed",
    )
    if not curves:
        return say(ax, "No layer is known yet.", colours)
    accuracy_axis(ax, colours, baseline)
    # The most sensitive first: least accuracy on average over what is known.
    ranked = sorted(curves, key=lambda name: float(np.mean(curves[name].value)))
    named = ranked[:MOST_LINES]
    for depth, (name, curve) in enumerate(curves.items()):
        drawn = name in named
        # From light to dark in the order of depth; the most sensitive layer is orange.
        tone = blend(colours.faint, colours.kept, 0.45 + 0.55 * depth / max(1, len(curves) - 1))
        ax.plot(
            curve.x,
            curve.value,
            color=colours.pruned if name == ranked[0] else tone if drawn else colours.hairline,
            linewidth=1.6 if drawn else 0.8,
            marker="o" if curve.x.size < 12 and drawn else None,
            markersize=2.6,
            zorder=3 if drawn else 2,
            gid=name,
        )
    left, end = min(c.x[0] for c in curves.values()), max(c.x[-1] for c in curves.values())
    span = (end - left) or 1.0
    ax.set_xlim(left - 0.02 * span, end + 0.02 * span)
    ticks(ax.xaxis, percent)
    end_labels(ax, curves, named, ranked[0], colours)
    return ax


def accuracy_axis(ax: Axes, colours: Theme, baseline: float | None) -> None:
    """Give `ax` an axis from 0 to 100 % and a dashed line at the dense network's accuracy."""
    ax.set_ylim(0, 1.04)
    ticks(ax.yaxis, percent, count=5)
    ax.grid(True, axis="y", color=colours.hairline, linewidth=0.8)
    ax.set_axisbelow(True)
    if baseline is not None:
        ax.axhline(baseline, color=colours.quiet, linewidth=0.8, linestyle=(0, (3, 3)), gid="dense")


def _band_and_line(ax: Axes, curve: Curve, colours: Theme) -> None:
    ax.fill_between(
        curve.x, curve.low, curve.high, color=colours.kept, alpha=0.18, linewidth=0, gid="band"
    )
    ax.plot(curve.x, curve.value, color=colours.kept, linewidth=1.6, gid="curve")
    ax.plot(
        curve.x[curve.exact],
        curve.value[curve.exact],
        linestyle="none",
        marker="o",
        markersize=3.6,
        markerfacecolor=colours.card,
        markeredgecolor=colours.kept,
        markeredgewidth=1.1,
        gid="exact",
    )
    if curve.baseline is not None:
        write(
            ax,
            0.005,
            curve.baseline + 0.02,
            f"dense {percent(curve.baseline)}",
            colours.quiet,
            va="bottom",
            transform=ax.get_yaxis_transform(),
        )


def _saving_axis(ax: Axes, x: str, values: np.ndarray) -> None:
    if x == "sparsity":
        ax.set_xlim(-0.02, 1.02)
        ticks(ax.xaxis, percent)
        return
    low, high = float(values.min()), float(values.max())
    form = _amount if x != "size" else _amount_of_bytes
    if low > 0 and high / low > 8:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=12))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(high * 1.08, low / 1.08)
    else:
        pad = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
        ticks(ax.xaxis, form)
        ax.set_xlim(high + pad, low - pad)


def _amount(value: float, units: tuple[str, ...] = ("", "k", "M", "G", "T")) -> str:
    """Return e.g. "2.5 M"."""
    if value <= 0:
        return "0" if value == 0 else ""
    step = min(len(units) - 1, max(0, int(math.log10(value) // 3)))
    return f"{value / 1000**step:.3g} {units[step]}".strip()


def _amount_of_bytes(value: float) -> str:
    return _amount(value, ("B", "kB", "MB", "GB", "TB"))


def _at(curve: Curve, position: float) -> float:
    order = np.argsort(curve.x)
    return float(np.interp(position, curve.x[order], curve.value[order]))


def end_labels(
    ax: Axes,
    curves: dict[str, Curve],
    named: list[str],
    first: str,
    colours: Theme,
    tones: Mapping[str, str] | None = None,
) -> None:
    """Write each name at the end of its line, moved apart where they would overlap.

    `first` is written in bold orange, the others in ink or in their colour in `tones`.
    """
    height = ax.get_position().height * ax.figure.bbox.height / ax.figure.dpi
    room = 1.04 * 0.125 / height  # one line of text, in accuracy
    low = sorted(named, key=lambda name: float(curves[name].value[-1]))
    places: list[float] = []
    for name in low:
        wanted = float(curves[name].value[-1])
        places.append(max(wanted, places[-1] + room) if places else max(wanted, 0.02))
    over = places[-1] - 1.02
    for i in reversed(range(len(places))):  # what ran over the top is pushed down again
        limit = 1.02 if i == len(places) - 1 else places[i + 1] - room
        places[i] = min(places[i], limit) if over > 0 else places[i]
    end = ax.get_xlim()[1]
    span = end - ax.get_xlim()[0]
    leaders = []
    for name, place in zip(low, places, strict=True):
        curve = curves[name]
        leaders.append([(curve.x[-1], curve.value[-1]), (end + 0.03 * span, place)])
        write(
            ax,
            end + 0.04 * span,
            place,
            name if len(name) <= 21 else "…" + name[-20:],
            colours.pruned_text if name == first else (tones or {}).get(name, colours.ink),
            va="center",
            fontweight="bold" if name == first else "normal",
        )
    ax.add_collection(
        LineCollection(
            leaders, colors=colours.hairline, linewidths=0.8, clip_on=False, gid="leaders"
        ),
        autolim=False,
    )
