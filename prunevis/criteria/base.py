"""What a criterion is, and where criteria are filed.

A criterion looks at one layer at a time and gives every weight, or every unit, one number: its
importance, higher = keep. It knows nothing of sparsity, scope or ranking. To add one, subclass
`Criterion` and file it::

    @CRITERIA.register("smallest-bias")
    class SmallestBias(Criterion):
        label = "Bias |b|"
        summary = "Units with the smallest bias go first."
        formula = "|bᵢ|"
        source = "Doe 2024"
        url = "https://doi.org/..."
        granularities = ("unit",)
        needs = frozenset({"weights"})

        def score(self, layer, context):
            return context.tensors[layer.bias].abs()

    prunevis.testing.check_criterion("smallest-bias")

or name the class under the entry point group ``prunevis.criteria`` of a package of your own.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from prunevis.errors import NonFiniteError, PrunevisError, SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.registry import Registry
from prunevis.statistics.weights import unit_rows

if TYPE_CHECKING:
    from prunevis.statistics.records import ActivationStatistics, Statistics

#: What a criterion may read; the session collects statistics only for those that need them.
Need = Literal["weights", "activations", "correlation", "norm"]

NEEDS: tuple[Need, ...] = ("weights", "activations", "correlation", "norm")

ENTRY_POINTS = "prunevis.criteria"


@dataclass(frozen=True, eq=False, slots=True)
class ScoreContext:
    """All that a criterion may look at besides the layer itself.

    Attributes
    ----------
    graph
        From `prunevis.trace`.
    tensors
        Every parameter and buffer by dotted name, detached; not to be changed.
    statistics
        From `prunevis.collect_statistics`; None if not collected.
    granularity
        "weight" or "unit".
    seed
        For criteria that draw at random.
    """

    graph: ModelGraph
    tensors: Mapping[str, Tensor] = field(repr=False)
    statistics: Statistics | None
    granularity: str
    seed: int = 0

    def weight(self, layer: LayerInfo) -> Tensor:
        """Return the layer's weight, shape ``layer.weight_shape``."""
        return self.tensors[layer.weight]

    def rows(self, layer: LayerInfo) -> Tensor:
        """Return the layer's weight, a row a unit: shape (num_units, weights of a unit)."""
        return unit_rows(self.graph, layer, self.weight(layer))

    def activations(self, layer: LayerInfo) -> ActivationStatistics:
        """Return what the layer's units answer.

        Raises
        ------
        SpecError
            If no statistics were collected or the layer was not observed.
        """
        return self._statistics(layer)[layer.name]

    def correlation(self, layer: LayerInfo) -> Tensor:
        """Return float32, shape (num_units, num_units): correlation of the layer's units.

        Raises
        ------
        SpecError
            If no statistics were collected, or none of this layer, or it has too many units.
        """
        return self._statistics(layer).correlation(layer.name)

    def _statistics(self, layer: LayerInfo) -> Statistics:
        if self.statistics is None:
            raise SpecError(
                "This criterion reads what the units answer, and no statistics were collected.",
                where=layer.name,
                fix="Pass statistics=prunevis.collect_statistics(model, data).",
            )
        return self.statistics


