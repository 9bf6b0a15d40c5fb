"""What is known about each example before a candidate is run: the answers of related models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunevis.errors import DataError
from prunevis.evaluation.exact import Evaluation, Outcomes

#: Margins beyond this (a single output has infinite ones) are cut.
LARGEST_MARGIN = 1e6
#: Two models that disagree on more answers than this share say little about what lies between.
MOST_DISAGREEMENT = 0.4


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """What a candidate is anticipated to answer, 5 bytes an example.

    Attributes
    ----------
    right
        bool array, shape (N,): whether a right answer is anticipated.
    margin
        float32 array, shape (N,): the anticipated margin (logit of the target minus the largest
        other one), finite.
    scale
        By how much the candidate's margins are anticipated to differ (root mean square, in
        logits); None if nothing is known. It only guides the first 64 images.
    """

    right: NDArray[np.bool_]
    margin: NDArray[np.float32]
    scale: float | None = None

    @property
    def total(self) -> int:
        """Number of examples, N."""
        return len(self.right)

    @staticmethod
    def of(known: Evaluation | Outcomes, scale: float | None = None) -> Reference:
        """Return what one related model says; a copy, so `known` may be dropped."""
        outcomes = known.examples if isinstance(known, Evaluation) else known
        return Reference(outcomes.correct.numpy().copy(), finite(outcomes.margin.numpy()), scale)

    @staticmethod
    def between(
        below: Evaluation | Reference, above: Evaluation | Reference, share: float = 0.5
    ) -> Reference:
        """Return what two models say about one that lies between them.

        Parameters
        ----------
        below, above
            On the same examples.
        share
            How far the candidate is from `below` on the way to `above`, in (0, 1). Where the two
            disagree on most answers, only the nearer one is used.

        Notes
        -----
        Margins are interpolated. The scale is that of a Brownian bridge, ``d sqrt(t (1 - t))`` with
        `d` the root mean square of the difference and `t` the share, times 0.7, since margins move
        more steadily than that.
        """
        first, second = as_reference(below), as_reference(above)
        check_total(second.total, first.total)
        apart = distance(first, second) * 0.7 * float(np.sqrt(share * (1 - share)))
        if float((first.right != second.right).mean()) > MOST_DISAGREEMENT:
            near = first if share <= 0.5 else second
            return Reference(near.right, near.margin, apart)
        margin = (1 - share) * first.margin + share * second.margin
        right = np.where(first.right == second.right, first.right, margin > 0)
        return Reference(right, margin.astype(np.float32), apart)

    @staticmethod
    def nearest(position: float, known: Mapping[float, Evaluation | Reference]) -> Reference:
        """Return the best that the models at `known` positions say about one at `position`.

        Parameters
        ----------
        position
            Where the candidate lies, e.g. a sparsity.
        known
            What was measured exactly, by position; at least one. Only the nearest on each side
            matter (and the next but one, where one side has none).
        """
        if position in known:
            return as_reference(known[position])
        below = sorted(p for p in known if p < position)
        above = sorted(p for p in known if p > position)
        if below and above:
            low, high = below[-1], above[0]
            return Reference.between(known[low], known[high], (position - low) / (high - low))
        near, *more = below[::-1] or above
        found = as_reference(known[near])
        if not more:
            return found
        # how fast margins moved between the two nearest says how far they are likely to go on
        gap = abs(position - near) / abs(near - more[0])
        scale = distance(found, as_reference(known[more[0]])) * float(np.sqrt(gap))
        return Reference(found.right, found.margin, scale)


def as_reference(known: Evaluation | Reference) -> Reference:
    """Return `known` as a `Reference`."""
    return known if isinstance(known, Reference) else Reference.of(known)


def check_total(known: int, total: int) -> None:
    """Raise DataError unless as many examples are `known` as there are, `total`."""
    if known != total:
        raise DataError(
            "The baseline was measured on other data.",
            expected=f"{total:,} examples",
            got=f"{known:,}",
            fix="Pass baseline=evaluate(model, data) of the same data.",
        )


def distance(one: Reference, other: Reference) -> float:
    """Return the root mean square of the difference of margins, in logits."""
    change = one.margin - other.margin
    return float(np.sqrt(np.mean(change * change, dtype=np.float64)))


def finite(margin: NDArray[Any]) -> NDArray[np.float32]:
    """Return margins as float32, cut to a range whose squares are finite."""
    return np.clip(margin, -LARGEST_MARGIN, LARGEST_MARGIN).astype(np.float32)
