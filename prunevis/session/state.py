"""The session as one observable object made of immutable snapshots.

A change is an assignment; whoever shows something observes the one trait it shows. Nothing here
computes: `prunevis.session.controller` does, on the worker thread.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import traitlets

from prunevis.errors import PrunevisError
from prunevis.evaluation import AccuracyEstimate, Sensitivity
from prunevis.graph.cost import ModelCost
from prunevis.pruning import PruningPlan, PruningSpec, Ranking
from prunevis.session.history import Network as Network
from prunevis.session.history import Stage
from prunevis.session.tuned import Draft, FineTuning


@dataclass(frozen=True)
class Setting:
    """What the controls say, apart from the slider.

    Attributes
    ----------
    granularity, criterion, scope, seed, repair
        As in `PruningSpec`.
    ticked
        Layers that may be pruned, in the order of the graph.
    own
        Layers with a sparsity of their own, in [0, 1).
    of
        What the slider's positions are removed shares of, as in `PruningSpec`.
    multiple_of, min_units, pattern
        As in `PruningSpec`.
    """

    granularity: str = "weight"
    criterion: str = "magnitude"
    scope: str = "global"
    seed: int = 0
    ticked: tuple[str, ...] = ()
    own: tuple[tuple[str, float], ...] = ()
    of: str = "sparsity"
    multiple_of: int = 1
    min_units: int = 1
    pattern: str | None = None
    repair: str = "none"

    def spec(self, sparsity: float = 0.0) -> PruningSpec:
        """Return the request that this setting makes at `sparsity`."""
        own = dict(self.own)
        return PruningSpec.make(
            self.criterion,
            self.granularity,
            self.scope,
            sparsity,
            {name: own.get(name) for name in self.ticked},
            self.seed,
            multiple_of=self.multiple_of,
            min_units=self.min_units,
            pattern=self.pattern,
            repair=self.repair,
        )


@dataclass(frozen=True, eq=False)
class Table:
    """What every slider position costs, for one stage and setting.

    Attributes
    ----------
    key
        Names stage and setting; results with another key belong to another table.
    ranking
        The order of removal.
    sparsity
        Ascending positions, in [0, 1): shares removed of what the setting says.
    solved
        The sparsity that each stands for; the same, unless they are shares of something else.
    costs, removed, cuts, threshold
        Of each position; `removed` counts by layer or group, the other two are as in `PruningPlan`.
    refusals
        What the repair leaves only deleted, and why, in sentences.
    """

    key: str
    stage: Stage = field(repr=False)
    setting: Setting
    ranking: Ranking = field(repr=False)
    sparsity: tuple[float, ...] = field(repr=False)
    costs: tuple[ModelCost, ...] = field(repr=False)
    removed: tuple[Mapping[str, int], ...] = field(repr=False)
    cuts: tuple[Mapping[str, int], ...] = field(repr=False)
    threshold: tuple[float | None, ...] = field(repr=False)
    solved: tuple[float, ...] = field(repr=False)
    refusals: tuple[str, ...] = ()

    def plan(self, index: int) -> PruningPlan:
        """Return what goes at a position."""
        return self.ranking.plan(self.solved[index])

    def plan_at(self, position: float) -> PruningPlan:
        """Return what goes where the slider stands, also between two positions."""
        if self.setting.of == "sparsity":
            return self.ranking.plan(min(position, self.sparsity[-1]))
        return self.plan(self.index(position))

    def index(self, sparsity: float) -> int:
        """Return the position nearest to `sparsity`."""
        return min(range(len(self.sparsity)), key=lambda k: abs(self.sparsity[k] - sparsity))


@dataclass(frozen=True, eq=False)
class Curve:
    """What was measured under one table, by position; None where unknown.

    Attributes
    ----------
    key
        That of the table.
    estimates
        Accuracies.
    compressed
        Bytes of the compressed file.
    deleted
        Accuracies without the repair; empty if there is none.
    """

    key: str
    estimates: tuple[AccuracyEstimate | None, ...] = field(repr=False)
    compressed: tuple[int | None, ...] = field(default=(), repr=False)
    deleted: tuple[AccuracyEstimate | None, ...] = field(default=(), repr=False)

    @property
    def known(self) -> int:
        """Number of positions with an exact figure."""
        return sum(e is not None and e.exact for e in self.estimates)


@dataclass(frozen=True)
class View:
    """What a person looks at: layer, unit, tab and colour scheme."""

    layer: str = ""
    unit: int | None = None
    tab: str = "weights"
    theme: str = "light"


@dataclass(frozen=True, eq=False)
class Scan:
    """A sensitivity scan: "none", "running" or "done", with its result so far."""

    state: str = "none"
    text: str = ""
    result: Sensitivity | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Problem:
    """Something that went wrong, for a person to read; `detail` is a traceback."""

    number: int
    text: str
    fix: str = ""
    detail: str = field(default="", repr=False)

    @staticmethod
    def of(number: int, error: BaseException) -> Problem:
        """Return `error` in words; what is not an error of our own begins with "Unexpected"."""
        detail = "".join(traceback.format_exception(error))
        if not isinstance(error, PrunevisError):
            return Problem(number, f"Unexpected: {type(error).__name__}: {error}", "", detail)
        text, fix = str(error), error.fix or ""
        if fix and text.endswith(fix):
            text = text[: -len(fix)].rstrip()
        return Problem(number, text, fix, detail)


@dataclass(frozen=True)
class Status:
    """What is running, in words; kind is "loading", "busy", "idle" or "error"."""

    kind: str = "loading"
    text: str = "Starting"
    done: int | None = None
    total: int | None = None


class Session(traitlets.HasTraits):
    """Everything that a page shows, each part an immutable snapshot."""

    network: Any = traitlets.Any(None, allow_none=True)
    setting: Any = traitlets.Any(Setting())
    position: Any = traitlets.Float(0.0)
    table: Any = traitlets.Any(None, allow_none=True)
    curve: Any = traitlets.Any(None, allow_none=True)
    statistics: Any = traitlets.Any(None, allow_none=True)
    view: Any = traitlets.Any(View())
    fine_tuning: Any = traitlets.Any(FineTuning())
    draft: Any = traitlets.Any(Draft())
    scan: Any = traitlets.Any(Scan())
    #: A `Judging`, of `prunevis.session.judging`.
    judging: Any = traitlets.Any(None, allow_none=True)
    #: A `Timing`, of `prunevis.session.timing`.
    timing: Any = traitlets.Any(None, allow_none=True)
    #: A `Comparing`, of `prunevis.session.comparing`.
    comparing: Any = traitlets.Any(None, allow_none=True)
    problem: Any = traitlets.Any(None, allow_none=True)
    status: Any = traitlets.Any(Status())
    #: A `Replay`, of `prunevis.session.following`.
    replay: Any = traitlets.Any(None, allow_none=True)
    #: Epochs that one training may take, where whoever serves the page allows fewer than it does.
    most_epochs: Any = traitlets.Int(1_000_000)
