"""Measuring several candidates on the same images, batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunevis.evaluation.engine import TOLERANCE, Engine
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler, Stream
from prunevis.evaluation.inference import evaluation_mode
from prunevis.evaluation.pace import threads
from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import NotRecordable, Recording
from prunevis.evaluation.tallies import Course
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.workspace import Workspace

Steps = Generator[tuple[int, AccuracyEstimate], None, None]


class Together:
    """Candidates of one network, measured together so that what they share is computed once.

    The first full batch is run by the networks themselves and written down; later ones by the
    program that results, if that gives on the first batch what the networks gave. Images whose two
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

    def steps(self, limit: int | None = None, first: int | None = None) -> Steps:
        """Yield the number of a candidate and its estimate after each of its batches.

        Parameters
        ----------
        limit
            Images for each candidate; None for all. Call again to go on.
        first
            Size of the first batch; None for the usual one.

        Raises
        ------
        ModelError, DataError, NonFiniteError
            As `evaluate`.
        """
        steps = self._steps(limit, first)
        while True:
            # all that a step does, copying images and counting included, on as many threads as pay
            with threads(self.engine.pace.count):
                found = next(steps, None)
            if found is None:
                return
            yield found

    def _steps(self, limit: int | None, first: int | None) -> Steps:
        total = self.sampler.total
        for plan in self.plans[len(self._models) :]:
            model = self.engine.model if plan is None else self._candidate(plan)
            self._models.append(model)
            self.streams.append(self.sampler.stream(model))
        limit = total if limit is None else min(limit, total)
        course = self._course = self._course or Course([s.tally for s in self.streams])
        while course.seen < limit:
            size = self.engine.way.batch
            if first is not None and not course.seen:
                size = min(first, size**2)  # where a batch is one image, so is the first
            images = course.take(min(size, limit - course.seen))
            yield from self._batch(images, last=course.seen == total)

    def _candidate(self, plan: PruningPlan) -> nn.Module:
        engine, workspace = self.engine, self._workspace
        if workspace is None or not engine.large:
            return candidate(engine.model, plan)
        # a program would hold a copy of its own: worth it only if it need not begin at the start
        if engine.begins_whole(plan):
            return candidate(engine.model, plan)
        self._plain = True
        return workspace.candidate(engine.model, plan)

    def _batch(self, images: NDArray[np.int64], *, last: bool) -> Steps:
        inputs = self.sampler.inputs(images).to(self.sampler.device or self.engine.device)
        count = len(images)
        if self._program is not None and self._program[0] == count and not self._plain:
            yield from self._run(self._program[1], torch.from_numpy(images), inputs)
        elif count == self.engine.way.batch and not last and not self._plain:
            # worth writing down: the same size comes again
            yield from self._record(inputs)
        else:
            for number, stream in enumerate(self.streams):
                yield number, stream.add(self._forward(number, inputs))

    def _forward(self, number: int, inputs: Tensor) -> Tensor:
        with self.engine.pace.step((id(self), number, len(inputs))):
            return self.streams[number].predict(inputs)

    def _record(self, inputs: Tensor) -> Steps:
        recordings: list[Recording] = []
        for number, stream in enumerate(self.streams):
            logits = None
            if not self._plain:
                logits = self._written(number, inputs, recordings)
            yield number, stream.add(self._forward(number, inputs) if logits is None else logits)
        if self._plain:
            return
        with torch.inference_mode():
            program = self.engine.program(self.plans, recordings)
        values = [recording.value for recording in recordings]
        for logits, value in zip(self._outputs(program, inputs), values, strict=True):
            if not _close(logits, value):
                self._plain = True
                return
        self.engine.kept.want(program.frontier)
        self._program = (int(inputs.shape[0]), program)

    def _written(self, number: int, inputs: Tensor, recordings: list[Recording]) -> Tensor | None:
        """Run a candidate, add its recording, return its logits; None if it cannot be recorded."""
        engine, model = self.engine, self._models[number]
        try:
            with torch.inference_mode(), threads(engine.pace.count), evaluation_mode(model):
                found = engine.record(self.plans[number], model, inputs)
        except NotRecordable as error:
            engine.reason, self._plain = str(error), True
            return None
        recordings.append(found)
        return self.streams[number].predict.checked(found.value, inputs)

    def _run(self, program: Program, examples: Tensor, inputs: Tensor) -> Steps:
        kept, frontier = self.engine.kept, program.frontier
        before = kept.get(frontier, examples)
        found: dict | None = {} if before is None and kept.wants(frontier) else None
        for number, logits in enumerate(self._outputs(program, inputs, before, found)):
            stream = self.streams[number]
            logits = stream.predict.checked(logits, inputs)
            near = _ties(logits)
            if len(near):
                logits = logits.clone()
                logits[near] = self._forward(number, inputs[near])
            yield number, stream.add(logits)
        if found is not None:
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
        for _ in together.steps(images):
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


def _close(logits: Tensor, value: Tensor) -> bool:
    if logits.shape != value.shape:
        return False
    scale = float(value.abs().amax()) if value.numel() else 0.0
    return bool(((logits - value).abs() <= TOLERANCE * scale).all())


def _ties(logits: Tensor) -> Tensor:
    """Return the rows (k,) whose two highest logits differ by no more than rounding may."""
    if logits.shape[1] < 2:
        return torch.empty(0, dtype=torch.int64)
    highest = logits.topk(2, 1).values
    near = highest[:, 0] - highest[:, 1] <= 4 * TOLERANCE * logits.abs().amax()
    return near.nonzero()[:, 0]
