"""What each figure shows, in a sentence, for readers who cannot see it.

Every function takes what the figure takes and returns one or two plain sentences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from prunevis.plots.records import activity, curve_of, layer_curves
from prunevis.plots.style import numbers


def percent(share: float) -> str:
    """Return `share` in [0, 1] as a percentage: one decimal below 10 % and above 90 %.

    >>> percent(0.58), percent(0.001), percent(1.0)
    ('58 %', '0.1 %', '100 %')
    """
    hundred = 100 * share
    whole = 10 <= hundred <= 90 or hundred in (0, 100)
    return f"{hundred:.0f} %" if whole else f"{hundred:.1f} %"


def share_of_weights(total: int, gone: int) -> str:
    """Return e.g. "25,000 weights, 58 % go"."""
    noun = "weight" if total == 1 else "weights"
    return f"{total:,} {noun}" + (f", {percent(gone / total)} go" if gone else "")


def weight_histogram(values: Any, *, threshold: float | None = None, cut: Any = None) -> str:
    """Describe `prunevis.plots.weight_histogram`."""
    weights = numbers(values).astype(np.float64).ravel()
    text = f"Histogram of {weights.size:,} weights"
    if not weights.size:
        return text + "."
    if cut is not None:
        text += f", {percent(float(numbers(cut).astype(bool).mean()))} of them go"
        return text + (f", threshold {threshold:.3g}." if threshold is not None else ".")
    if threshold is not None:
        below = float((np.abs(weights) <= threshold).mean())
        text += f", {percent(below)} below the threshold {threshold:.3g}"
    return text + "."


def neuron_activity(mean: Any, zero_share: Any = None, *, dead: Any = None) -> str:
    """Describe `prunevis.plots.neuron_activity`."""
    found = activity(mean, zero_share, dead=dead)
    count, silent = found.mean.size, int(found.dead.sum())
    noun = "unit" if count == 1 else "units"
    return f"Grid of {count:,} {noun} by mean activation; {silent:,} of them hardly ever fire."


def similarity_matrix(matrix: Any) -> str:
    """Describe `prunevis.plots.similarity_matrix`."""
    values = numbers(matrix).astype(np.float64)
    count = values.shape[0] if values.ndim else 0
    if count < 2:
        return f"Similarity matrix of {count} unit{'' if count == 1 else 's'}."
    upper = np.where(np.triu(np.ones((count, count), bool), 1), values, np.nan)
    if not np.isfinite(upper).any():
        return f"Similarity matrix of {count:,} units; none of them can be compared."
    a, b = np.unravel_index(int(np.nanargmax(upper)), upper.shape)
    return (
        f"Similarity matrix of {count:,} units; the most similar are {a} and {b} "
        f"({upper[a, b]:.2f})."
    )


def tradeoff(result: Any, *, x: str = "sparsity") -> str:
    """Describe `prunevis.plots.tradeoff`."""
    curve = curve_of(result, x)
    if not curve.x.size:
        return "Trade-off curve without a point yet."
    text = f"Accuracy against {x}: {curve.x.size} points"
    if curve.baseline is not None:
        text += f", dense {percent(curve.baseline)}"
    return f"{text}, from {percent(curve.value[0])} to {percent(curve.value[-1])}."


def sensitivity(result: Any) -> str:
    """Describe `prunevis.plots.sensitivity`."""
    curves, _ = layer_curves(result)
    last = {name: curve.value[-1] for name, curve in curves.items() if curve.x.size}
    if not last:
        return "Sensitivity of the layers, without a point yet."
    worst = min(last, key=lambda name: last[name])
    return (
        f"Accuracy with one layer pruned at a time, {len(last)} layers; {worst} costs most, "
        f"down to {percent(last[worst])}."
    )


def layer_costs(cost: Any) -> str:
    """Describe `prunevis.plots.layer_costs`."""
    if not cost.layers:
        return "Costs by layer: there is no layer."
    params = sum(layer.nonzero_params for layer in cost.layers.values())
    macs = sum(layer.effective_macs for layer in cost.layers.values())
    by_params = max(cost.layers.values(), key=lambda layer: layer.nonzero_params)
    by_macs = max(cost.layers.values(), key=lambda layer: layer.effective_macs)
    return (
        f"Costs of {len(cost.layers)} layers; {by_params.name} holds "
        f"{percent(by_params.nonzero_params / max(1, params))} of the parameters left, "
        f"{by_macs.name} makes {percent(by_macs.effective_macs / max(1, macs))} "
        "of the multiply-adds left."
    )


def unit_profile(weights: Any, values: Any = ()) -> str:
    """Describe `prunevis.plots.unit_profile`."""
    count, best = numbers(weights).size, numbers(values).ravel()
    text = f"The {count:,} weights of a unit"
    if best.size:
        text += f" and the {best.size} inputs that excite it most, up to {best.max():.3g}"
    return text + "."


def mask_image(mask: Any) -> str:
    """Describe `prunevis.plots.mask_image`."""
    values = numbers(mask)
    size = " by ".join(str(n) for n in values.shape)
    if not values.size:
        return "An empty mask."
    if values.dtype == bool:
        return f"Mask of {size} weights; {percent(float(values.mean()))} stay."
    return f"Weights left at each of {size} inputs; {int((values == 0).sum()):,} have none left."


def agreement(result: Any) -> str:
    """Describe `prunevis.plots.agreement`."""
    known = [row for row in result.rows if row.mean == row.mean]
    if not known:
        return "Agreement of criteria with the oracle: none could be compared."
    best, worst = (pick(known, key=lambda row: row.mean) for pick in (max, min))
    return (
        f"Spearman correlation of {len(result.rows)} criteria with the oracle on "
        f"{result.oracle.num_units:,} units; within layers {best.label} agrees most "
        f"({best.mean:.2f}) and {worst.label} least ({worst.mean:.2f})."
    )


def race(result: Any) -> str:
    """Describe `prunevis.plots.race`."""
    what = {"params": "parameters", "macs": "multiply-adds"}.get(result.at, "sparsity")
    text = f"Accuracy of {len(result.racers)} criteria at equal {what}"
    middle = result.shares[len(result.shares) // 2]
    at = {racer.label: racer.mean[len(result.shares) // 2] for racer in result.racers}
    known = {label: value for label, value in at.items() if value == value}
    if not known:
        return text + "."
    ranked = sorted(known, key=lambda label: -known[label])
    said = ", ".join(f"{label} {percent(known[label])}" for label in ranked)
    return f"{text}; with {percent(middle)} gone: {said}."


def latency(result: Any) -> str:
    """Describe `prunevis.plots.latency`."""
    return (
        "Nothing has been measured yet."
        if not result.rows
        else " ".join(["Bars of measured time.", *result.text.splitlines()])
    )


def tradeoff_judged(result: Any, *, x: str = "compression", published: Any = ()) -> str:
    """Describe `prunevis.plots.tradeoff_judged`."""
    from prunevis.evaluation.experiment import experiment_of

    points = experiment_of(result).summaries()
    methods = len({point.method for point in points})
    noun, dots = ("" if n == 1 else "s" for n in (methods, len(points)))
    text = f"Accuracy against {x} of {methods} method{noun} at {len(points)} point{dots}"
    return f"{text}, before {len(published)} published results." if published else f"{text}."
