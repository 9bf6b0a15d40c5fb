"""What the figures draw, as plain arrays, whatever result it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunevis.errors import DataError, SpecError
from prunevis.plots.style import numbers

#: A unit that is zero on at least this share of the examples is called dead.
DEAD = 0.99


@dataclass(frozen=True, eq=False, slots=True)
class Activity:
    """What is drawn of a layer's activations; each of shape (units,).

    Attributes
    ----------
    mean
        Mean activation, float64; NaN where it is not known.
    zero_share
        Share of examples (and positions) at zero, in [0, 1]; NaN where it is not known.
    dead
        Bool.
    """

    mean: np.ndarray
    zero_share: np.ndarray
    dead: np.ndarray


def activity(mean: Any, zero_share: Any = None, *, dead: Any = None) -> Activity:
    """Return `mean` and `zero_share`, or the statistics that hold them, as one record.

    Raises
    ------
    DataError
        If the parts differ in length.
    """
    if zero_share is None and hasattr(mean, "zero_share"):
        mean, zero_share = mean.mean, mean.zero_share
    means = numbers(mean).astype(np.float64).ravel()
    zeros = (
        np.full(means.shape, np.nan)
        if zero_share is None
        else numbers(zero_share).astype(np.float64).ravel()
    )
    silent = zeros >= DEAD if dead is None else numbers(dead).astype(bool).ravel()
    if not means.shape == zeros.shape == silent.shape:
        raise DataError(
            "The activations are not of one length.",
            expected=f"{means.size} units",
            got=f"{zeros.size} shares of zeros, {silent.size} marks",
            where="neuron_activity",
        )
    return Activity(means, zeros, silent)


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """Accuracy along an axis; arrays of shape (points,), in the order of rising sparsity.

    Attributes
    ----------
    x
        Sparsity in [0, 1], or bytes, FLOPs or parameters.
    value, low, high
        Accuracy and its 95 % interval, in [0, 1].
    exact
        Bool: measured on all examples.
    baseline
        Accuracy of the dense network, or None.
    """

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    exact: np.ndarray
    baseline: float | None = None


#: What a trade-off can be drawn against, and where a point has it.
AXES = ("sparsity", "size", "flops", "params")


def curve_of(result: Any, x: str = "sparsity") -> Curve:
    """Return a trade-off as a `Curve`.

    Parameters
    ----------
    result
        An object with ``points`` and ``baseline.accuracy`` (from `prunevis.tradeoff`); or a
        `Curve`; or a mapping with "x" and "value" and, optionally, "low", "high", "exact" and
        "baseline".
    x
        "sparsity" as achieved, "size" in bytes of the smallest file, "flops" if zeros are skipped,
        "params" that are not zero.

    Raises
    ------
    SpecError
        If `x` is none of these.
    DataError
        If arrays differ in length.
    """
    if x not in AXES:
        raise SpecError(f"A trade-off has no axis {x!r}.", expected=", ".join(AXES), where="x")
    if isinstance(result, Curve):
        return result
    if isinstance(result, Mapping):
        return _from_arrays(result)
    points = sorted(result.points, key=lambda point: point.sparsity)
    at = [
        {
            "sparsity": lambda p: p.achieved,
            "size": lambda p: p.cost.bytes,
            "flops": lambda p: p.cost.effective_flops,
            "params": lambda p: p.cost.nonzero_params,
        }[x](point)
        for point in points
    ]
    return _curve(at, [point.estimate for point in points], _baseline(result))


def layer_curves(result: Any) -> tuple[dict[str, Curve], float | None]:
    """Return a sensitivity result as one `Curve` a layer, and the dense accuracy or None.

    Parameters
    ----------
    result
        From `prunevis.sensitivity` (``estimates`` by layer beside ``sparsities``, what was
        ``achieved`` of them, where known, and ``baseline.accuracy``, which each curve then begins
        with), or its progress (``estimates`` by layer, then by sparsity); or a mapping from layer
        names to what `curve_of` takes.
    """
    if isinstance(result, Mapping):
        return {name: curve_of(curve) for name, curve in result.items()}, None
    baseline = _baseline(result)
    curves: dict[str, Curve] = {}
    achieved = getattr(result, "achieved", {})
    for name, estimates in result.estimates.items():
        by_sparsity = isinstance(estimates, Mapping)
        if by_sparsity:
            pairs = list(estimates.items())
        else:
            pairs = list(zip(achieved.get(name, result.sparsities), estimates, strict=True))
        known = sorted(pairs, key=lambda pair: pair[0])
        curve = _curve([s for s, _ in known], [e for _, e in known], baseline)
        curves[name] = curve if baseline is None else _from_dense(curve, baseline)
    return curves, baseline


def _from_dense(curve: Curve, accuracy: float) -> Curve:
    """Return `curve` with the dense network as its first point, if it has none at sparsity 0."""
    if curve.x.size and curve.x[0] == 0:
        return curve
    value, low, high = (np.r_[accuracy, part] for part in (curve.value, curve.low, curve.high))
    return Curve(np.r_[0.0, curve.x], value, low, high, np.r_[True, curve.exact], accuracy)


def _baseline(result: Any) -> float | None:
    baseline = getattr(result, "baseline", None)
    return None if baseline is None else float(baseline.accuracy)


def _curve(x: list[float], estimates: list[Any], baseline: float | None) -> Curve:
    def column(name: str) -> np.ndarray:
        return np.array([getattr(estimate, name) for estimate in estimates], float)

    return Curve(
        np.array(x, float),
        column("value"),
        column("low"),
        column("high"),
        column("exact").astype(bool),
        baseline,
    )


def _from_arrays(arrays: Mapping[str, Any]) -> Curve:
    x, value = (numbers(arrays[name]).astype(np.float64).ravel() for name in ("x", "value"))
    low, high = (
        numbers(arrays.get(name, value)).astype(np.float64).ravel() for name in ("low", "high")
    )
    exact = numbers(arrays.get("exact", low == high)).astype(bool).ravel()
    if not x.shape == value.shape == low.shape == high.shape == exact.shape:
        raise DataError(
            "The arrays of a curve differ in length.",
            expected=f"{x.size} of each",
            got=", ".join(str(part.size) for part in (value, low, high, exact)),
        )
    baseline = arrays.get("baseline")
    return Curve(x, value, low, high, exact, None if baseline is None else float(baseline))
