"""Anytime accuracy: honest first answers whose interval shrinks until they are exact.

What a related model answers is known image by image: the dense model, or positions nearby that are
already exact. A candidate mostly gives the same answers, and where it does not, the reference was
rarely sure. So images are divided into strata by the reference's margin, and more of those are run
where flips are likely: answers whose correctness is not the anticipated one. Because in no stratum
both right and wrong answers are anticipated, counting flips *is* the paired estimate: the
reference's accuracy plus the mean change.

How likely flips are is learned from the images run so far. Not from their flips, which are few, but
from how far their margins moved, which every image shows (`FlipDesign.expected`). The same figure
plans which images come next (`sampling.py`) and says what zero observed flips mean for the interval
(`intervals.net_flips`). Where pruning has destroyed the model margins move far everywhere, and the
plan becomes the plain sample by itself; a share of images is spread evenly whatever the plan. So
there is no second estimator to fall back to, which would have to be chosen by the outcomes that it
is judged by. Without a reference the sample is the plain one.

An estimate only ever extends, and the last one is the exact figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunevis.data import Examples
from prunevis.errors import SpecError
from prunevis.evaluation.exact import Evaluation, Outcomes, examples_of
from prunevis.evaluation.inference import BatchSizer, Classifier, Predictor
from prunevis.evaluation.references import Reference, as_reference, check_total
from prunevis.evaluation.sampling import FlipDesign, Strata
from prunevis.evaluation.tallies import FlipTally, PlainTally


@dataclass(frozen=True, slots=True)
class AccuracyEstimate:
    """What is known of an accuracy so far.

    Attributes
    ----------
    value
        The estimate, in [0, 1].
    low, high
        95 % interval of the accuracy on all `total` images, ``0 <= low <= value <= high <= 1``;
        equal to `value` once exact.
    seen, total
        Images run, of how many.
    exact
        Whether all images have been run.
    """

    value: float
    low: float
    high: float
    seen: int
    total: int
    exact: bool

    @staticmethod
    def of(value: float, low: float, high: float, seen: int, total: int) -> AccuracyEstimate:
        """Return a number of right answers, with its interval, as an estimate of `total`."""
        low, value, high = (min(1.0, max(0.0, x / total)) for x in (low, value, high))
        return AccuracyEstimate(value, low, high, seen, total, seen == total)

    @property
    def half_width(self) -> float:
        """Half of the interval's width, in [0, 0.5]."""
        return (self.high - self.low) / 2

    def __repr__(self) -> str:
        if self.exact:
            return f"AccuracyEstimate({self.value:.2%}, exact on {self.total:,})"
        return (
            f"AccuracyEstimate({self.value:.2%}, {self.low:.2%} to {self.high:.2%}, "
            f"{self.seen:,} of {self.total:,})"
        )


class Sampler:
    """Examples and what is known about them, shared by all candidates with the same reference.

    Making one costs a few milliseconds; nothing of the inputs is copied.

    Parameters
    ----------
    data
        As for `evaluate`.
    baseline
        What is known: an `Evaluation` of a related model on the same data, or a `Reference` made
        of several (`Reference.nearest`). None: a plain sample.
    seed
        Of the order.
    device
        Where inputs are moved to; None for the device of each model.
    sizer
        Chooses batch sizes, and learns across candidates; None for steps of about 30 ms.

    Attributes
    ----------
    examples, total
        The data, and how many there are.
    baseline, reference
        As given, if it is an `Evaluation`; and as it is used.

    Raises
    ------
    DataError
        If `baseline` was measured on another number of examples.
    """

    def __init__(
        self,
        data: Any,
        baseline: Evaluation | Reference | None = None,
        *,
        seed: int = 0,
        device: torch.device | str | None = None,
        sizer: BatchSizer | None = None,
    ) -> None:
        self.examples: Examples = examples_of(data)
        self.baseline = baseline if isinstance(baseline, Evaluation) else None
        self.reference = None if baseline is None else as_reference(baseline)
        self.device = device
        self.sizer = sizer or BatchSizer(first=64)
        self.total = self.examples.count
        self.num_classes = int(self.examples.targets.max()) + 1
        if self.reference is None:
            self.design: FlipDesign | Strata = Strata.of([np.arange(self.total)], seed)
        else:
            check_total(self.reference.total, self.total)
            self.design = FlipDesign.of(self.reference, seed)

    def inputs(self, images: NDArray[np.int64]) -> Tensor:
        """Return the inputs of these images, shape (n, ...)."""
        inputs = self.examples.inputs
        return inputs[torch.from_numpy(images).to(inputs.device)]

    def stream(self, model: Classifier) -> Stream:
        """Return a `Stream` of estimates for `model`."""
        return Stream(self, model)


