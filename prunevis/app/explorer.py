"""The page and what moves it, put together: `Explorer`, and `explore` which makes one."""

from __future__ import annotations

import copy
import math
import os
import time
from pathlib import Path
from typing import Any, cast

from torch import nn

from prunevis.app import views
from prunevis.app.actions import act
from prunevis.app.figures import Figures
from prunevis.app.keeping import Keeper
from prunevis.app.limits import Limits
from prunevis.app.pauses import Pauses
from prunevis.app.sharing import Sharing, fewer, of_recipe
from prunevis.app.slices import IN_RECIPE, OF_TAB, ON_DEMAND, SLICE_OF, SLOW, STALE, URGENT
from prunevis.app.sources import source, zoo_models
from prunevis.errors import SpecError
from prunevis.graph.products import Attention
from prunevis.session.controller import Controller
from prunevis.session.recipe import Recipe
from prunevis.session.state import Session
from prunevis.texts import texts
from prunevis.widgets.page import Page

#: Slices are published at most this often, in seconds.
PUBLISH_EVERY = 0.1


class Explorer:
    """An interactive page about one network; display it by leaving it on a cell's last line.

    Parameters
    ----------
    model, data, example_input, calibration, device, attention, recipe
        As for `explore`.
    language
        As for `explore`; None: what ``PRUNEVIS_LANGUAGE`` says, else English.
    served
        Whether strangers see the page: no traceback is sent then.
    threaded
        False: nothing runs until `run_until_idle` is called (for tests and scripts).
    """

    def __init__(
        self,
        model: nn.Module | str | None = None,
        data: Any = None,
        *,
        example_input: Any = None,
        calibration: Any = None,
        device: str = "auto",
        attention: Attention = "heads",
        recipe: Recipe | str | Path | None = None,
        language: str | None = None,
        served: bool = False,
        threaded: bool = True,
    ) -> None:
        # what is refused is refused before a thread or a widget exists
        self.limits = Limits.from_environment() if served else Limits()
        words = texts(language or os.environ.get("PRUNEVIS_LANGUAGE") or "en")
        images, self._first_recipe = self.limits.images, None
        own = data, calibration
        if recipe is not None:
            self._first_recipe = followed = Recipe.read(recipe)
            model, data, most = of_recipe(followed, model, data)
            images, attention = fewer(images, most), cast(Attention, followed.attention)
        opened = source(model, data, calibration, images)
        self.served = served
        self.session = Session()
        self.page = Page(texts=words)
        self.controller = Controller(self.session, self._after_step)
        self.controller.device, self.controller.attention = device, attention
        self.keeper = Keeper(self.controller, self.limits)
        self.figures = Figures(self)
        #: What of the zoo the page offers: nothing, where a network of one's own is looked at.
        self.models = zoo_models() if model is None or isinstance(model, str) else []
        self.sharing = Sharing(self, *own, opened)
        self._stale: dict[str, None] = {}
        self._published = 0.0
        self._own_position = math.nan  # unequal to everything
        self.session.observe(self._changed)
        self.page.listen(self._on_message)
        self.page.watched = served
        self.page.observe(self._on_position, "position")
        # counting views lets the background sweep rest while nobody looks
        self.page._view_count = 0
        self.page.observe(self._on_views, "_view_count")
        self.pauses = Pauses(self.controller.worker, threaded=threaded)
        if threaded:
            self.controller.worker.start()
        if self._first_recipe is None:
            self.controller.open(opened, example=example_input)
        else:
            note = self.sharing.note(self._first_recipe)
            first = self._first_recipe
            self.controller.follow(opened, first, note=note, example=example_input)

    # -- display ---------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = self.page._repr_mimebundle_(**kwargs)
        # what is shown where widgets are not, in a saved notebook or on a code host
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if isinstance(data, dict):
            data["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        network = self.session.network
        what = "opening" if network is None else f"{network.label}, {len(network.stages)} stage(s)"
        return f"<Explorer: {what}>"

    @property
    def model(self) -> nn.Module:
        """A copy of the network as it is now, with everything that was applied.

        Raises
        ------
        SpecError
            If no network is open yet.
        """
        if self.session.network is None:
            raise SpecError("No network is open yet.", fix="Wait until the page shows one.")
        return copy.deepcopy(self.session.network.stage.model)

    @property
    def recipe(self) -> Recipe:
        """What reproduces the page as it stands.

        Raises
        ------
        SpecError
            If no network is open yet.
        """
        return Recipe.of(self.session)

    def speak(self, language: str) -> None:
        """Let the page speak a language, one of `prunevis.texts.LANGUAGES`.

        Raises
        ------
        UnknownNameError
            If there is no such language here.
        """
        self.page.texts = texts(language)

    def run_until_idle(self) -> None:
        """Do all that waits, in this thread; only for an Explorer made with `threaded=False`."""
        self.controller.worker.run_until_idle()

    def close(self) -> None:
        """End the worker and the page."""
        self.pauses.close()
        self.controller.worker.stop()
        self.page.close()

    # -- from the browser ------------------------------------------------------------------------

    def _on_message(self, content: dict[str, Any]) -> None:
        # any thread: only post
        self.controller.worker.request(lambda: self._act(content))

    def _on_position(self, change: Any) -> None:
        value = change["new"]
        if value != self._own_position:
            self.controller.worker.request(lambda: self.controller.move(value), "move")
            self.pauses.moved()

    def _on_views(self, change: Any) -> None:
        self.pauses.views(change["new"])

    def _act(self, message: dict[str, Any]) -> None:
        self._published = -math.inf  # the answer does not wait for its turn
        act(self, message)

    # -- to the browser --------------------------------------------------------------------------

    def _changed(self, change: Any) -> None:
        for name in STALE.get(change["name"], ()):
            self._stale[name] = None
        if change["name"] in IN_RECIPE:
            self._stale["recipe"] = None
        if change["name"] == "replay" and _running(change["old"]) > _running(change["new"]):
            self.sharing.ended()
        if change["name"] == "table" and _setting(change["old"]) != _setting(change["new"]):
            self._stale["controls"] = None  # they say whether the table is theirs
        if change["name"] == "view" and change["old"].tab != change["new"].tab:
            self._stale.update(dict.fromkeys(ON_DEMAND))
        if change["name"] == "network" and _stage(change["old"]) is not _stage(change["new"]):
            self.figures.forget()
            for name in ("unit", "redundancy", "layers_view"):
                self._stale[name] = None

    def drawn(self, name: str) -> None:
        """Take note that a figure has changed."""
        self._stale[SLICE_OF.get(name, name)] = None

    def _after_step(self, idle: bool) -> None:
        self.keeper.look()
        now = time.monotonic()
        due = idle or now - self._published >= PUBLISH_EVERY
        if not idle and self._between():
            # the new network and what its positions cost are shown together, not one by one
            if due and self._stale.keys() & {"status", "problem"}:
                self._published = now
                self._publish(("status", "problem"))
            return
        if self._stale and due:
            self._published = now
            self._publish(tuple(self._stale))
        elif "curve" in self._stale and self._is_news() and "controls" not in self._stale:
            # the first figure at a new position does not wait for its turn, nor for slower slices
            self._publish(URGENT)
        if self.session.position != self.page.position and not self._moving():
            # what we set is no move; the same number from the browser, later, is one
            self._own_position = self.session.position
            self.page.position = self.session.position
            self._own_position = None

    def _moving(self) -> bool:
        # a newer position is on its way from the browser; in this order, as it is asked for last
        return self.page.arriving or self.controller.worker.asked("move")

    def _between(self) -> bool:
        """Whether another network has come and its table has not."""
        network, table = self.session.network, self.session.table
        other = network is not None and (table is None or table.stage is not network.stage)
        return other and self.controller.worker.running("rank")

    def _is_news(self) -> bool:
        """Whether the browser knows nothing yet of the accuracy where the slider stands."""
        table, curve = self.session.table, self.session.curve
        if table is None or curve is None or curve.key != table.key:
            return False
        index = table.index(self.session.position)
        sent = self.page.curve.get("value", [])
        fits = self.page.curve.get("key") == table.key and len(sent) == len(table.sparsity)
        known = fits and sent[index] is not None
        return curve.estimates[index] is not None and not known

    def _publish(self, names: tuple[str, ...]) -> None:
        # numbers first: what takes longer to make must not hold them up
        names = tuple(sorted(names, key=lambda name: name in SLOW))
        tab = self.session.view.tab
        for name in names:
            if name not in self._stale:
                continue
            # taken out first: a slice that cannot be made must not keep the others back
            del self._stale[name]
            if name == "recipe":
                # a wish, not a figure: it follows a hand that rests
                if self.pauses.moving:
                    self._stale[name] = None
                    continue
                if self.sharing.slice() == self.page.recipe:
                    continue
            other = name in OF_TAB and tab != OF_TAB[name]
            if other and (name in ON_DEMAND or getattr(self.page, name)):
                # made when its tab is opened; until then the browser shows nothing of it
                continue
            setattr(self.page, name, self._slice(name))
        self.figures.update()

    def _slice(self, name: str) -> dict[str, Any]:
        session = self.session
        if name == "head":
            return {**views.head(session), "limits": self.limits.in_words()}
        if name == "controls":
            return views.controls(session, self.models)
        if name == "recipe":
            return self.sharing.slice()
        if name == "problem":
            return views.problem(session, with_detail=not self.served)
        if name == "layers_view":
            return views.layers_view(session, self.figures.shown)
        if name == "criteria_view":
            return views.criteria_view(session, self.figures.shown)
        if name == "redundancy":
            return self._figure("redundancy", layer=session.view.layer)
        if name == "unit":
            return self._figure("unit", layer=session.view.layer, unit=session.view.unit)
        return getattr(views, name)(session)

    def _figure(self, name: str, **expected: Any) -> dict[str, Any]:
        shown = self.figures.shown.get(name, {})
        fits = all(shown.get(key) == value for key, value in expected.items())
        return shown if shown and fits else {}


def _stage(network: Any) -> Any:
    # a name given to a step, or one forgotten, is no other network
    return None if network is None else network.stage


def _running(replay: Any) -> bool:
    return replay is not None and replay.state == "running"


def _setting(table: Any) -> Any:
    return None if table is None else table.setting


def explore(
    model: nn.Module | str | None = None,
    data: Any = None,
    *,
    example_input: Any = None,
    calibration: Any = None,
    device: str = "auto",
    attention: Attention = "heads",
    recipe: Recipe | str | Path | None = None,
    language: str | None = None,
) -> Explorer:
    """Open the interactive page about a network.

    Parameters
    ----------
    model
        Any `torch.nn.Module` that gives logits (N, classes); it is copied and never changed. A name
        in `prunevis.MODELS`, or None, opens the zoo.
    data
        A ``(inputs, targets)`` pair of tensors, a `Dataset`, a `DataLoader`, or
        ``Data(train, test, class_names)``; needed with a model of your own.
    example_input
        A batch to trace with, if it should not be taken from the data.
    calibration
        Examples to watch the neurons on, and to fine-tune with; default: the training part of
        `data`.
    device
        "auto" (a GPU if there is one), "cpu", "cuda", ...
    attention
        What leaves attention layers where units are pruned: whole "heads", or the same
        "dimensions" of every head.
    recipe
        What to do on the page to begin with: a `prunevis.Recipe`, the text or link that a page
        gave, JSON, or the path of a file. It names its model and data, unless they were one's own.
    language
        What the page speaks: "en" or "de". None: what ``PRUNEVIS_LANGUAGE`` says, else English.
        The page has a menu for it.

    Returns
    -------
    Explorer
        Leave it on the last line of a cell to display it.

    Raises
    ------
    SpecError
        If a model of your own comes without data, or a recipe cannot be read.
    UnknownNameError
        If `model` is a name that the zoo does not have, or `language` none that the page speaks.
    """
    return Explorer(
        model,
        data,
        example_input=example_input,
        calibration=calibration,
        device=device,
        attention=attention,
        recipe=recipe,
        language=language,
    )
