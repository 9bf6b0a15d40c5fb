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
from collections.abc import Generator, Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from prunevis.criteria.checking import checked_scores
from prunevis.criteria.context import ScoreContext
from prunevis.errors import NonFiniteError, PrunevisError, SpecError
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.graph.observe import unreadable
from prunevis.registry import Registry, metadata_problem, method_problem
from prunevis.statistics.inputs import MAX_COLUMNS
from prunevis.steps import finished

#: What a criterion may read; statistics are collected only for those that need them. Besides
#: weights, the scale of a norm and the model itself: what units answer, their correlation, answers
#: example by example (responses), ranks of feature maps, means of what layers read (inputs) and
#: their second moments, gradients, and the classes of the examples (labels).
Need = Literal[
    "weights", "norm", "model",
    "activations", "correlation", "responses", "maps",
    "inputs", "moments", "gradients", "labels",
]  # fmt: skip

NEEDS: tuple[Need, ...] = get_args(Need)

#: Needs that are seen where a layer's units are observed, and where it reads.
_ANSWERS, _READS = {"activations", "correlation", "responses", "maps"}, {"inputs", "moments"}

ENTRY_POINTS = "prunevis.criteria"


#: What the attributes of a criterion that name several things may hold.
CHOICES = {"granularities": ("weight", "unit"), "needs": NEEDS}


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
    signed
        Whether scores are estimates of a change that may be for the better: what does nothing at
        all scores 0, and what harms scores less.
    """

    label: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    url: ClassVar[str]
    granularities: ClassVar[tuple[str, ...]]
    needs: ClassVar[frozenset[Need]] = frozenset({"weights"})
    random: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Return why this layer cannot be scored, one sentence, or None if it can.

        Asked before anything is computed, so that a page can grey the layer out. Here: criteria
        that read activations need a layer whose units the trace can observe, those that read its
        inputs one whose inputs can be laid out as columns of its weight.
        """
        if _ANSWERS & self.needs and layer.name not in graph.points:
            return f"What the units of `{layer.name}` answer cannot be observed in this network."
        if _READS & self.needs:
            return self.unread(layer, graph)
        return None

    def unread(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Return why what `layer` reads cannot be used, one sentence, or None if it can."""
        reason = unreadable(graph, layer)
        columns = layer.num_weights // max(1, layer.num_units)
        if reason is None and "moments" in self.needs and columns > MAX_COLUMNS:
            return (
                f"`{layer.name}` reads {columns:,} inputs at a time, and second moments are kept "
                f"of up to {MAX_COLUMNS:,}."
            )
        return reason

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Return why no layer of the network can be scored, one sentence, or None."""
        reasons = [self.unavailable_for(layer, graph) for layer in graph.layers.values()]
        if reasons and all(reasons):
            return f"{self.label} can score no layer of this network. {reasons[0]}"
        return None

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Return why the scores of this layer deserve little trust, one sentence, or None.

        For what can be computed but rests on too little: fewer samples than a matrix has rows.
        """
        return None

    def prepare(self, context: ScoreContext) -> Generator[None, None, Any]:
        """Work out what all layers share, in steps; `score` finds it as ``context.prepared``.

        For criteria that look at the network as a whole. It yields at least every 50 ms or so, and
        returns what it found.
        """
        return None
        yield

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
            Finite, higher = keep, the same for the same seed; whole numbers count as float64. Shape
            of the weight (granularity "weight") or (num_units,) (granularity "unit").

        Raises
        ------
        SpecError
            If this layer cannot be scored.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define score().")


class SteppedCriterion(Criterion):
    """A criterion that takes longer than a step for a layer: `score_steps` instead of `score`."""

    def score_steps(self, layer: LayerInfo, context: ScoreContext) -> Generator[None, None, Tensor]:
        """Return what `score` is to return, yielding at least every 50 ms or so."""
        raise NotImplementedError(f"{type(self).__name__} does not define score_steps().")
        yield

    def prepare(self, context: ScoreContext) -> Generator[None, None, dict[str, Tensor]]:
        """Score every layer that can be scored, by name."""
        graph = context.graph
        found: dict[str, Tensor] = {}
        for name, layer in graph.layers.items():
            wanted = context.layers is None or name in context.layers
            if wanted and self.unavailable_for(layer, graph) is None:
                found[name] = yield from self.score_steps(layer, context)
        return found

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the scores that were prepared."""
        if context.prepared is None:
            context = prepared(self, replace(context, layers=(layer.name,)))
        return context.prepared[layer.name]


def prepared_steps(
    criterion: Criterion, context: ScoreContext
) -> Generator[None, None, ScoreContext]:
    """Return `context` with what `criterion` prepares, in steps; the same if it prepares nothing.

    Raises
    ------
    SpecError
        If the criterion needs the model and the context has none.
    """
    if context.prepared is not None or type(criterion).prepare is Criterion.prepare:
        return context
    found = yield from criterion.prepare(context)
    return replace(context, prepared=found)


def prepared(criterion: Criterion, context: ScoreContext) -> ScoreContext:
    """Do the same at once; worth keeping by who scores several layers."""
    return finished(prepared_steps(criterion, context))


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
    scores = criterion.score(layer, prepared(criterion, context))
    shape = tuple(weight.shape) if context.granularity == "weight" else (layer.num_units,)
    return checked_scores(scores, shape, name, layer.name, weight)


def criterion_problem(entry: object) -> str | None:
    """Return why `entry` cannot be filed as a criterion, one sentence, or None."""
    if not (isinstance(entry, type) and issubclass(entry, Criterion)):
        return f"{entry!r} is not a subclass of Criterion."
    stepped = issubclass(entry, SteppedCriterion)
    missing = entry.score is Criterion.score or (
        stepped and entry.score_steps is SteppedCriterion.score_steps
    )
    described = metadata_problem(entry, CHOICES, ("random", "signed"))
    return described or method_problem(entry, missing, "score_steps" if stepped else "score")


class CriterionRegistry(Registry[type[Criterion]]):
    """The registry of criteria; looks for those of other packages when it is first read."""

    def __init__(self) -> None:
        super().__init__("criterion", criterion_problem)
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
