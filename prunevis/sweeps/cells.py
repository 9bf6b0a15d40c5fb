"""A cell: one experiment of a grid, as plain data that any process can be given.

All that decides its figures is in it, so it has a name of its own (`Cell.key`) that is the same in
every process, on every machine and in every later run.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from prunevis.criteria import CRITERIA
from prunevis.errors import SpecError
from prunevis.pruning.spec import PruningSpec
from prunevis.sweeps.names import check_name
from prunevis.training import FineTuneSettings, Schedule, make_schedule
from prunevis.zoo import DATASETS, MODELS

#: What holds for fine-tuning alone, and nothing if there are no epochs.
TUNING = ("lr", "batch_size", "momentum", "weight_decay", "lr_schedule")
#: Fields that hold a number, and those that hold a whole number.
NUMBERS = ("sparsity", "keep", "lr", "momentum", "weight_decay")
WHOLE = ("multiple_of", "min_units", "epochs", "batch_size", "seed")

#: The schedule whose epochs are an axis; all others have epochs of their own.
ONE_SHOT = "one-shot"


@dataclass(frozen=True)
class Cell:
    """One experiment: which network, on which data, pruned how, trained how, with which seed.

    Attributes
    ----------
    model
        A name in `prunevis.MODELS`, or "module:function" of a function that returns a network.
        A function with a parameter ``seed`` is given the cell's.
    data
        A name in `prunevis.DATASETS`, or "module:function" of a function that returns what
        `prunevis.evaluate` takes; to fine-tune, `Data` with both parts.
    criterion, granularity, scope, layers, multiple_of, min_units, pattern, repair
        As for `PruningSpec.make`.
    sparsity, keep, of
        The same; `sparsity` is None where `keep` says how much stays.
    schedule
        When it is pruned: a name in `prunevis.SCHEDULES`.
    schedule_options
        What is set of the schedule, as pairs of name and value.
    epochs
        Of fine-tuning after one shot; 0 for none, and the five below are then at their defaults.
        Other schedules have epochs of their own, among their options.
    lr, batch_size, momentum, weight_decay, lr_schedule
        As for `FineTuneSettings`, whose `schedule` is `lr_schedule` here.
    seed
        Of all that is drawn: random scores, the calibration sample, the order of training.

    Raises
    ------
    SpecError, UnknownNameError
        If a value is of the wrong type or not allowed; the message names it.
    """

    model: str
    data: str = "fashion-mnist"
    criterion: str = "magnitude"
    granularity: str = "weight"
    scope: str = "global"
    sparsity: float | None = 0.5
    keep: float | None = None
    of: str = "sparsity"
    layers: tuple[tuple[str, float | None], ...] | None = None
    multiple_of: int = 1
    min_units: int = 1
    pattern: str | None = None
    repair: str = "none"
    schedule: str = "one-shot"
    schedule_options: tuple[tuple[str, Any], ...] = ()
    epochs: int = 0
    lr: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    lr_schedule: str = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name in NUMBERS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        check_name(self.model, MODELS)
        check_name(self.data, DATASETS)
        if not self.trained:
            for name in TUNING:
                object.__setattr__(self, name, DEFAULTS[name])
        _ = self.settings
        criterion = CRITERIA[self.criterion]
        object.__setattr__(self, "layers", self.spec.layers)
        if self.granularity not in criterion.granularities:
            raise SpecError(
                f"The criterion {self.criterion!r} does not score single {self.granularity}s.",
                fix="Give criteria of units and criteria of weights a [[grid]] of their own each.",
            )
        self._check_schedule()

    def _check_schedule(self) -> None:
        if self.schedule == ONE_SHOT:
            if self.schedule_options:
                raise SpecError(
                    "One shot has nothing to set; its epochs are an axis.",
                    got=dict(self.schedule_options),
                    fix="Write epochs = [0, 3].",
                )
            return
        if self.epochs:
            raise SpecError(
                f"The schedule {self.schedule!r} has epochs of its own.",
                got=f"epochs {self.epochs}",
                fix=f'Write schedule = {{name = "{self.schedule}", epochs = {self.epochs}}}.',
            )
        unable = self.when.unavailable(self.granularity)
        if unable is not None:
            raise SpecError(unable, got=f"granularity {self.granularity!r}")

    @property
    def trained(self) -> bool:
        """Whether anything is trained."""
        return self.epochs > 0 or self.schedule != ONE_SHOT

    @property
    def when(self) -> Schedule:
        """The schedule, with its options."""
        return make_schedule(self.schedule, **{k: _deep(v) for k, v in self.schedule_options})

    @property
    def spec(self) -> PruningSpec:
        """The request that the network is pruned by."""
        layers: Any = self.layers  # pairs, as a spec keeps them
        return PruningSpec.make(
            self.criterion,
            self.granularity,
            self.scope,
            self.sparsity,
            layers,
            self.seed,
            self.repair,
            keep=self.keep,
            of=self.of,
            multiple_of=self.multiple_of,
            min_units=self.min_units,
            pattern=self.pattern,
        )

    @property
    def settings(self) -> FineTuneSettings | None:
        """How it is fine-tuned; None for not at all."""
        if not self.trained:
            return None
        return FineTuneSettings(
            epochs=max(1, self.epochs),
            lr=self.lr,
            batch_size=self.batch_size,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.lr_schedule,  # type: ignore[arg-type]
            seed=self.seed,
        )

    @property
    def key(self) -> str:
        """Its name, 16 hexadecimal digits: the same for the same experiment, everywhere.

        Values at their defaults do not count, so that a later version that can vary more knows
        the cells of an earlier one.
        """
        told = {k: v for k, v in self.as_dict().items() if k not in DEFAULTS or v != _PLAIN[k]}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON: numbers, strings, lists, None."""
        return json.loads(json.dumps({f.name: getattr(self, f.name) for f in fields(self)}))

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Cell:
        """Return the cell that `as_dict` gave, or one with some fields left at their defaults.

        Raises
        ------
        SpecError
            If a field is unknown, missing or of the wrong type.
        """
        for name in told:
            nearest(name, FIELDS, "field of a cell")
        if "model" not in told:
            raise SpecError("A cell has no model.", fix='Write e.g. model = "lenet5".')
        values = dict(told)
        for name in ("layers", "schedule_options"):
            if isinstance(values.get(name), list):
                values[name] = tuple(
                    tuple(pair) if isinstance(pair, list) else pair for pair in values[name]
                )
        return Cell(**values)

    def __str__(self) -> str:
        """Return what is not at its default, for a reader: "lenet5, sparsity 0.9, seed 2"."""
        told = self.as_dict()
        parts = [f"{k} {_said(v)}" for k, v in told.items() if k in DEFAULTS and v != _PLAIN[k]]
        return ", ".join([self.model, *parts])


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Cell))
#: By field, what it is if nobody says otherwise.
DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Cell) if f.name != "model"}
_PLAIN: dict[str, Any] = json.loads(json.dumps(DEFAULTS))


