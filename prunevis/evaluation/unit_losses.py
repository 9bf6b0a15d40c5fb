"""The loss of a network without one unit, for all units of a group, in steps of some 30 ms."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.data import Examples
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.inference import BatchSizer, Predictor
from prunevis.evaluation.pace import threads
from prunevis.evaluation.recording import NotRecordable, Recording
from prunevis.evaluation.tails import Tail
from prunevis.graph.layers import ChannelGroup, ModelGraph
from prunevis.pruning.removal import remove_units

#: Largest difference between a tail's logits and the removed network's, relative to the largest.
TOLERANCE = 1e-4


class UnitLosses:
    """Runs of one network on the same batches, whole and without a unit.

    Parameters
    ----------
    model, graph, device
        As for `prunevis.oracle`.
    examples
        All that losses are summed over.

    Attributes
    ----------
    loss
        float64, shape (N,): cross-entropy of the whole network on each example, as far as `seen`.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ModelGraph,
        examples: Examples,
        device: torch.device | str | None = None,
    ) -> None:
        self.model, self.graph, self.examples, self.device = model, graph, examples, device
        self.engine = Engine(model, graph, examples.count)
        self.sizer = BatchSizer(first=min(32, examples.count))
        self.classes = int(examples.targets.max()) + 1
        self.predict = Predictor(model, self.classes, device=device, sizer=self.sizer)
        self.loss = torch.zeros(examples.count, dtype=torch.float64)
        self.seen = 0
        self._recorded: dict[int, Recording] = {}

    def run_whole(self) -> None:
        """Run the next batch of the whole network, which also finds out what fits into a step."""
        part = slice(self.seen, min(self.examples.count, self.seen + self.sizer.size))
        self.loss[part] = self._losses(self.predict(self.examples.inputs[part]), part)
        self.seen = part.stop

    def steps(self, group: ChannelGroup) -> Generator[float, None, tuple[Tensor, bool]]:
        """Take out each unit of a group; yields the share done, after `run_whole` has seen all.

        Returns
        -------
        tuple
            float64, shape (units,): by how much the sum of all losses grows without each unit; and
            whether units were really removed, which takes longer, because zeroing what reads them
            gives another result or the forward pass could not be recorded.
        """
        try:
            return (yield from self._by_tail(group)), False
        except NotRecordable:
            return (yield from self._by_removal(group)), True

    @property
    def _parts(self) -> list[slice]:
        """Batches of equal size, but for the last."""
        count = self.examples.count
        size = -(-count // -(-count // max(1, self.sizer.size)))
        return [slice(k, min(count, k + size)) for k in range(0, count, size)]

    def _losses(self, logits: Tensor, part: slice) -> Tensor:
        targets = self.examples.targets[part].to(logits.device)
        return F.cross_entropy(logits.double(), targets, reduction="none").cpu()

    def _by_tail(self, group: ChannelGroup) -> Generator[float, None, Tensor]:
        found = torch.zeros(group.size, dtype=torch.float64)
        parts = self._parts
        for number, part in enumerate(parts):
            inputs = self.examples.inputs[part]
            with torch.inference_mode(), threads(self.engine.pace.count):
                given = inputs.to(self.device or self.engine.device)
                tail = Tail(self._recording(given), group)
                # by the same calls as without a unit: what changes nothing is then exactly 0
                whole = self._losses(tail.start(given), part)
            yield number / len(parts)
            most, shown = -1, torch.zeros(0)
            for unit in range(group.size):
                with torch.inference_mode(), threads(self.engine.pace.count):
                    logits = tail.without(unit)
                    found[unit] += (self._losses(logits, part) - whole).sum()
                if number == 0 and (most < 0 or abs(found[unit]) > abs(found[most])):
                    most, shown = unit, logits.cpu()
                yield (number + (unit + 1) / group.size) / len(parts)
            # the unit that matters most: with another a mistake might not show
            if number == 0 and not _alike(shown, self._without(group, most)(inputs)):
                raise NotRecordable("zeroing what reads a unit is not what removing it gives")
        return found

    def _by_removal(self, group: ChannelGroup) -> Generator[float, None, Tensor]:
        found = torch.zeros(group.size, dtype=torch.float64)
        parts = self._parts
        for unit in range(group.size):
            predict = self._without(group, unit)
            for number, part in enumerate(parts):
                losses = self._losses(predict(self.examples.inputs[part]), part)
                found[unit] += (losses - self.loss[part]).sum()
                yield (unit + (number + 1) / len(parts)) / group.size
        return found

    def _recording(self, inputs: Tensor) -> Recording:
        size = len(inputs)
        if size not in self._recorded:
            try:
                self._recorded[size] = self.engine.record(None, self.model, inputs)
            except NotRecordable:
                raise
            except Exception as error:
                raise NotRecordable(f"recording failed: {type(error).__name__}") from error
        return self._recorded[size]

    def _without(self, group: ChannelGroup, unit: int) -> Predictor:
        stays = torch.arange(group.size)
        kept = {group.name: stays[stays != unit]}
        smaller = remove_units(self.model, self.graph, kept, check=False)
        return Predictor(smaller, self.classes, device=self.device)


def _alike(some: Tensor, others: Tensor) -> bool:
    """Whether two networks' logits differ by rounding only."""
    if some.shape != others.shape:
        return False
    scale = float(others.abs().amax())
    return bool(((some - others).abs() <= TOLERANCE * scale).all())
