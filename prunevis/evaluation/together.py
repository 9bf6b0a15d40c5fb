"""Measuring several candidates on the same images, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunevis.evaluation.engine import FEW, TOLERANCE, Engine
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler, Stream
from prunevis.evaluation.inference import evaluation_mode
from prunevis.evaluation.pace import threads
from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import NotRecordable, Recording
from prunevis.evaluation.tallies import Course
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.workspace import Workspace

#: A batch of at least this part of the usual size is filled up to that.
PADDED = 4

Steps = Generator[tuple[int, AccuracyEstimate | None], None, None]


class Together:
    """Candidates of one network, measured together so that what they share is computed once.

    A few images are run by the networks themselves and written down (a full batch, where the size
    of batches is written into the forward); all are then run by the program that results, if that
    gives on those what the networks gave. Images whose two
    highest logits lie so close that rounding could decide are run by the network in any case, so
    that the last estimate is the figure of `evaluate`.

    Parameters
    ----------
    engine
        Of the network.
    sampler
        Of the examples; estimates are paired with its baseline.
    plans
        In ascending order of what they remove, all of one ranking; None is the network itself.
    workspace
        Holds the pruned copy of a network that is too large to have several.
    """

    def __init__(
        self,
        engine: Engine,
        sampler: Sampler,
        plans: Sequence[PruningPlan | None],
        workspace: Workspace | None = None,
    ) -> None:
        self.engine, self.sampler = engine, sampler
        self.plans = list(plans)
        self._workspace = workspace
        self.streams: list[Stream] = []
        self._models: list[nn.Module] = []
        self._course: Course | None = None
        self._program: tuple[int, Program] | None = None
        self._plain = False
        self._limit, self._every = sampler.total, True
        self._keeps = False
        #: Largest difference between the program and the networks, seen on its first batch.
        self._apart = 0.0
        #: The batch that was begun, and how many images had been seen before: candidates that
        #: have seen more are passed over.
        self._open: tuple[NDArray[np.int64], int] | None = None

    def steps(
        self, limit: int | None = None, first: int | None = None, *, every: bool = True
    ) -> Steps:
        """Yield the number of a candidate and its estimate after each of its batches.

        Parameters
        ----------
        limit
            Images for each candidate; None for all. Call again to go on, also after a generator
            that was dropped halfway: a batch that was begun is finished.
        first
            Size of the first batch; None for the usual one.
        every
            Whether each batch gives an estimate; else there is None until the limit is reached,
            which saves the arithmetic. (Before the first batch, while networks are written down,
            there is None too.)

        Raises
        ------
        ModelError, DataError, NonFiniteError
            As `evaluate`.
        """
        self._limit = self.sampler.total if limit is None else min(limit, self.sampler.total)
        self._every = every
        steps = self._steps(first)
        while True:
            # all that a step does, copying images and counting included, on as many threads as pay
            with threads(self.engine.pace.count):
                found = next(steps, None)
            if found is None:
                return
            yield found

    def _steps(self, first: int | None) -> Steps:
        for plan in self.plans[len(self._models) :]:
            model = self.engine.model if plan is None else self._candidate(plan)
            self._models.append(model)
            self.streams.append(self.sampler.stream(model))
        limit = self._limit
        if not self.streams:
            return
        course = self._course = self._course or Course([s.tally for s in self.streams])
        while self._open is not None or course.seen < limit:
            if self._open is None:
                size = self.engine.way.batch
                if first is not None and not course.seen:
                    size = min(first, size**2)  # where a batch is one image, so is the first
                before = course.seen
                images = course.take(min(size, limit - before), across=first is None or not before)
                self._open = images, before
            yield from self._batch(*self._open)
            self._open = None

    def _candidate(self, plan: PruningPlan) -> nn.Module:
        engine, workspace = self.engine, self._workspace
        if workspace is None or not engine.large:
            return candidate(engine.model, plan)
        # a program would hold a copy of its own: worth it only if it need not begin at the start
        if engine.begins_whole(plan):
            return candidate(engine.model, plan)
        self._plain = True
        return workspace.candidate(engine.model, plan)

    def _batch(self, images: NDArray[np.int64], before: int) -> Steps:
        inputs = self.sampler.inputs(images).to(self.sampler.device or self.engine.device)
        count, total = len(images), self.sampler.total
        if self._program is None and not self._plain:
            yield from self._record_few(inputs)
        size, program = self._program or (0, None)
        if (
            program is not None
            and not self._plain
            and (not size or size // PADDED <= count <= size)
        ):
            if count < size:  # filled up with images whose results are dropped
                inputs = inputs[torch.arange(size) % count]
            yield from self._run(program, torch.from_numpy(images), inputs, before)
        elif count == self.engine.way.batch and not (self._plain or before + count == total):
            # worth writing down: the same size comes again
            yield from self._record(inputs, before)
        else:
            for number, stream in enumerate(self.streams):
                if stream.seen == before:
                    yield self._note(number, self._forward(number, inputs))

    def _note(self, number: int, logits: Tensor) -> tuple[int, AccuracyEstimate | None]:
        stream = self.streams[number]
        stream.note(logits)
        return number, stream.tell() if self._every or stream.seen >= self._limit else None

    def _forward(self, number: int, inputs: Tensor) -> Tensor:
        with self.engine.pace.step((id(self), number, len(inputs))):
            return self.streams[number].predict(inputs)

    def _record_few(self, inputs: Tensor) -> Steps:
        """Make a program for batches of every size from a few images, if one holds for all."""
        try:
            with torch.inference_mode(), threads(self.engine.pace.count):
                any_size = self.engine.any_size(self.sampler.examples.inputs)
        except Exception:
            any_size = False  # found out again, and dealt with, on a full batch
        if not any_size:
            return
        few, recordings = inputs[:FEW], list[Recording]()
        for number, stream in enumerate(self.streams):
            if self._written(number, few, recordings) is None:
                return
            if len(self.streams) > 1:  # a single one is soon done, and somebody waits for it
                yield number, stream.estimate
        yield from self._tried(few, recordings, size=0)

    def _record(self, inputs: Tensor, before: int) -> Steps:
        recordings: list[Recording] = []
        for number, stream in enumerate(self.streams):
            logits = None
            if not self._plain:
                logits = self._written(number, inputs, recordings)
                if logits is not None:
                    logits = stream.predict.checked(logits, inputs)
            if stream.seen == before:
                logits = self._forward(number, inputs) if logits is None else logits
                yield self._note(number, logits)
        yield from self._tried(inputs, recordings, size=len(inputs))

    def _tried(self, inputs: Tensor, recordings: list[Recording], size: int) -> Steps:
        if self._plain:
            return
        try:
            yield from self._merge(inputs, recordings, size)
        except Exception:
            # a `view` of values that now lie in another order; the network itself can run
            self._plain = True

    def _merge(self, inputs: Tensor, recordings: list[Recording], size: int) -> Steps:
        """Make a program of recordings, if it gives what the networks gave.

        `size` is that of the batches it is for; 0 for any.
        """
        with torch.inference_mode():
            program = self.engine.program(self.plans, recordings)
        found: dict[Hashable, Tensor] = {}
        values = [recording.value for recording in recordings]
        outputs = self._outputs(program, inputs, None, found)
        for number, (logits, value) in enumerate(zip(outputs, values, strict=True)):
            apart = _apart(logits, value)
            if apart is None:
                self._plain = True
                return
            self._apart = max(self._apart, apart)
            if len(self.streams) > 1:
                yield number, self.streams[number].estimate
        kept = self.engine.kept
        kept.want(program.frontier)
        if kept.wants(program.frontier):
            with torch.inference_mode(), threads(self.engine.pace.count):
                self._keeps = self.engine.keeps(program, inputs, found)
        self._program = (size, program)

    def _written(self, number: int, inputs: Tensor, recordings: list[Recording]) -> Tensor | None:
        """Run a candidate, add its recording, return its result; None if it cannot be recorded."""
        engine, model = self.engine, self._models[number]
        try:
            with torch.inference_mode(), threads(engine.pace.count), evaluation_mode(model):
                found = engine.record(self.plans[number], model, inputs)
        except NotRecordable as error:
            engine.reason, self._plain = str(error), True
            return None
        except Exception as error:
            # if it is the forward's, running the network says so better
            engine.reason, self._plain = f"recording failed: {type(error).__name__}", True
            return None
        recordings.append(found)
        return found.value

    def _run(self, program: Program, examples: Tensor, inputs: Tensor, before: int) -> Steps:
        kept = self.engine.kept
        frontier = program.frontier if self._keeps else frozenset[Hashable]()
        if len(examples) < len(inputs):
            frontier = frozenset()
        values = kept.get(frontier, examples)
        found: dict | None = {} if values is None and kept.wants(frontier) else None
        outputs = self._outputs(program, inputs, values, found)
        for number, stream in enumerate(self.streams):
            try:
                logits = None if self._plain else next(outputs)
            except Exception:
                # what ran once on a batch of this size and now fails: the network itself decides
                logits, self._plain = None, True
            if stream.seen != before:
                continue  # had this batch before a generator was dropped
            if logits is None:
                yield self._note(number, self._forward(number, inputs[: len(examples)]))
                continue
            logits = stream.predict.checked(logits[: len(examples)], inputs[: len(examples)])
            near = _ties(logits, self._apart)
            if len(near):
                logits = logits.clone()
                logits[near] = self._forward(number, inputs[near])
            yield self._note(number, logits)
        if found is not None and not self._plain:
            kept.put(frontier, examples, found)

    def _outputs(
        self,
        program: Program,
        inputs: Tensor,
        kept: dict | None = None,
        found: dict | None = None,
    ) -> Iterator[Tensor]:
        run = program.run(inputs, kept, found)
        for number in range(len(self.plans)):
            kind = (id(program), number, kept is None)
            # entered for each step: inference mode is a matter of the thread, not of the generator
            with torch.inference_mode(), self.engine.pace.step(kind):
                logits = next(run)
            yield logits


def measure_plans(
    engine: Engine, sampler: Sampler, plans: Sequence[PruningPlan], images: int | None = None
) -> Generator[None, None, list[AccuracyEstimate]]:
    """Return the accuracy under each of `plans`, as `Together` takes them; yields between batches.

    Plans that remove the same are measured once, and one that removes nothing has the accuracy of
    the sampler's baseline.

    Parameters
    ----------
    images
        Images run for each; None for all.
    """
    found: dict[tuple[int, ...], AccuracyEstimate] = {}
    keys = [tuple(plan.removed.values()) for plan in plans]
    if sampler.baseline is not None:
        known, total = sampler.baseline.accuracy, sampler.total
        nothing = AccuracyEstimate(known, known, known, total, total, True)
        found.update({key: nothing for key in keys if not any(key)})
    wanted = {key: plan for key, plan in zip(keys, plans, strict=True) if key not in found}
    if wanted:
        together = Together(engine, sampler, list(wanted.values()))
        for _ in together.steps(images, every=False):
            yield
        for key, stream in zip(wanted, together.streams, strict=True):
            assert stream.estimate is not None
            found[key] = stream.estimate
    return [found[key] for key in keys]


def blocks(count: int, size: int) -> list[list[int]]:
    """Return the positions 0 to `count` - 1 in blocks: ends, a coarse grid, then neighbours.

    Neighbours share most of what is computed; but a curve of which the ends and every eighth is
    known says more than one known in full up to somewhere.

    Parameters
    ----------
    count
        Number of positions.
    size
        Most positions in a block, from 1.

    Examples
    --------
    >>> blocks(12, 3)
    [[0, 11], [1, 2, 3], [5, 6, 8], [9], [4, 7, 10]]
    """
    order = coarse_to_fine(count)
    parts = [sorted(order[:2]), sorted(order[2:9]), sorted(order[9:])]
    return [part[k : k + size] for part in parts for k in range(0, len(part), size)]


def coarse_to_fine(count: int) -> list[int]:
    """Return the positions 0 to `count` - 1: both ends, the middle, the quarters, and so on.

    Examples
    --------
    >>> coarse_to_fine(9)
    [0, 8, 4, 2, 6, 1, 3, 5, 7]
    """
    order = [0, count - 1][:count]
    gaps = [(0, count - 1)]
    for low, high in gaps:  # grows while it is read: breadth first
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def _apart(logits: Tensor, value: Tensor) -> float | None:
    """Return the largest difference between both, None if it is more than rounding."""
    if logits.shape != value.shape or logits.dtype != value.dtype:
        return None
    if not value.numel():
        return 0.0
    largest = float((logits - value).abs().amax())
    return largest if largest <= TOLERANCE * float(value.abs().amax()) < math.inf else None


def _ties(logits: Tensor, apart: float) -> Tensor:
    """Return the rows (k,) whose two highest logits differ by no more than rounding may."""
    if logits.shape[1] < 2:
        return torch.empty(0, dtype=torch.int64)
    highest = logits.topk(2, 1).values
    rounding = 4 * max(TOLERANCE * float(logits.abs().amax()), apart)
    # two that are ruled out with -inf differ by NaN
    return (~(highest[:, 0] - highest[:, 1] > rounding)).nonzero()[:, 0]