class Stream:
    """The accuracy of one candidate, measured step by step.

    Nothing is held between steps but numbers: drop the stream to cancel.

    Parameters
    ----------
    sampler
        The examples and what is known about them.
    model
        A module or a callable, as for `evaluate`.

    Attributes
    ----------
    seen
        Images run so far.
    estimate
        The newest one; None before the first step.
    tally
        What was seen; a `Course` of several says which images are due for all of them.
    predict
        Gives checked logits of the model.
    """

    def __init__(self, sampler: Sampler, model: Classifier) -> None:
        self.sampler = sampler
        self.estimate: AccuracyEstimate | None = None
        self._outcomes = Outcomes.empty(sampler.total)
        self.predict = Predictor(
            model, sampler.num_classes, device=sampler.device, sizer=sampler.sizer
        )
        self._num_outputs = 0
        design = sampler.design
        self.tally = FlipTally(design) if isinstance(design, FlipDesign) else PlainTally(design)

    @property
    def seen(self) -> int:
        """Images run so far."""
        return self.tally.seen

    @property
    def done(self) -> bool:
        """Whether all images have been run."""
        return self.seen == self.sampler.total

    def step(self, limit: int | None = None) -> AccuracyEstimate:
        """Run one more batch, of about 30 ms and at most `limit` images; return the estimate.

        Raises
        ------
        ModelError, DataError, NonFiniteError
            As `evaluate`.
        """
        wanted = self.sampler.sizer.size if limit is None else min(limit, self.sampler.sizer.size)
        for images in self.tally.batches(wanted):
            self.estimate = self.add(self.predict(self.sampler.inputs(images)))
        assert self.estimate is not None, "a step needs a limit of at least 1"
        return self.estimate

    def add(self, logits: Tensor) -> AccuracyEstimate:
        """Take the logits (n, classes) of the images that are due; return the estimate.

        They come from `predict`, or from whoever computed and checked them in another way.
        """
        self.note(logits)
        return self.tell()

    def tell(self) -> AccuracyEstimate:
        """Return the estimate from what was noted so far, at least one image."""
        tally = self.tally
        self.estimate = AccuracyEstimate.of(*tally.interval(), tally.seen, tally.total)
        return self.estimate

    def note(self, logits: Tensor) -> None:
        """Take the logits (n, classes) of the images that are due, as `add` without an estimate."""
        tally, targets = self.tally, self.sampler.examples.targets
        where = torch.from_numpy(tally.newest[0])
        self._num_outputs = int(logits.shape[1])
        correct = self._outcomes.write(where, logits, targets[where.to(targets.device)])
        tally.record(correct.numpy(), self._outcomes.margin[where].numpy())

    def evaluation(self) -> Evaluation:
        """Return the exact `Evaluation`, in the order of the data; only once `done`."""
        if not self.done:
            raise SpecError(
                "The evaluation is not complete.",
                got=f"{self.seen:,} of {self.sampler.total:,} images",
                fix="Call step() until done.",
            )
        targets = self.sampler.examples.targets
        return Evaluation.of(self._outcomes, targets, self._num_outputs)


def stage_sizes(total: int, sizes: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return how many images each published estimate is made of, ascending, ending in `total`.

    Parameters
    ----------
    total
        All images.
    sizes
        Numbers from 1; those beyond `total` are dropped. None: 128, 256, 512, ...

    Raises
    ------
    SpecError
        If a size is not a whole number from 1.
    """
    if sizes is None:
        sizes = [128 << k for k in range(64) if 128 << k < total]
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise SpecError("A sample size is a whole number from 1.", got=repr(size))
    return (*sorted({s for s in sizes if s < total}), total)


def estimate_accuracy(
    model: Classifier,
    data: Any,
    *,
    baseline: Evaluation | Reference | None = None,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Iterator[AccuracyEstimate]:
    """Yield estimates of the accuracy of `model`, each from more images, the last one exact.

    Parameters
    ----------
    model, data, device
        As for `evaluate`.
    baseline
        `Evaluation` of a related model (usually the unpruned one) on the same data, or a
        `Reference` made of the nearest that are known. Where the two mostly agree the same interval
        needs many times fewer images.
    sizes
        Images behind each estimate; None for 128, 256, 512, ... All images always come last.
    seed
        Of the order of the images.

    Raises
    ------
    ModelError, DataError, NonFiniteError, SpecError
        As `evaluate`; DataError too if `baseline` was measured on other data.

    Examples
    --------
    >>> baseline = evaluate(model, data)
    >>> for estimate in estimate_accuracy(pruned, data, baseline=baseline):
    ...     if estimate.half_width < 0.005:
    ...         break
    """
    sampler = Sampler(data, baseline, seed=seed, device=device)
    stages = stage_sizes(sampler.total, sizes)

    def estimates() -> Iterator[AccuracyEstimate]:
        stream = sampler.stream(model)
        for size in stages:
            while stream.seen < size:
                estimate = stream.step(size - stream.seen)
            yield estimate

    return estimates()
