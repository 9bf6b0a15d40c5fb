"""From a plan to repaired tensors: what `masked`, `remove` and every evaluation call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from prunevis.data import as_data
from prunevis.errors import SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.plan import check_plan
from prunevis.pruning.repairs.base import REPAIRS, RepairContext, Repaired
from prunevis.pruning.scoring import check_owner, tensors_of
from prunevis.statistics import collect_statistics

if TYPE_CHECKING:
    from prunevis.pruning.plan import PruningPlan
    from prunevis.statistics.records import Statistics

#: Calibration examples that a repair reads or runs.
EXAMPLES = 4096


@dataclass(frozen=True, eq=False, slots=True)
class Mending:
    """How the plans of a ranking are repaired; plans carry it.

    Attributes
    ----------
    name
        In `REPAIRS`.
    statistics
        What layers read; None if the repair needs no such.
    inputs
        Calibration examples (N, ...); None if the repair runs none.
    """

    name: str
    statistics: Statistics | None = field(default=None, repr=False)
    inputs: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        needs, statistics = REPAIRS[self.name].needs, self.statistics
        if _lacks(needs, statistics):
            raise SpecError(
                f"The repair {self.name!r} reads what layers read, and that was not collected.",
                fix="Pass statistics=collect_statistics(model, data, inputs=True), or data.",
            )
        if "examples" in needs and self.inputs is None:
            raise SpecError(
                f"The repair {self.name!r} runs calibration examples, and there are none.",
                fix="Pass data.",
            )


def _lacks(needs: Iterable[str], statistics: Statistics | None) -> bool:
    """Whether what a repair needs of the layers' inputs is not there."""
    wanted = {"inputs", "moments"} & set(needs)
    if not wanted or statistics is None:
        return bool(wanted)
    if not statistics.inputs:
        return not statistics.input_reasons
    # a criterion may have been content with means
    without = all(found.moment is None for found in statistics.inputs.values())
    return without and bool({"moments"} & statistics.missing(wanted))


def calibration_inputs(data: Any, statistics: Statistics | None = None) -> Tensor:
    """Return examples (N, ...) of `data` to calibrate on: those of the statistics, if there are."""
    checked = as_data(data)
    examples = checked.test if checked.train is None else checked.train
    if statistics is not None and statistics.split == (
        "test" if checked.train is None else "train"
    ):
        return examples.inputs[statistics.indices.to(examples.inputs.device)]
    return examples.inputs[:EXAMPLES]


def mending_of(
    name: str,
    model: nn.Module,
    graph: ModelGraph,
    *,
    statistics: Statistics | None = None,
    data: Any = None,
    calibration: tuple[int, int] | None = None,
) -> Mending | None:
    """Return what repairs plans of `model`; what is needed and not given is taken from `data`.

    None for the repair "none". `calibration` is as for `rank`.

    Raises
    ------
    SpecError
        If there is neither what the repair needs nor data to take it from.
    """
    needs = REPAIRS[name].needs
    if name == "none":
        return None
    if calibration is not None:
        statistics = None  # of as many examples as asked for, whatever there is
    read, run = (EXAMPLES, None) if calibration is None else calibration
    if _lacks(needs, statistics) and data is not None:
        statistics = collect_statistics(
            model,
            data,
            graph=graph,
            max_examples=read,
            activations=False,
            inputs=True,
            moments="moments" in needs,
        )
    elif {"inputs", "moments"} & needs:
        check_owner(model, statistics)
    inputs = None
    if "examples" in needs and data is not None:
        inputs = calibration_inputs(data, statistics)[:run]
    return Mending(name, statistics, inputs)


def repaired(model: nn.Module, plan: PruningPlan) -> Repaired:
    """Return what the repair that `plan` asks for makes of `model`.

    Parameters
    ----------
    model
        The network that the plan was made for; it is only read (some repairs run a copy).
    plan
        From a `Ranking` of a spec with a repair.

    Returns
    -------
    Repaired
        New tensors of full size; none where nothing goes or the repair is "none".

    Raises
    ------
    SpecError
        If the plan was made by hand and lacks what its repair needs.
    ModelError
        If the plan was made for another network.
    """
    name = check_plan(plan).spec.repair
    if name == "none" or not plan.num_removed:
        return Repaired({})
    mending = plan.mending
    if mending is None:
        mending = Mending(name)
    context = RepairContext(
        model=model,
        graph=plan.graph,
        tensors=tensors_of(model, plan.graph),
        plan=plan,
        statistics=mending.statistics,
        inputs=mending.inputs,
    )
    return REPAIRS[name]().repair(context)
