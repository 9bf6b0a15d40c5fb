"""A recipe followed in code, without a page: the same jobs, the same numbers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunevis.app.sharing import of_recipe
from prunevis.app.sources import source
from prunevis.errors import SpecError
from prunevis.evaluation import AccuracyEstimate, Evaluation
from prunevis.pruning import PruningPlan
from prunevis.session import Controller, Session
from prunevis.session.jobs import BACKGROUND, SPARE
from prunevis.session.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a recipe came to.

    Attributes
    ----------
    recipe
        Which.
    model
        The network after all steps.
    applied
        What it does on the test examples.
    shown
        Accuracy where the slider stands, exact; None if nothing is ticked there.
    plan
        What goes there of `model`; None likewise.
    """

    recipe: Recipe
    model: nn.Module = field(repr=False)
    applied: Evaluation
    shown: AccuracyEstimate | None
    plan: PruningPlan | None = field(repr=False)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy after all steps, in [0, 1]."""
        return self.applied.accuracy


def replay(
    recipe: Recipe | str | Path,
    model: nn.Module | str | None = None,
    data: Any = None,
    *,
    device: str = "cpu",
) -> Replayed:
    """Follow a recipe and return what it comes to.

    Trained on as many threads as the recipe names: these decide in which order numbers are added
    up, and so the last digits.

    Parameters
    ----------
    recipe
        A `Recipe`, its text, link or JSON, or the path of a file.
    model, data
        As for `explore`; only needed where the recipe is of a network or data of one's own.
    device
        As for `explore`.

    Raises
    ------
    SpecError, UnknownNameError
        If it is no recipe, a step cannot be taken, or model or data are missing.

    Examples
    --------
    >>> replay("lenet5.json").accuracy
    """
    found = Recipe.read(recipe)
    model, data, images = of_recipe(found, model, data)
    opened = source(model, data, None, images)
    with _threads(found.threads):
        return _followed(found, opened, device)


def _followed(recipe: Recipe, opened: Any, device: str) -> Replayed:
    session = Session()
    controller = Controller(session)
    controller.device, controller.attention = device, recipe.attention
    errors: list[BaseException] = []
    tell = controller.report

    def report(error: BaseException) -> None:
        errors.append(error)
        tell(error)

    controller.report = report  # type: ignore[method-assign]
    controller.worker.pause(BACKGROUND, SPARE)
    controller.worker.request(lambda: controller.follow(opened, recipe))
    controller.worker.run_until_idle()
    controller.worker.stop()
    if errors:
        raise errors[0]
    network, table, curve = session.network, session.table, session.curve
    if network is None or network.stage.baseline is None:
        raise SpecError("The recipe could not be followed.")
    shown = plan = None
    if session.setting.ticked and table is not None and curve is not None:
        shown = curve.estimates[table.index(session.position)]
        plan = table.plan_at(session.position)
    return Replayed(
        recipe,
        network.stage.model,
        network.stage.baseline,
        shown,
        plan,
    )


@contextmanager
def _threads(count: int | None) -> Generator[None, None, None]:
    """Have torch compute on so many threads inside; None: on as many as it does."""
    before = torch.get_num_threads()
    try:
        if count is not None and count != before:
            torch.set_num_threads(count)
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