def nearest(name: object, known: Iterable[str], kind: str) -> str:
    """Return `name` if it is one of `known`.

    Raises
    ------
    SpecError
        If it is not; the message names the nearest that is.
    """
    names = list(known)
    if isinstance(name, str) and name in names:
        return name
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise SpecError(
        f"There is no {kind} {str(name)[:60]!r}.",
        fix=f"{hint}There are: {', '.join(names) or 'none'}.",
    )


def _check_type(name: str, value: Any) -> None:
    """Raise SpecError unless `value` is of the kind that the field holds."""
    if name in ("layers", "schedule_options"):
        fits, kind = value is None or isinstance(value, (tuple, list, Mapping)), "names of layers"
    elif value is None and (name == "sparsity" or DEFAULTS.get(name, "") is None):
        return  # what has no value is not asked for
    elif name in WHOLE:
        kind = "a whole number from 0"
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    elif name in NUMBERS:
        fits, kind = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
    else:
        fits, kind = isinstance(value, str), "text, in quotes"
    if not fits:
        raise SpecError(
            f"`{name}` holds what it cannot.", expected=kind, got=repr(value)[:80], where=name
        )


def _deep(value: Any) -> Any:
    """Return lists as tuples, as schedules hold them."""
    return tuple(_deep(part) for part in value) if isinstance(value, (list, tuple)) else value


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
