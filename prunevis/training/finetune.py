"""Fine-tuning: what a few epochs bring back, while what was pruned stays pruned.

The default recipe is SGD with Nesterov momentum 0.9, as in ShrinkBench (Blalock et al. 2020), with
a cosine schedule and a tenth of the learning rate that such networks are trained with, as in Han
et al. 2015.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from prunevis.data import Data, Examples, as_data
from prunevis.errors import DataError, ModelError, SpecError
from prunevis.evaluation.exact import Evaluation, evaluate
from prunevis.graph import trace
from prunevis.graph.layers import ModelGraph
from prunevis.pruning.masking import tensor_masks
from prunevis.pruning.plan import PruningPlan, check_plan
from prunevis.pruning.removal import remove
from prunevis.pruning.repairs.mending import repaired
from prunevis.training.loop import TrainingRun
from prunevis.training.modes import MaskHolder
from prunevis.training.records import FineTuned, FineTuneProgress
from prunevis.training.settings import FineTuneSettings


def trainable_copy(
    model: nn.Module, plan: PruningPlan | None = None
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a copy of `model`, pruned by `plan`, and the masks that keep it so.

    For granularity "unit" the copy is the smaller model and needs no masks; for "weight" it has
    zeros in place.

    Raises
    ------
    ModelError
        If the model cannot be copied, or the plan was made for another network.
    """
    if plan is not None and check_plan(plan).granularity == "unit" and plan.num_removed:
        return remove(model, plan), {}
    try:
        module = copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            "The model cannot be copied.",
            got=f"{type(error).__name__}: {error}",
            fix="If torch.nn.utils.prune masks are attached, make them permanent with its "
            "remove(module, 'weight') first.",
        ) from error
    if plan is None:
        return module, {}
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    with torch.no_grad():
        for name, value in repaired(model, plan).tensors.items():
            tensors[name].copy_(value)
    masks = tensor_masks(plan)
    MaskHolder(module, masks).apply()
    return module, masks


def fine_tune_steps(
    model: nn.Module,
    data: Any,
    *,
    masks: Mapping[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    settings: FineTuneSettings | None = None,
    **options: Any,
) -> Generator[FineTuneProgress, None, Evaluation]:
    """Fine-tune `model` in place, reporting at least every 50 ms or so; see `fine_tune`.

    Close the generator to cancel: the model then holds the weights of its last finished step.

    Parameters
    ----------
    model
        From `trainable_copy`: it is changed.
    data
        `Data` with training and test examples.
    masks
        From `trainable_copy`: what stays zero.
    teacher
        The network as it came, in evaluation mode; needed for `distil`, and where `optimizer` is an
        object that holds its parameters.
    settings
        How; None for the defaults.
    **options
        Single fields of `FineTuneSettings` that replace those of `settings`.

    Raises
    ------
    DataError, ModelError, NonFiniteError, SpecError
        As `fine_tune`.
    """
    settings = settings_of(settings, options)
    return training_run(model, data, masks=masks, teacher=teacher, settings=settings).steps()


def training_run(
    model: nn.Module,
    data: Any,
    *,
    masks: Mapping[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    settings: FineTuneSettings | None = None,
) -> TrainingRun:
    """Return what `fine_tune_steps` runs, to be stopped and resumed: parameters as there.

    Examples
    --------
    >>> run = training_run(model, data)
    >>> for progress in run.steps():
    ...     if progress.step > 100:
    ...         saved = run.checkpoint()
    ...         break
    >>> again = training_run(model, data)
    >>> again.resume(saved)
    """
    settings = settings_of(settings, {})
    if settings.distil and teacher is None:
        raise SpecError(
            "There is no network to learn from.",
            got=f"distil={settings.distil:g}",
            fix="Pass teacher=, the network as it was before pruning.",
        )
    return TrainingRun(model, train_and_test(data), masks or {}, settings, teacher=teacher)


def settings_of(settings: FineTuneSettings | None, options: Mapping[str, Any]) -> FineTuneSettings:
    """Return `settings` (None: the defaults) with single fields replaced.

    Raises
    ------
    SpecError
        If there is no such field, or a value is outside of its range.
    """
    if settings is not None and not isinstance(settings, FineTuneSettings):
        raise SpecError(
            "Settings are a FineTuneSettings.",
            got=type(settings).__name__,
            fix="Pass its fields by name: epochs=3, lr=0.01.",
        )
    try:
        return replace(settings or FineTuneSettings(), **options)
    except TypeError as error:
        raise SpecError(
            "There is no such setting.",
            expected=", ".join(FineTuneSettings.__dataclass_fields__),
            got=", ".join(options),
        ) from error


def fine_tune(
    model: nn.Module,
    data: Any,
    *,
    plan: PruningPlan | None = None,
    hold_zeros: bool = False,
    settings: FineTuneSettings | None = None,
    **options: Any,
) -> FineTuned:
    """Fine-tune a pruned copy of `model`; the model itself is not touched.

    Parameters
    ----------
    model
        The network that `plan` was made for.
    data
        `Data(train=..., test=...)`.
    plan
        What goes. Single weights are held at exactly zero, after every step; units are taken out
        first. None: nothing is pruned (the control that a pruned network is to be compared with).
    hold_zeros
        Whether weights of layers that are zero already stay so: for a network that was pruned
        before.
    settings, **options
        A `FineTuneSettings`, or its fields: ``epochs=3, lr=0.01, batch_size=128, seed=0``. With
        ``distil`` the model as it came is the teacher.

    Raises
    ------
    DataError
        If there are no training examples, or they do not fit the model.
    ModelError
        If all parameters are frozen, or the forward raises.
    NonFiniteError
        If the loss becomes NaN or infinite.
    SpecError
        If a setting is outside of its range.
    """
    settings = settings_of(settings, options)
    module, masks = trainable_copy(model, plan)
    if hold_zeros:
        graph = trace(model, train_and_test(data)[1].inputs[:1]) if plan is None else plan.graph
        masks = nonzero_weights(graph, module)
    steps = training_run(module, data, masks=masks, teacher=model, settings=settings).steps()
    before = evaluate(module, train_and_test(data)[1])
    history = [report for report in steps if report.measured]
    after = history[-1].evaluation
    assert after is not None, "the last report carries the evaluation"
    return FineTuned(module, tuple(history), before, after, masks)


def nonzero_weights(graph: ModelGraph, model: nn.Module) -> dict[str, Tensor]:
    """Return which weights of the layers of `model` may change: those that are not zero."""
    tensors = dict(model.named_parameters())
    return {layer.weight: tensors[layer.weight] != 0 for layer in graph.layers.values()}


def train_and_test(data: Any) -> tuple[Examples, Examples]:
    """Return training and test examples, checked; DataError if there are none to train on."""
    trusted = isinstance(data, Data) and all(
        isinstance(part, Examples) and part.count for part in (data.train, data.test)
    )
    data = data if trusted else as_data(data)
    if data.train is None:
        raise DataError(
            "There are no training examples to fine-tune on.",
            expected="Data with both parts",
            got="test examples only",
            fix="Pass Data(train=(inputs, targets), test=(inputs, targets)).",
        )
    return data.train, data.test
