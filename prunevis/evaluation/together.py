"""Measuring several candidates on the same images, batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

from prunevis.errors import PrunevisError
from prunevis.evaluation.engine import STEP, TOLERANCE, Engine, threads
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler, Stream
from prunevis.evaluation.inference import evaluation_mode
from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import NotRecordable, Recording
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan

#: Images behind a first answer.
FIRST = 128


class Together:
    """Candidates of one network, measured together so that what they share is computed once.

    Parameters
    ----------
    engine
        Of the network.
    sampler
        Of the examples; estimates are paired with its baseline.
    plans
        In ascending order of what they remove; all of one ranking.
    """

    def __init__(self, engine: Engine, sampler: Sampler, plans: Sequence[PruningPlan]) -> None:
        self.engine, self.sampler = engine, sampler
        self.plans = list(plans)
        self.streams: list[Stream] = []
        self._models: list[nn.Module] = []
        self._program: tuple[int, Program] | None = None
        self._plain = False

    def steps(
        self, limit: int | None = None, first: int | None = None
    ) -> Generator[tuple[int, AccuracyEstimate], None, None]:
        """Yield the number of a candidate and its estimate after each of its batches.

        Parameters
        ----------
        limit
            Images for each candidate; None for all. Call again to go on.
        first
            Size of the first batch; None for the usual one.
        """
        total = self.sampler.total
        for plan in self.plans[len(self._models) :]:
            model = candidate(self.engine.model, plan)
            self._models.append(model)
            self.streams.append(self.sampler.stream(model))
        limit = total if limit is None else min(limit, total)
        while (seen := self.streams[0].seen) < limit:
            size = self.engine.way.batch if first is None or seen else first
            part = slice(seen, min(seen + size, limit))
            yield from self._batch(part)

    def _batch(self, part: slice) -> Generator[tuple[int, AccuracyEstimate], None, None]:
        inputs = self.sampler.inputs(part)
        if self.sampler.device is not None or self.engine.model_device() != inputs.device:
            inputs = inputs.to(self.sampler.device or self.engine.model_device())
        count = part.stop - part.start
        known = self._program is not None and self._program[0] == count
        # writing down pays if the same size comes again; the first batch of all is for haste
        again = count == self.engine.way.batch and self.sampler.total - part.stop >= count
        if known:
            yield from self._run(part, inputs)
        elif again and not self._plain:
            yield from self._record(part, inputs)
        else:
            for number, stream in enumerate(self.streams):
                yield number, stream.add(self._forward(number, inputs), part)

    def _forward(self, number: int, inputs: Tensor) -> Tensor:
        return self.streams[number].logits(inputs, self.engine.way.threads)
