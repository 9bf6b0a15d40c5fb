"""What a repair is, and where repairs are filed.

Pruning deletes; a repair changes what stays so that the deletion is felt less, without training. It
is a pure function: from a network's tensors, a plan and statistics to *new tensors of full size*,
by dotted name. Masking or removing these as usual gives the repaired network, so masked and removed
agree as they do without a repair. To add one, subclass `Repair` (or `ReaderRepair` of
`prunevis.pruning.repairs.readers`) and file it::

    @REPAIRS.register("half")
    class Half(Repair):
        label = "..."
        ...
        def repair(self, context):
            return Repaired({...})

    prunevis.testing.check_repair("half")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.registry import Registry, metadata_problem, method_problem

if TYPE_CHECKING:
    from prunevis.pruning.plan import PruningPlan
    from prunevis.statistics.records import Statistics

#: What a repair may read: means of what layers read, their products too, or examples to run.
RepairNeed = Literal["inputs", "moments", "examples"]

REPAIR_NEEDS: tuple[RepairNeed, ...] = ("inputs", "moments", "examples")


#: Units whose loss a repair may mend exactly: always zero, always the same, a copy of another.
ExactFor = Literal["dead", "constant", "duplicate"]

EXACT_FOR: tuple[ExactFor, ...] = ("dead", "constant", "duplicate")


#: What the attributes of a repair that name several things may hold.
CHOICES = {
    "granularities": ("weight", "unit"),
    "needs": REPAIR_NEEDS,
    "exact_for": EXACT_FOR,
}


@dataclass(frozen=True, slots=True)
class Damage:
    """How far the outputs of a layer move, by its moments: mean squared change, summed over units.

    Attributes
    ----------
    deleted
        If what goes is only deleted.
    repaired
        If the layer is repaired as well.
    signal
        Variance of the outputs, summed over units: what both compare with.
    """

    deleted: float
    repaired: float
    signal: float


@dataclass(frozen=True, eq=False, slots=True)
class Repaired:
    """What a repair gives.

    Attributes
    ----------
    tensors
        By dotted name: new tensors of the network's shapes and types. What is not named stays.
    skipped
        By name of a layer that reads what goes: why it was left as it was, one sentence, so that
        for it the plan only deletes.
    notes
        By name of a layer: what to know about its repair, in sentences.
    damage
        By name of a layer, where its moments are known.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    damage: Mapping[str, Damage] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class RepairContext:
    """All that a repair may look at.

    Attributes
    ----------
    model
        The network, for repairs that run it; it is not to be changed.
    graph
        Its trace.
    tensors
        Every parameter and buffer by dotted name, detached; not to be changed.
    plan
        What goes; something does.
    statistics
        From `prunevis.collect_statistics`; None if not collected.
    inputs
        Calibration examples (N, ...), for repairs that run the network; None if not given.
    """

    model: nn.Module = field(repr=False)
    graph: ModelGraph
    tensors: Mapping[str, Tensor] = field(repr=False)
    plan: PruningPlan
    statistics: Statistics | None
    inputs: Tensor | None = field(default=None, repr=False)


class Repair:
    """A way to mend a network that loses weights or units, without training.

    Attributes
    ----------
    label
        A few words for a menu.
    summary
        One plain sentence for a visitor: what is done.
    formula
        The change in plain Unicode; "V" reads what the units "h" answer.
    source, url
        Whose idea it is, and a page to read it on.
    granularities
        What it can mend: plans of "weight", "unit" or both.
    needs
        What it reads: any of `REPAIR_NEEDS`.
    exact_for
        Units without which the network gives the same outputs as before: any of `EXACT_FOR`. For
        "dead" units, weights and bias are zero.
    """

    label: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    url: ClassVar[str]
    granularities: ClassVar[tuple[str, ...]]
    needs: ClassVar[frozenset[RepairNeed]] = frozenset()
    exact_for: ClassVar[frozenset[ExactFor]] = frozenset()

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Return why no layer of the network can be mended, one sentence, or None."""
        return None

    def repair(self, context: RepairContext) -> Repaired:
        """Return new tensors for what stays.

        What cannot be mended is named in `Repaired.skipped`, never silently left.

        Raises
        ------
        SpecError
            If what the repair needs was not given.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define repair().")


def repair_problem(entry: object) -> str | None:
    """Return why `entry` cannot be filed as a repair, one sentence, or None."""
    if not (isinstance(entry, type) and issubclass(entry, Repair)):
        return f"{entry!r} is not a subclass of Repair."
    missing = entry.repair is Repair.repair
    return metadata_problem(entry, CHOICES) or method_problem(entry, missing, "repair")


#: Every repair by name; values are classes.
REPAIRS: Registry[type[Repair]] = Registry("repair", repair_problem)


def check_repair_name(name: object, granularity: str) -> str:
    """Return the name of a repair that mends plans of `granularity`.

    Raises
    ------
    UnknownNameError
        If there is no repair of this name.
    SpecError
        If it mends only plans of the other granularity.
    """
    entry = REPAIRS[name] if isinstance(name, str) else REPAIRS[repr(name)[:80]]
    if granularity not in entry.granularities:
        able = ", ".join(n for n, r in REPAIRS.items() if granularity in r.granularities)
        raise SpecError(
            f"The repair {name!r} does not mend the loss of {granularity}s.",
            fix=f"For granularity {granularity!r} choose one of: {able}.",
        )
    return str(name)


@REPAIRS.register("none")
class NoRepair(Repair):
    """What goes is deleted, and nothing else happens."""

    label = "None: only delete"
    summary = "What goes is deleted, and nothing else changes."
    formula = "V ← V without the columns that go"
    source = "Han et al. 2015; Li et al. 2017"
    url = "https://arxiv.org/abs/1506.02626"
    granularities = ("weight", "unit")
    exact_for = frozenset({"dead"})

    def repair(self, context: RepairContext) -> Repaired:
        """Return that every tensor stays as it is."""
        return Repaired({})
