"""What one pass over calibration examples found, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.statistics.gradients import GradientStatistics
from prunevis.statistics.inputs import InputStatistics
from prunevis.statistics.responses import ResponseStatistics

Found = TypeVar("Found")

#: An answer below this share of the layer's root mean square counts as near zero, for units
#: without exact zeros (GELU, SiLU, tanh, no activation).
NEAR_ZERO = 0.01

#: What statistics can hold, by the words in which a criterion names its needs.
COLLECTABLE = frozenset(
    {
        *("activations", "correlation", "responses", "maps"),
        *("inputs", "moments", "gradients", "labels"),
    }
)

#: What is said where correlation was left out on purpose.
CORRELATION_UNASKED = "Correlation was not asked for when the statistics were collected."

#: A unit that is zero in at least this share of its answers "almost never fires".
ALMOST_NEVER = 0.99


@dataclass(frozen=True, eq=False, slots=True)
class ActivationStatistics:
    """What the units of one layer answered.

    All tensors are on the CPU. ``h`` is the answer of a unit to an example at a position.

    Attributes
    ----------
    layer
        Dotted name.
    mean, std, rms, mean_magnitude, maximum
        float64, shape (units,): mean of h, its population standard deviation, root mean square,
        mean of abs(h), largest h.
    zero_share
        float64, shape (units,), in [0, 1]: share of answers that are zero (APoZ, Hu et al. 2016).
        See `exact_zeros`.
    exact_zeros
        True: zeros were counted exactly, as after a ReLU. False: answers below `NEAR_ZERO` × the
        root mean square of the layer (over the first batch) count as zero.
    top_examples
        int64, shape (units, k): the examples that excite the unit most, by its largest answer over
        positions, best first; rows of the split that `Statistics.split` names. Ties go to the one
        seen first. For a unit that never fires they mean nothing.
    top_values
        float64, shape (units, k): those answers.
    constant
        bool, shape (units,): the unit gave one and the same answer wherever correlation looked.
    correlation
        float32, shape (units, units): Pearson's correlation over examples × positions, or None.
    correlation_reason
        Why there is no correlation, one sentence; None if there is.
    num_examples, positions
        Examples seen, and answers an example.
    """

    layer: str
    mean: Tensor
    std: Tensor
    rms: Tensor
    mean_magnitude: Tensor
    maximum: Tensor
    zero_share: Tensor
    exact_zeros: bool
    top_examples: Tensor
    top_values: Tensor
    constant: Tensor
    correlation: Tensor | None = field(repr=False)
    correlation_reason: str | None
    num_examples: int
    positions: int

    def __repr__(self) -> str:
        return (
            f"ActivationStatistics({self.layer!r}: {self.num_units:,} units on "
            f"{self.num_examples:,} examples, {int(self.dead.sum()):,} almost never fire)"
        )

    @property
    def dead(self) -> Tensor:
        """bool, shape (units,): almost never fires, ``zero_share >= ALMOST_NEVER``."""
        return self.zero_share >= ALMOST_NEVER

    @property
    def never_fires(self) -> Tensor:
        """bool, shape (units,): zero at every position of every example."""
        return self.zero_share == 1.0

    @property
    def num_units(self) -> int:
        """Number of units."""
        return int(self.mean.shape[0])


@dataclass(frozen=True, eq=False, slots=True)
class Statistics:
    """What one pass over calibration examples found.

    Attributes
    ----------
    activations
        By layer name; layers whose units could not be observed are missing.
    num_examples
        How many examples were seen.
    split
        "train" or "test": where they come from.
    indices
        int64, shape (num_examples,): which rows of the split, in the order seen.
    inputs
        By layer name: moments of what the layer reads, if they were asked for.
    input_reasons
        By layer name: why what the layer reads could not be collected, one sentence.
    gradients
        By layer name: gradients of the loss by weights and by gates on units, if asked for.
    responses
        By layer name: answers example by example, if asked for.
    labels
        int64, shape (num_examples,): class of each example, None if the data have none.
    source
        The inputs of the split, of which `indices` are rows; a reference, not a copy.
    collected
        What was asked for, any of `COLLECTABLE`.
    network
        A mark of the weights that they were collected from (`prunevis.graph.identity`); "" where
        that is not known.
    """

    activations: Mapping[str, ActivationStatistics]
    num_examples: int
    split: str
    indices: Tensor = field(repr=False)
    inputs: Mapping[str, InputStatistics] = field(default_factory=dict)
    input_reasons: Mapping[str, str] = field(default_factory=dict)
    gradients: Mapping[str, GradientStatistics] = field(default_factory=dict)
    responses: Mapping[str, ResponseStatistics] = field(default_factory=dict)
    labels: Tensor | None = field(default=None, repr=False)
    source: Tensor | None = field(default=None, repr=False)
    collected: frozenset[str] = frozenset({"activations", "correlation"})
    network: str = field(default="", repr=False)

    def __repr__(self) -> str:
        dead = sum(int(found.dead.sum()) for found in self.activations.values())
        return (
            f"Statistics({len(self.activations)} layers on {self.num_examples:,} {self.split} "
            f"examples, {dead:,} units almost never fire)"
        )

    def __getitem__(self, layer: str) -> ActivationStatistics:
        """Return the statistics of one layer.

        Raises
        ------
        SpecError
            If its units were not observed.
        """
        if layer not in self.activations:
            raise SpecError(
                f"What the units of `{layer}` answer was not observed.",
                expected=", ".join(self.activations) or "no layer could be observed",
                where=layer,
                fix="Choose another layer, or a criterion that reads weights only.",
            )
        return self.activations[layer]

    def correlation(self, layer: str) -> Tensor:
        """Return float32, shape (units, units): Pearson's correlation of a layer's units.

        0 between a constant unit and any other, 1 on the diagonal.

        Raises
        ------
        SpecError
            If the layer was not observed or has too many units; the message says which.
        """
        found = self[layer]
        if found.correlation is None:
            raise SpecError(str(found.correlation_reason), where=layer)
        return found.correlation

    def input(self, layer: str) -> InputStatistics:
        """Return the moments of what a layer reads.

        Raises
        ------
        SpecError
            If they were not collected; the message says how, or why they cannot be.
        """
        if layer in self.input_reasons and layer not in self.inputs:
            raise SpecError(self.input_reasons[layer], where=layer, fix="Leave this layer out.")
        return _held(self.inputs, layer, f"What `{layer}` reads was not collected.", "inputs")

    def gradient(self, layer: str) -> GradientStatistics:
        """Return the gradients of a layer.

        Raises
        ------
        SpecError
            If they were not collected; the message says how.
        """
        problem = f"The gradients of `{layer}` were not collected."
        return _held(self.gradients, layer, problem, "gradients")

    def response(self, layer: str) -> ResponseStatistics:
        """Return the answers of a layer, example by example.

        Raises
        ------
        SpecError
            If they were not collected; the message says how.
        """
        problem = f"The answers of `{layer}` were not kept example by example."
        return _held(self.responses, layer, problem, "responses")

    def examples(self, most: int) -> tuple[Tensor, Tensor]:
        """Return inputs (n, ...) and labels (n,) of the first examples, at most that many.

        Raises
        ------
        SpecError
            If the data have no labels, or the examples are not at hand.
        """
        if self.source is None or self.labels is None:
            raise SpecError(
                "This needs labelled examples, and the statistics have none.",
                fix="Collect statistics from pairs of inputs and class indices.",
            )
        chosen = self.indices[:most]
        return self.source[chosen.to(self.source.device)], self.labels[:most]

    def missing(self, needs: Iterable[str]) -> frozenset[str]:
        """Return which of `needs` (see `prunevis.criteria.NEEDS`) these statistics do not hold."""
        held = set(self.collected)
        if self.labels is not None:
            held.add("labels")
        return frozenset(needs) & COLLECTABLE - held

    def joined(self, other: Statistics) -> Statistics:
        """Return both together, where both are of the same examples; `other` where both have it.

        Raises
        ------
        SpecError
            If they are of different examples, or of different networks.
        """
        if self.network and other.network and self.network != other.network:
            raise SpecError(
                "These statistics are of different networks.",
                fix="Collect both from the same network, and with the same weights.",
            )
        if self.split != other.split or not torch.equal(self.indices, other.indices):
            raise SpecError(
                "These statistics are of different examples.",
                expected=f"{self.num_examples:,} {self.split} examples",
                got=f"{other.num_examples:,} {other.split} examples",
                fix="Collect both with the same `max_examples` and `seed`.",
            )
        change: dict[str, Any] = {"collected": self.collected | other.collected}
        for name in ("activations", "inputs", "input_reasons", "gradients", "responses"):
            change[name] = {**getattr(self, name), **getattr(other, name)}
        return replace(self, **change)


@dataclass(frozen=True, eq=False, slots=True)
class StatisticsProgress:
    """How far `collect_steps` has come.

    Attributes
    ----------
    seen, total
        Examples.
    statistics
        The outcome, with the last step; None before.
    """

    seen: int
    total: int
    statistics: Statistics | None


def _held(found: Mapping[str, Found], layer: str, problem: str, option: str) -> Found:
    """Return what was found of a layer; else raise, and name the option that collects it."""
    if layer not in found:
        raise SpecError(
            problem,
            expected=", ".join(found) or None,
            where=layer,
            fix=f"Pass statistics=collect_statistics(model, data, {option}=True).",
        )
    return found[layer]
