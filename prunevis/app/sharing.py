"""A page and its recipe: what is shown of it, and opening another's.

A recipe may come from anyone: names, layers and numbers are checked before anything is opened, and
what a visitor may not do by hand a recipe does not do either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from prunevis.app.sources import source
from prunevis.errors import SpecError
from prunevis.session.opening import Source
from prunevis.session.recipe import Recipe
from prunevis.zoo import MODELS

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer


class Sharing:
    """The recipe of one page.

    Parameters
    ----------
    explorer
        The page.
    data, calibration
        As the person passed them; None: those of the zoo.
    opened
        What opened the page's first network.
    """

    def __init__(self, explorer: Explorer, data: Any, calibration: Any, opened: Source) -> None:
        self._explorer, self._opened = explorer, opened
        self._own = data, calibration
        #: Recipes that were asked for and followed to an end, or refused.
        self.number = 0

    def ask(self, text: Any) -> None:
        """Open the recipe that a browser sent.

        Raises
        ------
        SpecError, UnknownNameError
            If it is none, or not for this page.
        """
        try:
            if not isinstance(text, str):
                raise SpecError("This is no recipe.", expected="a text", got=type(text).__name__)
            recipe = Recipe.read(text)
            found = self.opens(recipe)
        except Exception:
            self.ended()
            raise
        controller = self._explorer.controller
        controller.attention = recipe.attention
        controller.follow(found, recipe, note=self.note(recipe))

    def ended(self) -> None:
        """Take note that a recipe came to an end, whichever."""
        self.number += 1
        self._explorer.drawn("recipe")

    def opens(self, recipe: Recipe) -> Source:
        """Return what opens the network of a recipe.

        Raises
        ------
        SpecError
            If it is not for this page.
        """
        explorer, (data, calibration) = self._explorer, self._own
        if not explorer.models:
            if recipe.model is not None:
                raise SpecError(
                    f"This recipe is of {MODELS[recipe.model].label}; a network of your own is "
                    "looked at here.",
                    fix="Open it with pv.explore(recipe=...).",
                )
            return self._opened
        names = [entry["name"] for entry in explorer.models]
        if recipe.model is None or recipe.model not in names:
            raise SpecError(
                "This recipe is of a network of somebody's own.",
                expected=", ".join(names),
                fix="Open it beside that network: pv.explore(model, data, recipe=...).",
            )
        if recipe.data is not None and recipe.data != MODELS[recipe.model].dataset:
            raise SpecError(
                f"{MODELS[recipe.model].label} is not shown on these data here.",
                expected=MODELS[recipe.model].dataset,
                got=recipe.data,
            )
        if recipe.data is None and data is None:
            raise SpecError(
                "This recipe was made on data of somebody's own.",
                fix="Pass them: pv.explore(model, data, recipe=...).",
            )
        own = recipe.data is None
        return source(
            recipe.model,
            data if own else None,
            calibration if own else None,
            fewer(explorer.limits.images, recipe.images),
        )

    def note(self, recipe: Recipe) -> str:
        """Return what may differ from where a recipe was made, in words; "" if nothing."""
        words = []
        threads, most = torch.get_num_threads(), self._explorer.limits.images
        if recipe.threads is not None and recipe.threads != threads:
            words.append(
                f"It was trained with {recipe.threads} thread{'s' * (recipe.threads > 1)} and is "
                f"trained with {threads} here, so last digits may differ."
            )
        if most is not None and recipe.data is not None and (recipe.images or most + 1) > most:
            words.append(f"Accuracy is measured on {most:,} images here.")
        return " ".join(words)

    def slice(self) -> dict[str, Any]:
        """Return the page's slice."""
        session = self._explorer.session
        replay, network = session.replay, session.network
        following = self._explorer.controller.following
        found: dict[str, Any] = {"text": "", "json": None, "can": False, "note": ""}
        found["opened"] = {"number": self.number, "tab": session.view.tab}
        if following is None and (network is None or session.table is None):
            return found
        try:
            # until it is followed, the recipe of the page is the one that was asked for
            recipe = Recipe.of(session) if following is None else following.recipe
            found["json"] = recipe.to_json()
            found["text"] = recipe.to_text()
            found["can"] = True
        except SpecError as error:
            found["note"] = f"{error.problem} {error.fix or ''}".strip()
            return found
        if replay is not None and replay.state != "stopped":
            found["note"] = replay.note
        if not self._explorer.models:
            found["note"] = "It names your network only; open it beside that network and its data."
        return found


def fewer(*counts: int | None) -> int | None:
    """Return the least of some numbers, those that are None left out."""
    return min((count for count in counts if count is not None), default=None)


def of_recipe(recipe: Recipe, model: Any, data: Any) -> tuple[Any, Any, int | None]:
    """Return the model, the data and how many images a recipe is followed on in code.

    Raises
    ------
    SpecError
        If the recipe is of a network, or on data, of one's own, and none are given.
    """
    if model is None and recipe.model is None:
        raise SpecError(
            "This recipe is of a network of one's own, which it does not hold.",
            fix="Pass the network and its data too: explore(model, data, recipe=...).",
        )
    if data is None and recipe.data is None:
        raise SpecError(
            "This recipe was made on data of one's own, which it does not hold.",
            fix="Pass them too: explore(model, data, recipe=...).",
        )
    model = recipe.model if model is None else model
    images = recipe.images if data is None else None
    if data is None and not (isinstance(model, str) and MODELS[model].dataset == recipe.data):
        from prunevis.app.sources import first
        from prunevis.zoo import load_data

        data = first(load_data(str(recipe.data)), images)
    return model, data, images