class Criterion:
    """A rule that gives each weight or unit of a layer its importance, higher = keep.

    Attributes
    ----------
    label
        A few words for a menu, e.g. "Magnitude |w|".
    summary
        One plain sentence for a visitor: what goes first.
    formula
        The importance in plain Unicode.
    source, url
        Whose idea it is, e.g. "Han et al. 2015", and a page to read it on.
    granularities
        What it can score: "weight", "unit" or both.
    needs
        What it reads: any of `NEEDS`.
    random
        Whether the seed matters.
    """

    label: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    url: ClassVar[str]
    granularities: ClassVar[tuple[str, ...]]
    needs: ClassVar[frozenset[Need]] = frozenset({"weights"})
    random: ClassVar[bool] = False

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Return why this layer cannot be scored, one sentence, or None if it can.

        Asked before anything is computed, so that a page can grey the layer out. Here: criteria
        that read activations need a layer whose units the trace can observe.
        """
        if {"activations", "correlation"} & self.needs and layer.name not in graph.points:
            return f"What the units of `{layer.name}` answer cannot be observed in this network."
        return None

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Return why no layer of the network can be scored, one sentence, or None."""
        reasons = [self.unavailable_for(layer, graph) for layer in graph.layers.values()]
        if reasons and all(reasons):
            return f"{self.label} can score no layer of this network. {reasons[0]}"
        return None

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the importance of each weight or unit of a layer.

        Parameters
        ----------
        layer
            Which; one of ``context.graph.layers``.
        context
            What may be looked at; ``context.granularity`` says what to score.

        Returns
        -------
        Tensor
            Floating point, finite, higher = keep, the same for the same seed. Shape of the weight
            (granularity "weight") or (num_units,) (granularity "unit").

        Raises
        ------
        SpecError
            If this layer cannot be scored.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define score().")


def importance(criterion: Criterion, layer: LayerInfo, context: ScoreContext) -> Tensor:
    """Return `criterion`'s scores of a layer, checked; what ranking calls.

    Raises
    ------
    SpecError
        If the criterion does not score this granularity or layer, or gives another shape.
    NonFiniteError
        If a weight or a score is NaN or infinite.
    """
    name = criterion.label
    if context.granularity not in criterion.granularities:
        raise SpecError(
            f"{name} does not score single {context.granularity}s.",
            expected=" or ".join(criterion.granularities),
            got=context.granularity,
            fix="Choose another criterion or granularity.",
        )
    reason = criterion.unavailable_for(layer, context.graph)
    if reason:
        raise SpecError(
            reason, where=layer.name, fix="Leave this layer out or choose another criterion."
        )
    weight = context.weight(layer)
    if not bool(torch.isfinite(weight).all()):
        bad = int((~torch.isfinite(weight)).sum())
        raise NonFiniteError(
            "Some weights are NaN or infinite.",
            got=f"{bad:,} of {weight.numel():,}",
            where=layer.weight,
            fix="Load a checkpoint from before training diverged.",
        )
    scores = criterion.score(layer, context)
    shape = tuple(weight.shape) if context.granularity == "weight" else (layer.num_units,)
    if tuple(scores.shape) != shape:
        raise SpecError(
            f"{name} gave scores of the wrong shape.",
            expected=shape,
            got=tuple(scores.shape),
            where=layer.name,
        )
    if not bool(torch.isfinite(scores).all()):
        raise NonFiniteError(f"{name} gave a score that is NaN or infinite.", where=layer.name)
    return scores.detach()


class CriterionRegistry(Registry[type[Criterion]]):
    """The registry of criteria; looks for those of other packages when it is first read."""

    def __init__(self) -> None:
        super().__init__("criterion")
        self._lock = threading.RLock()
        self._searched = False

    def __getitem__(self, name: str) -> type[Criterion]:
        self._load_plugins()
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return super().__iter__()

    def __len__(self) -> int:
        self._load_plugins()
        return super().__len__()

    def _load_plugins(self) -> None:
        with self._lock:
            if self._searched:
                return
            self._searched = True  # first, since a plugin may itself read the registry
            for point in entry_points(group=ENTRY_POINTS):
                try:
                    found = point.load()
                    if not (isinstance(found, type) and issubclass(found, Criterion)):
                        raise SpecError(f"{found!r} is not a subclass of Criterion.")
                    # importing it may already have filed it, by the decorator
                    if self._entries.get(point.name) is not found:
                        self.register(point.name)(found)
                except Exception as error:  # whatever another package does, the rest must work
                    said = error.problem if isinstance(error, PrunevisError) else repr(error)
                    warnings.warn(
                        f"The criterion {point.name!r} of {point.value!r} is left out: {said}",
                        RuntimeWarning,
                        stacklevel=4,
                    )


#: Every criterion by name; values are classes, e.g. ``CRITERIA["apoz"]()``.
CRITERIA = CriterionRegistry()
