"""What a comparison of two networks found."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from prunevis.evaluation.exact import Evaluation
from prunevis.graph.cost import ModelCost


@dataclass(frozen=True, slots=True)
class LayerPair:
    """One layer in both networks; what a network does not have is None.

    Attributes
    ----------
    name
        Dotted.
    params
        Parameters that are not pruned, before and after.
    macs
        Multiply-adds an example, zeros skipped, before and after.
    units
        Units with a weight that is not zero, before and after.
    """

    name: str
    params: tuple[int | None, int | None]
    macs: tuple[int | None, int | None]
    units: tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class ClassPair:
    """One class in both networks.

    Attributes
    ----------
    index
        Of the class, from 0.
    count
        Examples of it.
    accuracy
        Shares of them that are right, before and after, in [0, 1]; NaN without examples.
    """

    index: int
    count: int
    accuracy: tuple[float, float]

    @property
    def change(self) -> float:
        """After minus before, in [-1, 1]."""
        return self.accuracy[1] - self.accuracy[0]


@dataclass(frozen=True, eq=False, slots=True)
class Changed:
    """Examples whose prediction changed in one way, those that changed most first.

    Attributes
    ----------
    index
        int64, shape (n,): places in the data.
    target
        int64, shape (n,): their classes.
    predicted
        int64, shape (n, 2): what each network says, before and after.
    margin
        float32, shape (n, 2): the logit of the target minus the largest other one.
    confidence
        float32, shape (n, 2): the softmax of what each network says, in [0, 1]; NaN where it was
        not asked for.
    """

    index: Tensor
    target: Tensor
    predicted: Tensor
    margin: Tensor
    confidence: Tensor

    def __len__(self) -> int:
        return int(self.index.shape[0])


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """Two networks on the same examples, the second against the first.

    Attributes
    ----------
    before, after
        What each does on the examples.
    difference
        Accuracy after minus before, in [-1, 1]; exact on these examples.
    low, high
        95 % interval of it on the population that these examples were drawn from (paired).
    p_value
        How likely so lopsided a change is by chance alone (McNemar, exact), in (0, 1].
    costs
        What each costs; None for one that is a function, of which nothing is known.
    layers
        In the order of the first network, those only the second has at the end.
    classes
        One a class.
    forgotten
        Right before, wrong after; the largest fall of the margin first.
    learned
        Wrong before, right after; the largest rise first.
    other
        Wrong both times in different ways; the largest fall first.
    """

    before: Evaluation = field(repr=False)
    after: Evaluation = field(repr=False)
    difference: float
    low: float
    high: float
    p_value: float
    costs: tuple[ModelCost | None, ModelCost | None] = field(repr=False)
    layers: tuple[LayerPair, ...] = field(repr=False)
    classes: tuple[ClassPair, ...] = field(repr=False)
    forgotten: Changed = field(repr=False)
    learned: Changed = field(repr=False)
    other: Changed = field(repr=False)

    @property
    def num_changed(self) -> int:
        """Examples that the networks disagree on."""
        return len(self.forgotten) + len(self.learned) + len(self.other)

    def __repr__(self) -> str:
        return (
            f"Comparison({self.before.accuracy:.2%} -> {self.after.accuracy:.2%}, "
            f"difference {100 * self.difference:+.2f} points "
            f"[{100 * self.low:+.2f}, {100 * self.high:+.2f}], "
            f"{len(self.forgotten):,} forgotten, {len(self.learned):,} learned)"
        )
