"""How candidates of one network are run quickly: as programs, in the layout that suits the machine.

A candidate is recorded on its first batch (`recording`), its BatchNorms are folded (`rewriting`),
and it is merged with others that are measured together (`program`). The result of every program is
compared with the network itself before it is believed; where a forward pass cannot be recorded, or
the results differ by more than rounding, the network itself is run.

What is fastest differs from machine to machine and from hour to hour, so memory format, operators,
number of threads and batch size are chosen by running the network for a moment
(`Engine.tune_steps`), and again when it has become slower (`Engine.slowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as count_up
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from prunevis.evaluation.choosing import Way, choose_steps, timed
from prunevis.evaluation.inference import Predictor, evaluation_mode, same_random_state
from prunevis.evaluation.kept import Kept, by_example
from prunevis.evaluation.kernels import alternatives
from prunevis.evaluation.naming import names_of
from prunevis.evaluation.pace import Pace, threads
from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import Codes, NotRecordable, Recording, record
from prunevis.evaluation.rewriting import Rows, folded, narrowed
from prunevis.evaluation.trust import BESIDE, CHANGED, doubts, hooked, state_of
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.masking import candidate
from prunevis.pruning.plan import PruningPlan

#: Largest difference between a program's logits and the network's, relative to the largest logit.
TOLERANCE = 1e-5
#: Examples that a candidate is recorded on, where that holds for batches of every size.
FEW = 6
#: Most candidates that are measured together, and most bytes of their weights.
MAX_BLOCK, BLOCK_BYTES = 13, 64 * 1024**2
#: Multiply-adds of a batch, some 30 ms on one core, and examples, before a way has been chosen.
UNTRIED_MACS, UNTRIED_BATCH = 300_000_000, 64
#: Products that cost as much as copying a value between channels, measured on an AMD server core:
#: channel by channel, and with channels last, where values that stay lie in small pieces.
PRODUCTS, PRODUCTS_LAST = 16, 64
#: Keys that are remembered before all are forgotten.
MAX_CODES = 60_000


@dataclass(frozen=True, slots=True)
class Trial:
    """A network that ways are tried on.

    Attributes
    ----------
    plan
        None for the network as it is.
    model
        Its candidate.
    recorded
        By size of batch.
    """

    plan: PruningPlan | None
    model: nn.Module
    recorded: dict[int, Recording] = field(default_factory=dict)


class Engine:
    """Makes programs of one network's candidates.

    Parameters
    ----------
    model
        In evaluation mode; it is only read.
    graph
        Its trace.
    count
        Examples in all, for what is kept of them.
    budget
        Bytes of activations kept; see `Kept`.
    """

    def __init__(
        self, model: nn.Module, graph: ModelGraph, count: int, budget: int | None = None
    ) -> None:
        self.model, self.graph = model, graph
        macs = graph.other_macs + sum(layer.macs for layer in graph.layers.values())
        self.way = Way(batch=max(1, min(UNTRIED_BATCH, UNTRIED_MACS // max(1, macs))))
        #: How networks that have lost units are run, once that is known.
        self.cut: Way | None = None
        self.kept = Kept(count) if budget is None else Kept(count, budget)
        limit = torch.get_num_threads()
        options = sorted({count for count in (1, 2, limit // 2, limit) if 1 <= count <= limit})
        self.pace = Pace(options)
        self.reason: str | None = None
        self._codes = Codes()
        # weak: a ranking of a large network is as large as that
        self._rankings: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._doubts: str | None = None
        self._any_size: bool | None = None
        self._weights: tuple[tuple[int, int | None], ...] = ()
        self._by_example: dict[frozenset[Hashable], bool] = {}
        self._numbers = count_up()
        self._usual: float | None = None

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def block(self) -> int:
        """How many candidates to measure together: their weights are held at the same time."""
        size = sum(tensor.nbytes for tensor in self.model.parameters())
        return max(1, min(MAX_BLOCK, BLOCK_BYTES // max(1, size)))

    @property
    def large(self) -> bool:
        """Whether the network is too large for further copies of its weights."""
        return self.block == 1

    def begins_whole(self, plan: PruningPlan) -> bool:
        """Whether the first layer that the forward calls loses nothing."""
        layer = next(iter(self.graph.layers.values()), None)
        lost = {name for name, count in plan.removed.items() if count}
        return layer is not None and not lost & {layer.name, layer.group}

    # -- programs --------------------------------------------------------------------------------

    def record(self, plan: PruningPlan | None, model: nn.Module, inputs: Tensor) -> Recording:
        """Run `model`, the candidate of `plan`, on a batch, and write it down.

        Raises
        ------
        NotRecordable
            See `record`.
        """
        weights = tuple(
            (id(t), None if t.is_inference() else t._version)
            for t in (*self.model.parameters(), *self.model.buffers())
        )
        if len(self._codes) > MAX_CODES or weights != self._weights:
            # what is kept under the old keys can never be asked for again
            self._codes.clear()
            self.kept.clear()
            self._by_example.clear()
            self._weights = weights
        if self._doubts is None:
            self._doubts = self._examined(inputs)
        reason = self._doubts or hooked(model)
        if reason:
            raise NotRecordable(reason)
        before = state_of(model)
        found = self._recorded(plan, model, inputs.clone())
        if state_of(model) != before:
            raise NotRecordable(CHANGED)
        return found

    def _examined(self, inputs: Tensor) -> str:
        with evaluation_mode(self.model), same_random_state(self.device):
            return doubts(self.model, inputs, lambda x: self._recorded(None, self.model, x))

    def _recorded(self, plan: PruningPlan | None, model: nn.Module, inputs: Tensor) -> Recording:
        names = names_of(self.model, self.graph, plan, model, self._number(plan))
        with evaluation_mode(model), same_random_state(self.device):
            return record(model, inputs, names, self._codes)

    def any_size(self, inputs: Tensor) -> bool:
        """Whether what is recorded on a few examples holds for batches of every size.

        Tried once, by recording the network on a few and on a full batch: a size that is written
        into a `view` makes other calls.
        """
        if self.large:
            return False  # some images of it take long; its batches are small as they are
        if self._any_size is None:
            sizes = (min(FEW, len(inputs)), min(max(self.way.batch, FEW + 1), len(inputs)))
            made = [self.record(None, self.model, inputs[:size]) for size in sizes]
            calls = [([call.key for call in one.calls], one.output) for one in made]
            self._any_size = sizes[0] != sizes[1] and calls[0] == calls[1]
        return self._any_size

    def keeps(self, program: Program, inputs: Tensor, found: dict[Hashable, Tensor]) -> bool:
        """Whether the frontier's values, `found` for `inputs`, are rows that belong to examples.

        Then rows of another batch's examples are the same, in whatever order and company: tried
        once on a batch of some of the examples, each twice and in reverse.
        """
        frontier = program.frontier
        if frontier not in self._by_example:
            count = len(inputs)
            index = torch.arange(count).flip(0) // 2
            again: dict[Hashable, Tensor] = {}
            for _ in program.run(inputs[index.to(inputs.device)], None, again):
                pass
            self._by_example[frontier] = all(
                by_example(value, count) and _near(again[key], value[index.to(value.device)])
                for key, value in found.items()
            )
        return self._by_example[frontier]

    def _number(self, plan: PruningPlan | None) -> int:
        """Return a number that plans of one ranking share: their counts mean the same."""
        if plan is None:
            return -1
        ranking = plan if plan.ranking is None else plan.ranking
        known = self._rankings.get(ranking)
        if known is None:
            known = self._rankings[ranking] = next(self._numbers)
        return known

    def program(
        self, plans: Sequence[PruningPlan | None], recordings: Sequence[Recording]
    ) -> Program:
        """Merge recordings of candidates, in ascending order of what was removed."""
        way = self.way_of(plans)
        if self.large:
            return _built(recordings, way, plans)
        cache: dict[Hashable, Tensor] = {}
        each = [folded(recording, cache) for recording in recordings]
        least = PRODUCTS_LAST if way.channels_last else PRODUCTS
        merged = narrowed(each, self._rows(plans), least)
        return _built(merged, way, plans)

    def _rows(self, plans: Sequence[PruningPlan | None]) -> Rows:
        """Return a function that says which rows of a weight stay when units of a group go."""
        by_count: dict[tuple[Hashable, int], PruningPlan] = {
            ((self._number(plan), name), count): plan
            for plan in plans
            if plan is not None
            for name, count in plan.removed.items()
        }

        def rows(tensor: Hashable, group: Hashable, removed: int) -> Tensor | None:
            plan = by_count.get((group, removed))
            if plan is None or not isinstance(group, tuple):
                return None  # its ranking has gone
            found = plan.graph.groups[group[1]]
            stays = torch.zeros(found.size, dtype=torch.bool)
            stays[plan.kept[group[1]]] = True
            member = next(m for m in found.members if m.tensor == tensor and m.axis == 0)
            alone = torch.where(member.units >= 0, stays[member.units.clamp(min=0)], True)
            return alone.nonzero()[:, 0]

        return rows

    # -- choosing --------------------------------------------------------------------------------

    def tune_steps(
        self, inputs: Tensor, plan: PruningPlan | None = None
    ) -> Generator[None, None, None]:
        """Choose the way by running a network for a moment: which one is fastest, turn by turn.

        Parameters
        ----------
        inputs
            Examples to run; those beyond some hundreds are not touched.
        plan
            None: the network itself. Else one that takes units out, for all that do: numbers of
            channels that are no multiple of a vector's length can make a layout many times slower.
        """
        if self.device.type != "cpu":
            self.way = self.cut = Way(threads=self.pace.options[-1], batch=min(256, len(inputs)))
            return
        trial = Trial(plan, self.model if plan is None else candidate(self.model, plan))
        way, usual = yield from choose_steps(
            lambda way: self._run_of(way, inputs, trial),
            self.pace.options,
            len(inputs),
            layouts=not self.large,
        )
        self.pace = Pace(self.pace.options, way.threads)
        if plan is None:
            self.way, self.cut, self._usual = way, None, usual
        else:
            self.cut = way

    def way_of(self, plans: Sequence[PruningPlan | None]) -> Way:
        """Return how to run batches of these candidates."""
        return self.way if self.cut is None or not _lose_units(plans) else self.cut

    def slowed(self, inputs: Tensor) -> bool:
        """Whether a batch now takes half as long again as when the way was chosen."""
        if self._usual is None:
            return False
        way = replace(self.way, threads=self.pace.count)
        run = self._run_of(way, inputs, Trial(None, self.model))
        return timed(way, run, wall=True) > 1.5 * self._usual

    def _run_of(self, way: Way, inputs: Tensor, trial: Trial) -> Callable[[], object] | None:
        """Return what runs a network on a batch, tried once; None if it cannot in this way."""
        batch = inputs[: way.batch].to(self.device)
        with torch.inference_mode(), threads(way.threads):
            try:
                recording = trial.recorded.get(len(batch))
                if recording is None:
                    recording = self.record(trial.plan, trial.model, batch)
                    trial.recorded[len(batch)] = recording
                folds = [recording if self.large else folded(recording, {})]
                program = _built(folds, way, [trial.plan])
                list(program.run(batch))
                return lambda: list(program.run(batch))
            except NotRecordable as error:
                self.reason = str(error)
            except Exception:
                # a `view` of values that now lie in another order, or the forward itself fails
                if way.channels_last or way.faster:
                    return None
            predict = Predictor(trial.model, 1)
            predict(batch.clone())
            return lambda: predict(batch.clone())


def _built(
    recordings: Sequence[Recording], way: Way, plans: Sequence[PruningPlan | None]
) -> Program:
    other = alternatives(one_shape=not _lose_units(plans)) if way.faster else None
    return Program(recordings, _channels_last if way.channels_last else _as_it_is, other)


def _lose_units(plans: Sequence[PruningPlan | None]) -> bool:
    return any(plan is not None and plan.granularity == "unit" for plan in plans)


def _near(values: Tensor, others: Tensor) -> bool:
    if values.shape != others.shape:
        return False
    if not values.is_floating_point():
        return torch.equal(values, others)
    scale = float(others.abs().amax()) if others.numel() else 0.0
    return bool(((values - others).abs() <= BESIDE * scale).all())


def _as_it_is(leaf: Tensor) -> Tensor:
    return leaf


def _channels_last(leaf: Tensor) -> Tensor:
    if leaf.ndim != 4:
        return leaf
    # copied in any case: a weight of 1 x 1, or of one channel, counts as laid out in both ways, and
    # a convolution then takes the other one
    return torch.empty_like(leaf, memory_format=torch.channels_last).copy_(leaf)
