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
#: Most bytes of logits that wait to be counted.
WAITING_BYTES = 4 * 1024**2

Steps = Generator[tuple[int, AccuracyEstimate | None], None, None]


class Together:
    """Candidates of one network, measured together so that what they share is computed once.

    A few images are run by the networks themselves and written down (a full batch, where the size
    of batches is written into the forward); all are then run by the program that results, as long
    as that gives on those what the networks gave. Images whose two
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
        #: What the networks gave on the images that they were written down on: what the program's
        #: first batch must begin with.
        self._unproven: list[Tensor] | None = None
        #: Largest difference between the two.
        self._apart = 0.0
        #: The batch that was begun, and how many images had been taken before: candidates that
        #: have run more are passed over.
        self._open: tuple[NDArray[np.int64], int] | None = None
        #: Images that each candidate has run.
        self._ran: list[int] = []
        #: Logits of each that are not counted yet, and whether the network itself gave them.
        self._waiting: list[list[tuple[Tensor, bool]]] = []

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
            Whether each batch gives an estimate; else there is None, but for some on the way and
            the last: counting many images at once takes a fraction of the time. (Before the first
            batch, while networks are written down, there is None too.)

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
            self._ran.append(0)
            self._waiting.append([])
            if plan is not None and plan.spec.repair != "none":
                yield len(self._models) - 1, None  # a repair takes a while
        limit = self._limit
        if not self.streams:
            return
        course = self._course = self._course or Course([s.tally for s in self.streams])
        while self._open is not None or course.seen < limit:
            if self._open is None:
                size = self._batch_size
                if first is not None and not course.seen:
                    size = min(first, size**2)  # where a batch is one image, so is the first
                before, across = course.seen, first is None or not course.seen
                size = min(size, limit - before)
                if course.plans_within(size, across=across):
                    yield from self._count()
                self._open = course.take(size, across=across), before
            yield from self._batch(*self._open)
            if self._every or self._bytes_waiting > WAITING_BYTES:
                yield from self._count()
            self._open = None
        yield from self._count()

    def _candidate(self, plan: PruningPlan) -> nn.Module:
        engine, workspace = self.engine, self._workspace
        if workspace is None or not engine.large:
            return candidate(engine.model, plan)
        # a program would hold a copy of its own: worth it only if it need not begin at the start
        if engine.begins_whole(plan):
            return candidate(engine.model, plan)
        self._plain = True
        return workspace.candidate(engine.model, plan)

    @property
    def _batch_size(self) -> int:
        """Images in a batch: as the engine says, but such that all batches are of equal size."""
        batches = -(-self.sampler.total // self.engine.way_of(self.plans).batch)
        return -(-self.sampler.total // batches)

    def _batch(self, images: NDArray[np.int64], before: int) -> Steps:
        inputs = self.sampler.inputs(images).to(self.sampler.device or self.engine.device)
        count, total = len(images), self.sampler.total
        if self._program is None and not self._plain:
            yield from self._record_few(inputs)
        size, program = self._program or (0, None)
        # filled up with images whose results are dropped: kernels for another size of batch take
        # longer to make than that; but not where somebody waits for a first answer
        full = size or (count if self._every else max(count, self._batch_size))
        if (
            program is not None
            and not self._plain
            and (full // PADDED <= count <= full or not size)
        ):
            if full // PADDED <= count < full:
                inputs = inputs[torch.arange(full) % count]
            yield from self._run(program, torch.from_numpy(images), inputs, before)
        elif count == self._batch_size and not (self._plain or before + count == total):
            # worth writing down: the same size comes again
            yield from self._record(inputs, before)
        else:
            for number in range(len(self.streams)):
                if self._ran[number] == before:
                    yield self._note(number, self._forward(number, inputs), itself=True)

    def _note(
        self, number: int, logits: Tensor, *, itself: bool
    ) -> tuple[int, AccuracyEstimate | None]:
        """Take a candidate's logits; `itself` says whether the network gave them."""
        self._waiting[number].append((logits, itself))
        self._ran[number] += len(logits)
        return number, self._counted(number) if self._every else None

    @property
    def _bytes_waiting(self) -> int:
        return sum(logits.nbytes for waiting in self._waiting for logits, _ in waiting)

    def _count(self) -> Steps:
        """Count what waits, of every candidate; only between two batches."""
        for number, waiting in enumerate(self._waiting):
            if waiting:
                yield number, self._counted(number)

    def _counted(self, number: int) -> AccuracyEstimate:
        stream, waiting = self.streams[number], self._waiting[number]
        images, shape = stream.tally.newest[0], self.sampler.examples.inputs.shape[1:]
        logits = torch.cat([part for part, _ in waiting])
        logits = stream.predict.checked(logits, (len(images), *shape))
        if not all(itself for _, itself in waiting):
            itself = torch.cat([torch.full((len(part),), known) for part, known in waiting])
            near = _ties(logits, self._apart)
            near = near[~itself[near]]
            if len(near):
                logits[near] = self._forward(number, self.sampler.inputs(images[near.numpy()]))
        stream.note(logits)
        waiting.clear()
        return stream.tell()

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
        self._build(recordings, size=0)

    def _record(self, inputs: Tensor, before: int) -> Steps:
        recordings: list[Recording] = []
        for number, stream in enumerate(self.streams):
            logits = None
            if not self._plain:
                logits = self._written(number, inputs, recordings)
                if logits is not None:
                    logits = stream.predict.checked(logits, inputs.shape)
            if self._ran[number] == before:
                logits = self._forward(number, inputs) if logits is None else logits
                yield self._note(number, logits, itself=True)
        program = self._build(recordings, size=len(inputs))
        if program is None:
            return
        outputs = self._outputs(program, inputs)
        for number, stream in enumerate(self.streams):
            if self._computed(number, outputs) is None:
                return
            yield number, stream.estimate
        self._unproven = None

    def _build(self, recordings: list[Recording], size: int) -> Program | None:
        """Make a program for batches of `size`, 0 for any, that is to be held against networks."""
        if self._plain:
            return None
        try:
            with torch.inference_mode():
                program = self.engine.program(self.plans, recordings)
        except Exception:
            # a `view` of values that now lie in another order; the network itself can run
            self._plain = True
            return None
        self.engine.kept.want(program.frontier)
        self._program, self._unproven = (size, program), [found.value for found in recordings]
        return program

    def _computed(self, number: int, outputs: Iterator[Tensor]) -> Tensor | None:
        """Return what the program gives next, None if the network itself is to be run."""
        if self._plain:
            return None
        try:
            logits = next(outputs)
        except Exception:
            # what ran once on a batch of this size and now fails: the network itself decides
            self._plain = True
            return None
        if self._unproven is not None:
            value = self._unproven[number]
            apart = _apart(logits[: len(value)], value)
            if apart is None:
                self._plain = True
                return None
            self._apart = max(self._apart, apart)
        return logits

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
        kept, count = self.engine.kept, len(examples)
        frontier = program.frontier if count == len(inputs) else frozenset[Hashable]()
        values = kept.get(frontier, examples)
        found: dict | None = {} if values is None and kept.wants(frontier) else None
        outputs = self._outputs(program, inputs, values, found)
        for number, ran in enumerate(self._ran):
            logits = self._computed(number, outputs)
            if ran != before:
                continue  # had this batch before a generator was dropped
            if logits is None:
                yield self._note(number, self._forward(number, inputs[:count]), itself=True)
            else:
                yield self._note(number, logits[:count], itself=False)
        self._unproven = None
        if found is None or self._plain:
            return
        with torch.inference_mode(), threads(self.engine.pace.count):
            if self.engine.keeps(program, inputs, found):
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
