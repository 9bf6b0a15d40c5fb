"""What the networks of a session are measured with, made once for each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any

from prunevis.data import Data
from prunevis.evaluation import (
    Engine,
    Evaluation,
    Reference,
    Sampler,
    Stream,
    Together,
    baseline_steps,
)
from prunevis.pruning import PruningPlan, Workspace
from prunevis.session.state import Stage, Table

#: Bytes of what is known image by image beyond which the oldest settings are forgotten.
KNOWN_BYTES = 32 * 1024**2
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
        self._known: OrderedDict[str, dict[float, Reference]] = OrderedDict()
        self._looked = 0.0

    def clear(self) -> None:
        """Forget everything: another network was opened."""
        self._stage = self._engine = self._sampler = None
        self._known.clear()
        self.workspace.clear()

    def keep_only(self, numbers: set[int]) -> None:
        """Forget a stage that is not among these: it is gone from the history."""
        if self._stage is not None and self._stage.number not in numbers:
            self._stage = self._engine = self._sampler = None

    def engine(self, stage: Stage, data: Data) -> Engine:
        """Return what runs candidates of `stage`."""
        self._take(stage)
        if self._engine is None:
            self._engine = Engine(stage.model, stage.graph, data.test.count)
        return self._engine

    @property
    def note(self) -> str:
        """Say if there was no room for all activations that are worth keeping, else ""."""
        return "" if self._engine is None else self._engine.kept.note

    def sampler(self, stage: Stage, data: Data) -> Sampler:
        """Return the order of images for candidates of `stage`: a plain one without baseline."""
        self._take(stage)
        if self._sampler is None or self._sampler.baseline is not stage.baseline:
            self._sampler = Sampler(data.test, stage.baseline)
        return self._sampler

    def together(self, stage: Stage, data: Data, plans: Sequence[PruningPlan | None]) -> Together:
        """Return what measures candidates of `stage` side by side."""
        return Together(self.engine(stage, data), self.sampler(stage, data), plans, self.workspace)

    def alone(self, table: Table, index: int, data: Data) -> Together:
        """Return what measures one position, paired with the nearest that are known exactly."""
        stage, position = table.stage, table.sparsity[index]
        known = self._known.get(table.key, {})
        sampler = self.sampler(stage, data)
        if known and sampler.reference is not None:
            # at 0 nothing goes, or what has gone before: the network as it stands
            known = {0.0: sampler.reference, **known}
            sampler = Sampler(data.test, Reference.nearest(position, known))
        plans = [table.plan(index)]
        return Together(self.engine(stage, data), sampler, plans, self.workspace)

    def learn(self, table: Table, index: int, stream: Stream) -> None:
        """Keep what a position that was measured to the end says about its neighbours."""
        if not stream.done:
            return
        self._take(table.stage)
        known = self._known.setdefault(table.key, {})
        self._known.move_to_end(table.key)
        known[table.sparsity[index]] = Reference.of(stream.evaluation())
        while len(self._known) > 1 and self.nbytes > KNOWN_BYTES:
            self._known.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """Bytes of what is known of positions, image by image."""
        every = [r for known in self._known.values() for r in known.values()]
        return sum(reference.right.nbytes + reference.margin.nbytes for reference in every)

    def baseline_steps(self, stage: Stage, data: Data) -> Generator[Any, None, Evaluation]:
        """Choose how to run the network, then measure it as it is; yields estimates on the way."""
        return (yield from baseline_steps(self.engine(stage, data), Sampler(data.test)))

    def look(self, data: Data, table: Table) -> Generator[None, None, None]:
        """Choose how to run candidates of `table`, and again if that has become slower."""
        engine, inputs = self.engine(table.stage, data), data.test.inputs
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            if engine.slowed(inputs):
                yield
                yield from engine.tune_steps(inputs)
        if table.ranking.spec.granularity == "unit" and engine.cut is None and not engine.large:
            yield
            middle = table.plan(len(table.sparsity) // 2)
            yield from engine.tune_steps(inputs, middle)

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
            self._engine.way, self._engine.cut = engine.way, engine.cut
