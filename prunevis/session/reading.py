"""Reading the parts of a recipe: JSON of strangers, each entry of the type that it must have.

Nothing is believed before it is checked, and what is refused says where it stands.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prunevis.criteria import CRITERIA
from prunevis.errors import PrunevisError, SpecError
from prunevis.pruning import PruningSpec, check_sparsity
from prunevis.pruning.spec import check_of
from prunevis.session.drafting import LARGEST, MAX_EPOCHS, MORE, checked_more
from prunevis.session.state import Setting
from prunevis.training import FineTuneSettings
from prunevis.training.schedules import SCHEDULES, Schedule, make_schedule

#: Longest recipe as JSON, in bytes: twenty steps on a network of some hundred layers.
MOST_JSON = 120 * 1024
#: Longest name, and most layers.
MOST_NAME, MOST_LAYERS = 200, 5000


def parsed(text: str) -> dict[str, Any]:
    """Return the object that a JSON text holds.

    Raises
    ------
    SpecError
        If it is too long, no JSON, holds a name twice, or NaN or an infinity.
    """
    if len(text) > MOST_JSON or len(text.encode("utf-8", "replace")) > MOST_JSON:
        raise SpecError(
            "This recipe is too long.",
            expected=f"at most {MOST_JSON:,} bytes of JSON",
            got=f"{len(text):,} characters",
        )
    try:
        found = json.loads(text, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(
            "This is no recipe: it cannot be read as JSON.",
            got=str(error)[:80],
            fix="Copy or save it again.",
        ) from error
    if not isinstance(found, dict):
        raise SpecError("This is no recipe.", expected="a JSON object", got=kind(found))
    return found


def _no_number(name: str) -> Any:
    raise SpecError("A number in this recipe is none.", expected="finite numbers", got=name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SpecError("This recipe holds a name twice.", expected="each name once")
    return found


def kind(value: Any) -> str:
    """Return what a value is, in a few words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    if value is None:
        return "null"
    return names.get(type(value)) or short(value)


def short(value: Any) -> str:
    """Return a value in at most forty characters."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**18:
        return "a huge number"
    return repr(value)[:40]


def wrong(what: str, expected: str, value: Any, where: str) -> SpecError:
    """Return what to say of an entry of another type or range."""
    return SpecError(what, expected=expected, got=kind(value), where=where)


def entries(
    value: Any, where: str, known: Iterable[str], needed: Iterable[str] = ()
) -> dict[str, Any]:
    """Return an object whose names are all known, and none of those needed missing."""
    if not isinstance(value, dict):
        raise wrong("A part of this recipe is no object.", "an object", value, where)
    known = list(known)
    for name in value:
        if name not in known:
            raise SpecError(
                f"This recipe holds {name[:40]!r}, which means nothing here.",
                expected=", ".join(known),
                where=where,
                fix="Take it out, or update prunevis if a later version wrote the recipe.",
            )
    for name in needed:
        if name not in value:
            raise SpecError(f"This recipe says nothing of {name!r}.", where=where)
    return value


def text(value: Any, where: str, *, none: bool = False) -> Any:
    """Return a text that is not too long; None too, where `none` says so."""
    if none and value is None:
        return None
    if not isinstance(value, str) or len(value) > MOST_NAME:
        raise wrong("A name in this recipe is none.", f"at most {MOST_NAME} letters", value, where)
    return value


def number(value: Any, where: str, least: float = -LARGEST, most: float = LARGEST) -> float:
    """Return a number in [least, most]."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value if abs(value) < 10**18 else math.inf):
        raise wrong("A number in this recipe is none.", "a number", value, where)
    if not least <= value <= most:
        raise wrong(
            "A number in this recipe is out of range.", f"{least:g} to {most:g}", value, where
        )
    return value


def whole(value: Any, where: str, least: int = 0, most: int = LARGEST) -> int:
    """Return a whole number in [least, most]."""
    if not isinstance(value, int):
        raise wrong("A number in this recipe is no whole one.", "a whole number", value, where)
    return int(number(value, where, least, most))


def share(value: Any, where: str) -> float:
    """Return a sparsity."""
    return check_sparsity(number(value, where), where)


@contextmanager
def at(where: str) -> Generator[None, None, None]:
    """Say where in a recipe a problem stands that arises inside."""
    try:
        yield
    except PrunevisError as error:
        if isinstance(error, SpecError) and str(error.where or "").startswith(where):
            raise
        place = where if error.where is None else f"{where}, {error.where}"
        raise SpecError(
            error.problem, expected=error.expected, got=error.got, where=place, fix=error.fix
        ) from error


# -- what is pruned --------------------------------------------------------------------------------

_WORDS = ("criterion", "granularity", "scope", "repair", "of")
_NUMBERS = ("seed", "multiple_of", "min_units")
_SPEC = tuple(field.name for field in dataclasses.fields(PruningSpec))
_SETTING = tuple(field.name for field in dataclasses.fields(Setting))


