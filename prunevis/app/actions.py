"""What the browser asks for, by name: each action checked and handed to whoever does it.

Messages come from a page that anyone may have opened: what a message says is checked by the use
case that takes it, and its problem is said in words. `prunevis.widgets.page` lists the actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prunevis.app.sources import source
from prunevis.errors import SpecError

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer

#: Actions by which a person only looks: what went wrong before stays on the page.
LOOKING = frozenset({"tab", "theme", "layer", "unit", "language"})
#: Actions that leave a recipe that is being followed on its way.
BESIDE = LOOKING | {"dismiss", "draft", "pause", "go_on", "recipe"}


def act(explorer: Explorer, message: dict[str, Any]) -> None:
    """Do what a message asks for; runs on the worker.

    Raises
    ------
    SpecError
        If there is no such action, or it cannot be done.
    """
    action, controller = message["action"], explorer.controller
    if action not in LOOKING:
        # what went wrong before is history once a person does something else
        controller.dismiss()
    if action not in ACTIONS:
        raise SpecError(f"The page asked for something unknown: {action[:40]!r}.")
    if action not in BESIDE:
        # a hand on the page knows better than a recipe
        controller.stop_following()
    ACTIONS[action](explorer, message)


Action = Callable[["Explorer", dict[str, Any]], None]


def _calls(path: str) -> Action:
    """Return an action that calls a method of the controller, which takes nothing."""

    def call(explorer: Explorer, message: dict[str, Any]) -> None:
        target: Any = explorer.controller
        for name in path.split("."):
            target = getattr(target, name)
        target()

    return call


def _chooses(field: str) -> Action:
    """Return an action that sets a part of the setting to the message's `field`."""

    def choose(explorer: Explorer, message: dict[str, Any]) -> None:
        explorer.controller.choose(message["action"], message.get(field))

    return choose


def _looks(name: str, field: str = "name") -> Action:
    def look(explorer: Explorer, message: dict[str, Any]) -> None:
        explorer.controller.look(**{name: message.get(field)})

    return look


def _model(explorer: Explorer, message: dict[str, Any]) -> None:
    name = message.get("name")
    if name not in [entry["name"] for entry in explorer.models]:
        raise SpecError(f"There is no model called {str(name)[:40]!r} here.")
    explorer.controller.open(source(name, None, None, explorer.limits.images))


def _pattern(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.choose("pattern", message.get("name") or None)


def _cancel(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.cancel(message.get("name"))


def _tick(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.tick(message.get("layer"), bool(message.get("on")))


def _own(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.own(message.get("layer"), message.get("value"))


def _agreement(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.judge.measure(message.get("images"))


def _race(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.judge.race(message.get("criteria"), message.get("at"))


def _go(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.go(message.get("stage"))


def _name(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.name(message.get("stage"), message.get("text"))


def _forget(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.forget(message.get("stage"))


def _compare(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.controller.comparer.compare(message.get("a"), message.get("b"))


def _fine_tune(explorer: Explorer, message: dict[str, Any]) -> None:
    get = message.get
    explorer.controller.fine_tune(
        *map(get, ("epochs", "learning_rate", "source")),
        schedule=get("schedule", "one-shot"),
        knobs=get("knobs"),
        more=get("more"),
    )


def _draft(explorer: Explorer, message: dict[str, Any]) -> None:
    names = ("schedule", "knobs", "learning_rate", "source", "more")
    explorer.controller.draft(*map(message.get, names))


def _recipe(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.sharing.ask(message.get("text"))


def _language(explorer: Explorer, message: dict[str, Any]) -> None:
    explorer.speak(str(message.get("name"))[:40])


#: What a page may ask for.
ACTIONS: dict[str, Action] = {
    **{
        name: _calls(name)
        for name in (
            "apply",
            "undo",
            "redo",
            "reset",
            "keep",
            "discard",
            "pause",
            "go_on",
            "dismiss",
        )
    },
    "sensitivity": _calls("scan"),
    "latency": _calls("stopwatch.measure"),
    **{name: _chooses("name") for name in ("granularity", "criterion", "scope", "of", "repair")},
    **{name: _chooses("value") for name in ("seed", "multiple_of", "min_units")},
    **{name: _looks(name) for name in ("tab", "theme", "layer")},
    "unit": _looks("unit", "unit"),
    "model": _model,
    "pattern": _pattern,
    "cancel": _cancel,
    "tick": _tick,
    "own": _own,
    "agreement": _agreement,
    "race": _race,
    "go": _go,
    "name": _name,
    "forget": _forget,
    "compare": _compare,
    "fine_tune": _fine_tune,
    "draft": _draft,
    "recipe": _recipe,
    "language": _language,
}
