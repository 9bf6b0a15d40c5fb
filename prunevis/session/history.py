"""A network's history: every step that was applied is kept, and the present one is one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from torch import nn

from prunevis.data import Data
from prunevis.evaluation import Evaluation
from prunevis.export.code import Step
from prunevis.graph.cost import CostModel
from prunevis.graph.layers import ModelGraph
from prunevis.session import tree

#: Steps that are kept; each holds one copy of the network.
MAX_NODES = 40
#: Bytes that their networks may take together, where a page has no limit of its own.
MAX_BYTES = 2 * 10**9


@dataclass(frozen=True, eq=False)
class Stage:
    """The network at one point of its history.

    Attributes
    ----------
    number
        Counts up over the session and never repeats; caches are kept by it.
    label
        What was done to arrive here, in words ("80 % of weights by magnitude").
    model
        A private copy; never changed once the stage exists.
    graph, costs
        Its trace and arithmetic.
    baseline
        What it does on the test examples; None while that is being measured.
    sparsity
        Where the slider stands on arriving: masked weights stay counted, removed units do not.
    holds_zeros
        Whether weights were masked on the way, so that training must keep zeros zero.
    step
        What was done to the stage before to arrive here; None for the network as it came.
    parent
        The number of the stage before; None for the network as it came.
    skipped
        The steps between its parent and `step` whose networks were forgotten to make room.
    """

    number: int
    label: str
    model: nn.Module = field(repr=False)
    graph: ModelGraph = field(repr=False)
    costs: CostModel = field(repr=False)
    baseline: Evaluation | None = field(repr=False)
    sparsity: float = 0.0
    holds_zeros: bool = False
    step: Step | None = field(default=None, repr=False)
    parent: int | None = None
    skipped: tuple[Step, ...] = ()


@dataclass(frozen=True, eq=False)
class Network:
    """A network under study with its data and its history, a tree of stages.

    Attributes
    ----------
    name, label, data
        In `prunevis.MODELS` or "", in words, and what it is measured on.
    nodes
        All stages that are kept, oldest first; the first is the network as it came.
    present
        The number of the one that is studied; None for the newest.
    names
        What a person calls stages, by number. Not part of the stage: tables hold on to that one
        object, and a name changes nothing that they say.
    last
        By number, the child that was last on the way: where "redo" goes.
    forgotten
        How many stages had to go to make room.
    """

    name: str
    label: str
    data: Data = field(repr=False)
    nodes: tuple[Stage, ...]
    present: int | None = None
    names: Mapping[int, str] = field(default_factory=dict, repr=False)
    last: Mapping[int, int] = field(default_factory=dict, repr=False)
    forgotten: int = 0

    @property
    def original(self) -> Stage:
        """The network as it came."""
        return self.nodes[0]

    @property
    def stage(self) -> Stage:
        """The network as it is now."""
        return self.nodes[-1] if self.present is None else tree.find(self.nodes, self.present)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The way from the network as it came to the present one, both included."""
        return tree.path(self.nodes, self.stage.number)

    @property
    def ahead(self) -> Stage | None:
        """The step that "redo" takes: the one taken back last, else the newest; None: none."""
        after = tree.children(self.nodes, self.stage.number)
        last = self.last.get(self.stage.number)
        return next((s for s in after if s.number == last), after[-1] if after else None)

    @property
    def steps(self) -> list[Step]:
        """All that was done on the way to the present network, oldest first."""
        found = []
        for stage in self.stages:
            found += [*stage.skipped, *([] if stage.step is None else [stage.step])]
        return found

    def at(self, number: int) -> Network:
        """Return the history with another stage present; nothing is forgotten."""
        way = tree.path(self.nodes, number)
        ways = {before.number: after.number for before, after in pairwise(way)}
        return replace(self, present=number, last={**self.last, **ways})

    def grown(self, stage: Stage, most_bytes: float = MAX_BYTES) -> Network:
        """Return the history with a stage more, which is present; what must make room is gone."""
        nodes, gone = tree.bounded(
            (*self.nodes, stage),
            stage.number,
            most=MAX_NODES,
            most_bytes=most_bytes,
            size=lambda node: node.costs.base_bytes,
            moved=_moved,
        )
        names = {number: text for number, text in self.names.items() if number not in gone}
        more = replace(self, nodes=nodes, names=names, forgotten=self.forgotten + len(gone))
        return more.at(stage.number)

    def cut(self, number: Any) -> Network:
        """Return the history without a stage and all that came of it.

        Raises
        ------
        SpecError
            If there is no such stage, or the present one came of it.
        """
        nodes = tree.without(self.nodes, self.stage.number, number)
        left = {node.number for node in nodes}
        names = {n: text for n, text in self.names.items() if n in left}
        return replace(self, nodes=nodes, names=names, present=self.stage.number)

    def named(self, number: Any, text: Any) -> Network:
        """Return the history with a name for a stage; "" takes it away.

        Raises
        ------
        SpecError
            If there is no such stage, or the name will not do.
        """
        stage, name = tree.find(self.nodes, number), tree.checked_name(text)
        names = {**self.names, stage.number: name}
        return replace(self, names={n: given for n, given in names.items() if given})

    def with_measured(self, stage: Stage, measured: Stage) -> Network:
        """Return the history with `measured` in the place of `stage`."""
        return replace(self, nodes=tuple(measured if s is stage else s for s in self.nodes))


def _moved(stage: Stage, parent: Stage) -> Stage:
    """Return `stage` in the place of its parent, with what that one did kept as a record."""
    done = [*parent.skipped, *([] if parent.step is None else [parent.step])]
    return replace(stage, parent=parent.parent, skipped=(*done, *stage.skipped))