def _common(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a spec and a setting share, each of its type."""
    fields: dict[str, Any] = {}
    for name in _WORDS:
        if name in found:
            fields[name] = text(found[name], f"{where}.{name}")
    for name in _NUMBERS:
        if name in found:
            fields[name] = whole(found[name], f"{where}.{name}", 0, 2**31 - 1)
    if "pattern" in found:
        fields["pattern"] = text(found["pattern"], f"{where}.pattern", none=True)
    with at(where):
        _ = CRITERIA[fields.get("criterion", "magnitude")]
    return fields


def spec_of(value: Any, where: str) -> PruningSpec:
    """Return a request as a recipe holds it."""
    found = entries(value, where, _SPEC)
    fields = _common(found, where)
    layers = found.get("layers")
    if layers is not None:
        fields["layers"] = _shares(layers, f"{where}.layers")
    if found.get("keep") is not None:
        fields["keep"] = number(found["keep"], f"{where}.keep")
        if "sparsity" in found:
            raise SpecError("A step takes a sparsity or a share to keep, not both.", where=where)
        with at(where):
            return PruningSpec.make(**fields)
    if "sparsity" not in found:
        raise SpecError("This recipe says nothing of 'sparsity'.", where=where)
    sparsity = share(found["sparsity"], f"{where}.sparsity")
    with at(where):
        # zeros of before count as gone, so a plan may say more than a pattern lets go
        return PruningSpec.make(**{**fields, "sparsity": 0.0}).at(sparsity)


def plain_spec(spec: PruningSpec) -> dict[str, Any]:
    """Return a request as JSON; `spec_of` reads it."""
    found = {name: getattr(spec, name) for name in _SPEC}
    found["layers"] = None if spec.layers is None else dict(spec.layers)
    del found["sparsity" if spec.keep is not None else "keep"]
    return found


def _shares(value: Any, where: str) -> dict[str, float | None]:
    if not isinstance(value, dict) or len(value) > MOST_LAYERS:
        expected = f"an object of at most {MOST_LAYERS:,} names"
        raise wrong("Layers and their sparsities are an object.", expected, value, where)
    return {
        text(name, where): None if own is None else share(own, f"{where}.{name[:40]}")
        for name, own in value.items()
    }


def setting_of(value: Any, where: str) -> Setting:
    """Return the choices of a page as a recipe holds them."""
    found = entries(value, where, _SETTING, ("ticked",))
    fields = _common(found, where)
    ticked = found["ticked"]
    if not isinstance(ticked, list) or len(ticked) > MOST_LAYERS:
        raise wrong("Ticked layers are a list.", "a list of names", ticked, f"{where}.ticked")
    names = tuple(text(name, f"{where}.ticked") for name in ticked)
    if len(set(names)) < len(names):
        raise SpecError("A layer is ticked twice.", where=f"{where}.ticked")
    own = _shares(found.get("own", {}), f"{where}.own")
    if not set(own) <= set(names) or None in own.values():
        raise SpecError("Only ticked layers have a sparsity of their own.", where=f"{where}.own")
    setting = Setting(**fields, ticked=names, own=tuple(own.items()))  # type: ignore[arg-type]
    with at(where):
        check_of(setting.of, setting.granularity)
        (setting if names else replace(setting, ticked=("any",))).spec()
    return setting


def plain_setting(setting: Setting) -> dict[str, Any]:
    """Return the choices of a page as JSON; `setting_of` reads it."""
    found = {name: getattr(setting, name) for name in _SETTING}
    return {**found, "ticked": list(setting.ticked), "own": dict(setting.own)}


# -- how it is trained -----------------------------------------------------------------------------

_SETTINGS = tuple(field.name for field in dataclasses.fields(FineTuneSettings))
_MORE = tuple(knob.name for knob in MORE)


def settings_of(value: Any, where: str) -> FineTuneSettings:
    """Return how a step trains, within what the page lets a person set."""
    found = entries(value, where, _SETTINGS)
    with at(where):
        more = checked_more({name: found[name] for name in _MORE if name in found})
        fields = {name: value for name, value in found.items() if name not in _MORE}
        for name, least, most in (("epochs", 1, MAX_EPOCHS), ("subset", 1, LARGEST)):
            if name in fields:
                whole(fields[name], f"{where}.{name}", least, most)
        if "seed" in fields:
            whole(fields["seed"], f"{where}.seed", 0, 2**31 - 1)
        if "lr" in fields:
            number(fields["lr"], f"{where}.lr", 0, 10)
        return FineTuneSettings(**fields, **more)


def plain_settings(settings: FineTuneSettings) -> dict[str, Any]:
    """Return how a step trains as JSON; `settings_of` reads it.

    Raises
    ------
    SpecError
        If it holds a function or an object, which no recipe can.
    """
    found = {name: getattr(settings, name) for name in _SETTINGS}
    for name in ("optimizer", "schedule"):
        if not isinstance(found[name], str):
            raise SpecError(
                "A recipe holds no function and no object.",
                got=f"`{name}` {type(found[name]).__name__}",
                fix="Name it by a word.",
            )
    return found


def schedule_of(value: Any, where: str) -> Schedule | None:
    """Return when a step prunes; None: at once."""
    if value is None:
        return None
    found = entries(value, where, ("name", "fields"), ("name",))
    name = text(found["name"], f"{where}.name")
    with at(where):
        known = [field.name for field in dataclasses.fields(SCHEDULES[name])]
        fields = entries(found.get("fields", {}), f"{where}.fields", known)
        for key, one in fields.items():
            if isinstance(one, (int, float)) and not isinstance(one, bool):
                number(one, f"{where}.fields.{key}")
        return make_schedule(name, **fields)


def plain_schedule(schedule: Schedule | None) -> dict[str, Any] | None:
    """Return when a step prunes as JSON; `schedule_of` reads it."""
    if schedule is None:
        return None
    fields = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    return {"name": name_of(schedule), "fields": fields}


def name_of(schedule: Schedule) -> str:
    """Return the name that a schedule is filed under."""
    for name, entry in SCHEDULES.items():
        if entry is type(schedule):
            return name
    raise SpecError("This schedule has no name.", got=type(schedule).__name__)
