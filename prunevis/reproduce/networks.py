"""Training a network from new weights, as reproductions do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from prunevis.data import Data
from prunevis.steps import finished
from prunevis.training import FineTuneSettings, TrainingRun
from prunevis.training.schedules import Phase


def new(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a new network with the random weights of a seed; torch's state is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def trained(model: nn.Module, data: Data, epochs: float, **options: Any) -> nn.Module:
    """Train `model` in place for some epochs, at least one step, and return it in evaluation mode.

    Parameters
    ----------
    model
        From `new`.
    data
        With training examples.
    epochs
        May be a fraction.
    **options
        Fields of `FineTuneSettings`.
    """
    settings = FineTuneSettings(**options)
    assert data.train is not None, "reproductions have training examples"
    per_epoch = -(-data.train.count // settings.batch_size)
    phase = Phase(0, max(1, round(epochs * per_epoch)), "Training")
    run = TrainingRun(model, (data.train, data.test), {}, settings, phases=(phase,))
    finished(run.steps())
    return model.eval()
