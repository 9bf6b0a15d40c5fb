"""The schedule that a person draws."""

from __future__ import annotations

from dataclasses import dataclass

from prunevis.errors import SpecError
from prunevis.training.schedules.base import (
    SCHEDULES,
    Schedule,
    flag,
    in_steps,
    number,
    one_after_another,
)
from prunevis.training.schedules.timeline import Event, Timeline

#: More events than this are no drawing.
MOST_POINTS = 200


@SCHEDULES.register("drawn")
@dataclass(frozen=True)
class Drawn(Schedule):
    """Stairs through given points: (share of the steps, share of the sparsity asked for).

    Points are put in order of their steps; where one lies lower than the one before it, it is
    lifted to that, since what was pruned stays pruned. The last one is lifted to 1.
    """

    label = "Drawn by hand"
    summary = "Drag the points: how much is gone after how much of the training."
    source = "yours"
    url = ""

    epochs: float = number(3.0, "Epochs", 0.01, 1000.0)
    points: tuple[tuple[float, float], ...] = ((0.0, 0.5), (0.33, 0.8), (0.66, 1.0))
    untrained: bool = flag("From random weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        points = self.points
        good = isinstance(points, (tuple, list)) and 1 <= len(points) <= MOST_POINTS
        if not good or not all(_is_share_pair(point) for point in points):
            raise SpecError(
                "`points` are pairs (share of the steps, share of the sparsity).",
                expected=f"1 to {MOST_POINTS} pairs of numbers in [0, 1]",
                got=repr(points)[:80],
            )
        pairs = sorted((float(a), float(b)) for a, b in points)
        object.__setattr__(self, "points", tuple(pairs))

    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """One event a point."""
        steps = max(1, in_steps(self.epochs, per_epoch))
        events, high = [], 0.0
        for k, (at, share) in enumerate(self.points, 1):
            high = 1.0 if k == len(self.points) else max(high, share)
            events.append(Event(round(at * steps), sparsity * high, f"Step {k}"))
        phases = one_after_another((steps, "Training"))
        return Timeline(phases, tuple(events), untrained=self.untrained)


def _is_share_pair(point: object) -> bool:
    return (
        isinstance(point, (tuple, list))
        and len(point) == 2
        and all(
            isinstance(x, (int, float)) and not isinstance(x, bool) and 0.0 <= x <= 1.0
            for x in point
        )
    )
