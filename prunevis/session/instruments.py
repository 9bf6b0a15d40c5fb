"""What the networks of a session are measured with, made once for each."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from prunevis.data import Data
from prunevis.evaluation import Engine, Evaluation, Sampler, Together
from prunevis.pruning import PruningPlan, Workspace
from prunevis.session.state import Stage

#: Seconds between two looks at whether the machine has become slower.
LOOK_EVERY = 20.0


class Instruments:
    """The order of images and the engine of the present network.

    Only those of one stage are held: they keep copies of activations and of weights.
    """

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._engine: Engine | None = None
        self._sampler: Sampler | None = None
        self.workspace = Workspace()
        self._looked = 0.0

    def clear(self) -> None:
        """Forget everything: another network was opened."""
        self._stage = self._engine = self._sampler = None
        self.workspace.clear()

    def engine(self, stage: Stage, data: Data) -> Engine:
        """Return what runs candidates of `stage`."""
        self._take(stage)
        if self._engine is None:
            self._engine = Engine(stage.model, stage.graph, data.test.count)
        return self._engine

    def sampler(self, stage: Stage, data: Data) -> Sampler:
        """Return the order of images for candidates of `stage`, whose baseline is known."""
        self._take(stage)
        if self._sampler is None:
            self._sampler = Sampler(data.test, stage.baseline)
        return self._sampler

    def together(self, stage: Stage, data: Data, plans: Sequence[PruningPlan | None]) -> Together:
        """Return what measures candidates of `stage` side by side."""
        return Together(self.engine(stage, data), self.sampler(stage, data), plans, self.workspace)

    def baseline_steps(self, stage: Stage, data: Data) -> Generator[Any, None, Evaluation]:
        """Choose how to run the network, then measure it as it is; yields estimates on the way."""
        engine = self.engine(stage, data)
        yield from engine.tune_steps(data.test.inputs)
        together = Together(engine, Sampler(data.test), [None])
        for _, estimate in together.steps():
            yield estimate
        return together.streams[0].evaluation()

    def look(self, data: Data) -> Generator[None, None, None]:
        """Choose again how to run the network if that has become slower."""
        now = time.monotonic()
        if self._engine is None or now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        if self._engine.slowed(data.test.inputs):
            yield
            yield from self._engine.tune_steps(data.test.inputs)

    def _take(self, stage: Stage) -> None:
        before = self._stage
        if before is not None and before.number == stage.number:
            return
        engine = self._engine
        self.clear()
        self._stage = stage
        if engine is not None:
            # the same machine, and a network much like the last: its way is a good start
            self._engine = Engine(stage.model, stage.graph, engine.kept.count)
            self._engine.way = engine.way
