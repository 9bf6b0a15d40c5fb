"""The schedule as an idea: when to prune, as data that can be shown before anything runs."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from prunevis.errors import SpecError
from prunevis.registry import Registry
from prunevis.training.schedules.timeline import Phase, Timeline

#: How sparsity grows from round to round.
Spacing = Literal["exponential", "linear"]
SPACINGS: tuple[Spacing, ...] = ("exponential", "linear")


@dataclass(frozen=True, slots=True)
class Knob:
    """What a person may set of a schedule, as a form shows it.

    Attributes
    ----------
    name, label
        The field, and its name on a page.
    default
        A number, a flag, or one of `choices`.
    least, most
        Of a number; None where there is no limit.
    whole
        Whether a number is a whole one.
    choices
        For a choice among words; else empty.
    """

    name: str
    label: str
    default: Any
    least: float | None = None
    most: float | None = None
    whole: bool = False
    choices: tuple[str, ...] = ()


def number(default: float, label: str, least: float, most: float | None = None) -> Any:
    """Return a dataclass field of a schedule: a number in [least, most]."""
    whole = isinstance(default, int)
    return field(
        default=default, metadata={"label": label, "least": least, "most": most, "whole": whole}
    )


def flag(label: str) -> Any:
    """Return a dataclass field of a schedule: False unless set."""
    return field(default=False, metadata={"label": label})


def choice(default: str, label: str, choices: tuple[str, ...]) -> Any:
    """Return a dataclass field of a schedule: one of `choices`."""
    return field(default=default, metadata={"label": label, "choices": choices})


@dataclass(frozen=True)
class Schedule:
    """When to prune, between which steps of training.

    A subclass is a frozen dataclass whose fields are what a person may set; `timeline` lays it out.

    Attributes
    ----------
    label, summary
        A name, and one sentence for a visitor.
    source, url
        Where it comes from.
    granularities
        What it can prune: "weight", "unit".
    advice
        Fields of `PruningSpec` that the source uses with it, by granularity.
    examples
        Training examples that a criterion looks at, at each event.

    Raises
    ------
    SpecError
        If a field is outside of its range.
    """

    label: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    url: ClassVar[str]
    granularities: ClassVar[tuple[str, ...]] = ("weight", "unit")
    advice: ClassVar[dict[str, dict[str, str]]] = {}
    examples: ClassVar[int] = 1024

    def __post_init__(self) -> None:
        for knob in self.knobs():
            _check(knob, getattr(self, knob.name))

    @classmethod
    def knobs(cls) -> tuple[Knob, ...]:
        """Return what can be set, in order."""
        return tuple(
            Knob(
                name=found.name,
                label=found.metadata["label"],
                default=found.default,
                least=found.metadata.get("least"),
                most=found.metadata.get("most"),
                whole=found.metadata.get("whole", False),
                choices=found.metadata.get("choices", ()),
            )
            for found in dataclasses.fields(cls)
            if "label" in found.metadata
        )

    @abstractmethod
    def timeline(self, sparsity: float, per_epoch: int, prunable: int) -> Timeline:
        """Lay the schedule out.

        Parameters
        ----------
        sparsity
            Asked for at the end, in [0, 1).
        per_epoch
            Optimiser steps an epoch, from 1.
        prunable
            Weights or units that can go, from 1.
        """

    @classmethod
    def unavailable(cls, granularity: str) -> str | None:
        """Return why it cannot prune pieces of this kind, one sentence; None if it can."""
        if granularity in cls.granularities:
            return None
        return f"{cls.label} prunes {cls.granularities[0]}s only."


#: Schedules by name.
SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


def make_schedule(schedule: str | Schedule | type[Schedule], **fields: Any) -> Schedule:
    """Return a schedule by name, or with some of its fields replaced.

    Raises
    ------
    UnknownNameError
        If there is no such schedule.
    SpecError
        If it has no such field, or a value is outside of its range.
    """
    if not isinstance(schedule, (str, Schedule)) and not (
        isinstance(schedule, type) and issubclass(schedule, Schedule)
    ):
        raise SpecError(
            "A schedule is a name or a Schedule.",
            expected=", ".join(SCHEDULES),
            got=repr(schedule)[:80],
        )
    kind = SCHEDULES[schedule] if isinstance(schedule, str) else schedule
    known = [found.name for found in dataclasses.fields(kind)]
    for name in fields:
        if name not in known:
            label = kind.label
            raise SpecError(
                f"{label} has no field {name!r}.", expected=", ".join(known) or "no fields"
            )
    if isinstance(kind, Schedule):
        return dataclasses.replace(kind, **fields)
    return kind(**fields)


def rising(sparsity: float, rounds: int, spacing: str) -> list[float]:
    """Return the sparsity after each of `rounds` rounds, the last one `sparsity`.

    "exponential" removes the same share of what is left each round, ``1 - (1 - s)^(k / n)``;
    "linear" the same number.
    """
    if spacing == "linear":
        return [sparsity * k / rounds for k in range(1, rounds)] + [sparsity]
    return [1.0 - (1.0 - sparsity) ** (k / rounds) for k in range(1, rounds)] + [sparsity]


def in_steps(epochs: float, per_epoch: int) -> int:
    """Return epochs as steps, rounded."""
    return round(epochs * per_epoch)


def one_after_another(*lengths: tuple[int, str], **common: Any) -> tuple[Phase, ...]:
    """Return phases of so many steps each, without those of none."""
    phases, at = [], 0
    for length, label in lengths:
        if length:
            phases.append(Phase(at, at + length, label, **common))
            at += length
    return tuple(phases)


def _check(knob: Knob, value: Any) -> None:
    if knob.choices:
        if value not in knob.choices:
            raise SpecError(
                f"`{knob.name}` is one of a few words.",
                expected=", ".join(knob.choices),
                got=repr(value)[:80],
            )
        return
    if isinstance(knob.default, bool):
        if not isinstance(value, bool):
            raise SpecError(f"`{knob.name}` is True or False.", got=repr(value)[:80])
        return
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if numeric and knob.whole:
        numeric = isinstance(value, int)
    least = -math.inf if knob.least is None else knob.least
    most = math.inf if knob.most is None else knob.most
    if not numeric or not math.isfinite(value) or not least <= value <= most:
        kind = "whole number" if knob.whole else "number"
        upper = "" if knob.most is None else f" to {knob.most:g}"
        raise SpecError(f"`{knob.name}` is a {kind} from {least:g}{upper}.", got=repr(value)[:80])
