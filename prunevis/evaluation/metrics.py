"""Any number per example as an anytime estimate: top-k, loss, per class, a metric of one's own.

The engine is the one of `estimate.py`. What is right or wrong is estimated by counting flips
against a reference, a number by its difference from the reference's number; both stratified, both
exact at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunevis.data import Examples
from prunevis.errors import SpecError
from prunevis.evaluation.estimate import AccuracyEstimate, stage_sizes
from prunevis.evaluation.exact import Evaluation, examples_of
from prunevis.evaluation.intervals import net_flips, wilson
from prunevis.evaluation.measured import Batches, Metric, numbers, pairs_of, placed
from prunevis.evaluation.references import Reference, check_total, finite
from prunevis.evaluation.sampling import FlipDesign, MeanDesign, Strata
from prunevis.evaluation.tallies import FlipTally, MeanTally, PlainTally

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True)
class MetricEstimate:
    """What is known of a metric so far.

    Attributes
    ----------
    metric
        Its name.
    value
        The estimate of its mean over all examples.
    low, high
        95 % interval of that mean, ``low <= value <= high``; equal to `value` once exact.
    seen, total
        Examples run, of how many.
    exact
        Whether all have been run.
    per_class
        For the metric "per-class": one estimate a class, None for a class without examples.
    known
        Once exact: what was found for each example, for a related model's `baseline`.
    """

    metric: str
    value: float
    low: float
    high: float
    seen: int
    total: int
    exact: bool
    per_class: tuple[AccuracyEstimate | None, ...] = field(default=(), repr=False)
    known: Reference | Array | None = field(default=None, repr=False)

    @property
    def half_width(self) -> float:
        """Half of the interval's width, >= 0."""
        return (self.high - self.low) / 2


