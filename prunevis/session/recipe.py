"""A recipe: all that reproduces a screen, as a small text for an address, a file or a line of code.

It holds names and numbers only: which network on which data, what was applied and how it was
trained, what the controls say, where the slider stands and what is looked at. Weights, results and
data are not in it; who follows it gets them again.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import torch

from prunevis.errors import SpecError
from prunevis.pruning import PruningSpec, check_sparsity
from prunevis.session import reading
from prunevis.session.choices import TABS
from prunevis.session.history import MAX_NODES
from prunevis.session.reading import MOST_JSON, entries, kind
from prunevis.session.state import Session, Setting
from prunevis.training import FineTuneSettings
from prunevis.training.schedules import Schedule
from prunevis.zoo import DATASETS, MODELS

#: The form that is written, and the only one that is read.
VERSION = 1
#: Longest text, in characters: what proxies and programs take as part of an address.
MOST_TEXT = 6000
#: More steps are a job for a script.
MAX_STEPS = MAX_NODES - 1

_TEXT = re.compile(r"[A-Za-z0-9_\-]+", re.ASCII)
_SOURCES = ("train", "quarter")
_ATTENTION = ("heads", "dimensions")


@dataclass(frozen=True)
class RecipeStep:
    """One thing that was applied.

    Attributes
    ----------
    spec
        What was pruned; None if nothing was.
    settings
        How it was trained; None if it was not.
    schedule
        When it was pruned, if that was during training.
    source
        The training examples: "train" for all, "quarter" for a quarter of them.

    Raises
    ------
    SpecError
        If it neither prunes nor trains, or a schedule has nothing to prune or to train with.
    """

    spec: PruningSpec | None = None
    settings: FineTuneSettings | None = None
    schedule: Schedule | None = None
    source: str = "train"

    def __post_init__(self) -> None:
        if self.spec is None and self.settings is None:
            raise SpecError("A step of a recipe prunes, or trains, or both.", got="neither")
        if self.schedule is not None and (self.spec is None or self.settings is None):
            raise SpecError("A schedule prunes while it trains.", expected="spec and settings")
        if self.source not in _SOURCES:
            raise SpecError(
                "There are no such training examples.",
                expected=" or ".join(_SOURCES),
                got=str(self.source)[:40],
            )


@dataclass(frozen=True)
class Recipe:
    """All that reproduces a screen.

    Attributes
    ----------
    model, data
        Names in the zoo; None for a person's own.
    images
        Test examples that accuracy was measured on, the first so many; None: all.
    attention
        As for `prunevis.trace`.
    threads
        Of torch while it trained, which decide in which order numbers are added up; None where
        nothing was trained.
    steps
        What was applied, in order; at most `MAX_STEPS`.
    setting
        What the controls say; None: as they are after the steps.
    position
        Where the slider stands, in [0, 1).
    layer, unit, tab
        What is looked at; "" and None: what a page shows by itself.

    Raises
    ------
    SpecError, UnknownNameError
        If a part is not allowed; the message says which.

    Examples
    --------
    >>> recipe = Recipe(model="lenet5", steps=(RecipeStep(PruningSpec(sparsity=0.8)),))
    >>> Recipe.from_text(recipe.to_text()) == recipe
    True
    """

    model: str | None = None
    data: str | None = None
    images: int | None = None
    attention: str = "heads"
    threads: int | None = None
    steps: tuple[RecipeStep, ...] = ()
    setting: Setting | None = None
    position: float = 0.0
    layer: str = ""
    unit: int | None = None
    tab: str = "weights"

    def __post_init__(self) -> None:
        for name, value, registry in (
            ("model", self.model, MODELS),
            ("data", self.data, DATASETS),
        ):
            if value is not None:
                _ = registry[reading.text(value, name)]
        for name, value, most in (
            ("images", self.images, 10**9),
            ("threads", self.threads, 4096),
        ):
            if value is not None:
                reading.whole(value, name, 1, most)
        for name, value, allowed in (
            ("attention", self.attention, _ATTENTION),
            ("tab", self.tab, TABS),
        ):
            if value not in allowed:
                raise SpecError(
                    f"There is no {name} {str(value)[:40]!r}.", expected=", ".join(allowed)
                )
        if not isinstance(self.steps, tuple) or not all(
            isinstance(step, RecipeStep) for step in self.steps
        ):
            raise SpecError("The steps of a recipe are a tuple of RecipeStep.")
        if len(self.steps) > MAX_STEPS:
            raise SpecError(
                "This recipe has too many steps.",
                expected=f"at most {MAX_STEPS}",
                got=len(self.steps),
            )
        if self.setting is not None and not isinstance(self.setting, Setting):
            raise SpecError("The setting of a recipe is a Setting.", got=kind(self.setting))
        check_sparsity(reading.number(self.position, "position"), "position")
        reading.text(self.layer, "layer")
        if self.unit is not None:
            reading.whole(self.unit, "unit")

    # -- from a page -----------------------------------------------------------------------------

    @staticmethod
    def of(session: Session) -> Recipe:
        """Return the recipe of what a session shows.

        Raises
        ------
        SpecError
            If no network is open, or it took too many steps.
        """
        network = session.network
        if network is None:
            raise SpecError("No network is open yet.", fix="Wait until the page shows one.")
        steps = tuple(
            RecipeStep(step.spec, step.settings, step.schedule, step.source)
            for step in network.steps
        )
        data = next((n for n, e in DATASETS.items() if e.label == network.data.name), None)
        view = session.view
        return Recipe(
            model=network.name if network.name in MODELS else None,
            data=data,
            images=None if data is None else network.data.test.count,
            attention=network.original.graph.attention,
            threads=torch.get_num_threads() if any(step.settings for step in steps) else None,
            steps=steps,
            setting=session.setting,
            position=session.position,
            layer=view.layer,
            unit=view.unit,
            tab=view.tab,
        )

    # -- as text ---------------------------------------------------------------------------------

    def to_json(self, indent: int | None = 2) -> str:
        """Return the recipe as JSON; `from_json` reads it."""
        plain = {
            "version": VERSION,
            "model": self.model,
            "data": self.data,
            "images": self.images,
            "attention": self.attention,
            "threads": self.threads,
            "steps": [_plain_step(step) for step in self.steps],
            "setting": None if self.setting is None else reading.plain_setting(self.setting),
            "position": self.position,
            "view": {"layer": self.layer, "unit": self.unit, "tab": self.tab},
        }
        separators = (",", ":") if indent is None else None
        return json.dumps(
            plain, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False
        )

    @staticmethod
    def from_json(text: str) -> Recipe:
        """Return the recipe that a JSON text holds.

        Raises
        ------
        SpecError
            If it is none, of another version, or a part of it is not allowed.
        """
        found = reading.parsed(text)
        version = found.get("version")
        if type(version) is not int or version != VERSION:
            later = type(version) is int and version > VERSION
            raise SpecError(
                "This recipe was written by a later version of prunevis."
                if later
                else "This is no recipe that can be read.",
                expected=f"version {VERSION}",
                got="no version" if version is None else kind(version),
                fix="Update prunevis." if later else "Copy or save it again.",
            )
        known = ("version", "model", "data", "images", "attention", "threads", "steps", "setting",
                 "position", "view")  # fmt: skip
        entries(found, "the recipe", known)
        steps = found.get("steps", [])
        if not isinstance(steps, list):
            raise reading.wrong("The steps of a recipe are a list.", "a list", steps, "steps")
        if len(steps) > MAX_STEPS:
            raise SpecError(
                "This recipe has too many steps.", expected=f"at most {MAX_STEPS}", got=len(steps)
            )
        view = entries(found.get("view", {}), "view", ("layer", "unit", "tab"))
        setting = found.get("setting")
        return Recipe(
            model=found.get("model"),
            data=found.get("data"),
            images=found.get("images"),
            attention=found.get("attention", "heads"),
            threads=found.get("threads"),
            steps=tuple(_step_of(step, f"steps[{k}]") for k, step in enumerate(steps)),
            setting=None if setting is None else reading.setting_of(setting, "setting"),
            position=found.get("position", 0.0),
            layer=view.get("layer", ""),
            unit=view.get("unit"),
            tab=view.get("tab", "weights"),
        )

    def to_text(self) -> str:
        """Return the recipe as letters, digits, - and _, for an address; `from_text` reads it.

        Raises
        ------
        SpecError
            If it is too long for one.
        """
        packed = zlib.compress(self.to_json(None).encode(), 9)
        text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        if len(text) > MOST_TEXT:
            raise SpecError(
                "This recipe is too long for an address.",
                expected=f"at most {MOST_TEXT:,} characters",
                got=f"{len(text):,}",
                fix="Save it as a file.",
            )
        return text

    @staticmethod
    def from_text(text: str) -> Recipe:
        """Return the recipe of an address.

        Raises
        ------
        SpecError
            As `from_json`; or if it is too long, cut off, or no such text.
        """
        if len(text) > MOST_TEXT:
            raise SpecError(
                "This recipe is too long.",
                expected=f"at most {MOST_TEXT:,} characters",
                got=f"{len(text):,}",
            )
        try:
            if not _TEXT.fullmatch(text):
                raise ValueError("other characters")
            packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            unpacker = zlib.decompressobj()
            # a few bytes may stand for gigabytes: no more is unpacked than may be read
            found = unpacker.decompress(packed, MOST_JSON + 1)
            if len(found) <= MOST_JSON and (not unpacker.eof or unpacker.unused_data):
                raise ValueError("cut off")
            plain = found.decode()
        except (ValueError, zlib.error) as error:
            raise SpecError(
                "This recipe is broken, or none.",
                expected="what a page gave as its link",
                got=f"{text[:40]!r}",
                fix="Copy the whole link again.",
            ) from error
        return Recipe.from_json(plain)

    @staticmethod
    def read(source: Recipe | str | Path) -> Recipe:
        """Return a recipe from whatever holds one: a link, its text, JSON, or a file's path.

        Raises
        ------
        SpecError
            If none of these holds one.
        """
        if isinstance(source, Recipe):
            return source
        if isinstance(source, Path):
            return Recipe.from_json(_contents(source))
        if not isinstance(source, str):
            raise SpecError(
                "This is no recipe.",
                expected="a Recipe, its text or link, JSON, or the Path of a file",
                got=kind(source),
            )
        text = source.strip()
        if text.startswith(("{", "[")):
            return Recipe.from_json(text)
        if text.startswith(("http://", "https://")):
            return Recipe.from_text(parse_qs(urlsplit(text).query).get("recipe", [""])[0])
        return Recipe.from_text(text)


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_JSON + 1).decode()
    except (OSError, ValueError) as error:
        raise SpecError(
            "The file of this recipe cannot be read.",
            got=getattr(error, "strerror", None) or "no text",
            where=path,
        ) from error


def _plain_step(step: RecipeStep) -> dict[str, Any]:
    found: dict[str, Any] = {"prune": None if step.spec is None else reading.plain_spec(step.spec)}
    if step.settings is not None:
        found["train"] = {
            "settings": reading.plain_settings(step.settings),
            "source": step.source,
            "schedule": reading.plain_schedule(step.schedule),
        }
    return found


def _step_of(value: Any, where: str) -> RecipeStep:
    found = entries(value, where, ("prune", "train"))
    spec, train = found.get("prune"), found.get("train")
    fields: dict[str, Any] = {}
    if spec is not None:
        fields["spec"] = reading.spec_of(spec, f"{where}.prune")
    if train is not None:
        inside = f"{where}.train"
        entries(train, inside, ("settings", "source", "schedule"))
        fields["settings"] = reading.settings_of(train.get("settings", {}), f"{inside}.settings")
        fields["schedule"] = reading.schedule_of(train.get("schedule"), f"{inside}.schedule")
        fields["source"] = reading.text(train.get("source", "train"), f"{inside}.source")
    with reading.at(where):
        return RecipeStep(**fields)
