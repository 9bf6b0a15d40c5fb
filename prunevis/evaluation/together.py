"""Measuring several candidates on the same images, batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor, nn

from prunevis.evaluation.engine import TOLERANCE, Engine, threads
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler, Stream
from prunevis.evaluation.inference import evaluation_mode
from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import NotRecordable, Recording
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan

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
    """

    def __init__(
        self, engine: Engine, sampler: Sampler, plans: Sequence[PruningPlan | None]
    ) -> None:
        self.engine, self.sampler = engine, sampler
        self.plans = list(plans)
        self.streams: list[Stream] = []
        self._models: list[nn.Module] = []
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
        total = self.sampler.total
        for plan in self.plans[len(self._models) :]:
            model = self.engine.model if plan is None else candidate(self.engine.model, plan)
            self._models.append(model)
            self.streams.append(self.sampler.stream(model))
        limit = total if limit is None else min(limit, total)
        while (seen := self.streams[-1].seen) < limit:
            size = self.engine.way.batch if first is None or seen else first
            yield from self._batch(slice(seen, min(seen + size, limit)))

    def _batch(self, part: slice) -> Steps:
        inputs = self.sampler.inputs(part).to(self.engine.device)
        count = part.stop - part.start
        if self._program is not None and self._program[0] == count and not self._plain:
            yield from self._run(self._program[1], part, inputs)
        elif count == self.engine.way.batch and part.stop < self.sampler.total and not self._plain:
            # worth writing down: the same size comes again
            yield from self._record(inputs)
        else:
            for number, stream in enumerate(self.streams):
                yield number, stream.add(self._forward(number, inputs))

    def _forward(self, number: int, inputs: Tensor) -> Tensor:
        with threads(self.engine.way.threads):
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
            with torch.inference_mode(), threads(engine.way.threads), evaluation_mode(model):
                found = engine.record(self.plans[number], model, inputs)
        except NotRecordable as error:
            engine.reason, self._plain = str(error), True
            return None
        recordings.append(found)
        return self.streams[number].predict.checked(found.value, inputs)

    def _run(self, program: Program, part: slice, inputs: Tensor) -> Steps:
        kept, frontier = self.engine.kept, program.frontier
        examples = self.sampler.sampling.order[part]
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
        for _ in self.plans:
            # entered for each step: inference mode is a matter of the thread, not of the generator
            with torch.inference_mode(), threads(self.engine.way.threads):
                logits = next(run)
            yield logits


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