def estimate(
    model: Any,
    data: Any,
    *,
    metric: str | Metric = "accuracy",
    baseline: Evaluation | MetricEstimate | None = None,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Iterator[MetricEstimate]:
    """Yield estimates of a metric of `model`, each from more examples, the last one exact.

    Parameters
    ----------
    model
        A module, run in eval mode, or a callable, run as it is.
    data
        As for `evaluate`. For a function as metric: a pair of tensors (inputs, targets) of equal
        length, taken as they are, or `Data` or `Examples` made of them; targets need not be labels.
    metric
        "accuracy"; "top-5" (or any other number from 1): the target is among the 5 largest
        outputs, ties in its favour; "loss": cross-entropy in nats; "per-class": accuracy, and that
        on each class; or a function from (outputs, targets) of a batch to one number an example,
        shape (N,), on any device. Its mean gets a normal interval (Student's t).
    baseline
        A related model on the same data: its exact `MetricEstimate` of the same metric, or, for
        "accuracy", "per-class" and "loss", its `Evaluation`. None: a plain sample.
    sizes, seed, device
        As for `estimate_accuracy`.

    Raises
    ------
    ModelError, DataError, NonFiniteError
        As `evaluate`; ModelError too if the metric raises or gives no number an example.
    SpecError
        If there is no such metric, or `baseline` is of another one.

    Examples
    --------
    >>> squared = lambda outputs, targets: (outputs - targets).square().mean(1)
    >>> *_, dense = estimate(model, (x, y), metric=squared)
    >>> first = next(estimate(pruned, (x, y), metric=squared, baseline=dense))
    """
    if isinstance(metric, str):
        name, top = metric, None if metric == "loss" else largest(metric)
        examples = examples_of(data)
    else:
        name, top = getattr(metric, "__name__", "metric"), None
        examples = pairs_of(data)
    known = known_of(baseline, name, is_function=not isinstance(metric, str))
    if known is not None:
        check_total(known.total if isinstance(known, Reference) else len(known), examples.count)
    stages = stage_sizes(examples.count, sizes)
    run = Batches(model, examples, metric, device)

    def estimates() -> Iterator[MetricEstimate]:
        if top is None:
            tally = MeanTally(MeanDesign.of(_numbers(known), examples.count, seed))
        elif isinstance(known, Reference):
            tally = FlipTally(FlipDesign.of(known, seed))
        else:
            tally = PlainTally(Strata.of([np.arange(examples.count)], seed))
        found = Found(examples, name)
        for size in stages:
            while tally.seen < size:
                for images in tally.batches(min(run.sizer.size, size - tally.seen)):
                    outputs, targets = run(images)
                    if isinstance(tally, MeanTally):
                        tally.record(numbers(outputs, targets, metric))
                    else:
                        assert top is not None
                        right, margin = placed(outputs, targets, top)
                        found.write(images, right, margin)
                        tally.record(right, margin)
            yield found.estimate(tally)

    return estimates()


def largest(metric: str) -> int:
    """Return among how many of the largest outputs the target must be; SpecError if unknown."""
    if metric in ("accuracy", "per-class"):
        return 1
    match = re.fullmatch(r"top-?([1-9]\d*)", metric)
    if match is None:
        raise SpecError(
            "There is no such metric.",
            expected='"accuracy", "top-5" (any number), "loss", "per-class" or a function',
            got=repr(metric),
        )
    return int(match[1])


def known_of(baseline: Any, name: str, *, is_function: bool) -> Reference | Array | None:
    """Return what `baseline` knows of each example, for the metric called `name`."""
    if baseline is None:
        return None
    if isinstance(baseline, Evaluation) and not is_function:
        if name == "loss":
            return baseline.examples.loss.double().numpy()
        if largest(name) == 1:
            return Reference.of(baseline)
    same = ("accuracy", "per-class")
    if isinstance(baseline, MetricEstimate) and (
        baseline.metric == name or {baseline.metric, name} <= set(same)
    ):
        if baseline.known is not None:
            return baseline.known
        raise SpecError(
            "The baseline is not exact yet.",
            got=f"{baseline.seen:,} of {baseline.total:,} examples",
            fix="Pass the last estimate: *_, baseline = estimate(model, data, metric=...).",
        )
    raise SpecError(
        "The baseline says nothing about this metric.",
        expected=f"the last of estimate(model, data, metric={name!r})",
        got=f"one of {baseline.metric!r}"
        if isinstance(baseline, MetricEstimate)
        else type(baseline).__name__,
    )


def _numbers(known: Reference | Array | None) -> Array | None:
    return None if isinstance(known, Reference) else known


class Found:
    """Right or wrong for each example so far, and the estimate made of a tally.

    Parameters
    ----------
    examples
        The data.
    name
        Of the metric.
    """

    def __init__(self, examples: Examples, name: str) -> None:
        self.name = name
        self.targets = examples.targets.cpu().numpy() if name == "per-class" else None
        self.right = np.zeros(examples.count, dtype=bool)
        self.margin = np.zeros(examples.count)
        self.seen = np.zeros(examples.count, dtype=bool)

    def write(self, images: Array, right: Array, margin: Array) -> None:
        """Take note of a batch."""
        self.right[images], self.margin[images], self.seen[images] = right, margin, True

    def estimate(self, tally: FlipTally | PlainTally | MeanTally) -> MetricEstimate:
        """Return the estimate as it is now."""
        seen, total = tally.seen, tally.total
        exact = seen == total
        if isinstance(tally, MeanTally):
            value, low, high = tally.interval()
            known = tally.values if exact else None
            return MetricEstimate(self.name, value, low, high, seen, total, exact, (), known)
        share = AccuracyEstimate.of(*tally.interval(), seen, total)
        known = Reference(self.right, finite(self.margin)) if exact else None
        return MetricEstimate(
            self.name,
            share.value,
            share.low,
            share.high,
            seen,
            total,
            exact,
            self.per_class(tally),
            known,
        )

    def per_class(self, tally: FlipTally | PlainTally) -> tuple[AccuracyEstimate | None, ...]:
        """Return the accuracy on each class, None where it has no examples."""
        if self.targets is None:
            return ()
        return tuple(
            self._of_class(self.targets == c, tally) for c in range(int(self.targets.max()) + 1)
        )

    def _of_class(self, members: Array, tally: FlipTally | PlainTally) -> AccuracyEstimate | None:
        total, seen = int(members.sum()), int((members & self.seen).sum())
        if total == 0:
            return None
        right = int((members & self.seen & self.right).sum())
        if isinstance(tally, PlainTally):
            if seen == 0:
                return AccuracyEstimate(0.5, 0.0, 1.0, 0, total, False)
            low, high = wilson(right, seen, population=total)
            return AccuracyEstimate.of(right / seen * total, low * total, high * total, seen, total)
        design, strata = tally.design, tally.strata
        reference, at = design.reference, np.empty(len(members), dtype=np.int64)
        at[strata.order] = strata.stratum
        # a flip in this class is one more kind of rare event, counted in the same strata
        flipped = members & self.seen & (self.right != reference.right)
        flips = np.bincount(at[flipped], minlength=len(design.sign))
        share = np.bincount(at[members], minlength=len(design.sign)) / strata.sizes
        gain, low, high = net_flips(
            flips, tally.drawn, strata.sizes, design.sign, tally.expected() * share
        )
        base = int((members & reference.right).sum())
        value, low, high = (
            min(max(base + float(x), right), right + total - seen) for x in (gain, low, high)
        )
        return AccuracyEstimate.of(value, low, high, seen, total)
