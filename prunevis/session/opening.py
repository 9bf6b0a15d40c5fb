"""Opening a network: load, check, trace; then measure it as it came."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from prunevis.data import as_data
from prunevis.errors import ModelError
from prunevis.evaluation import evaluate_steps
from prunevis.graph import trace
from prunevis.graph.cost import CostModel
from prunevis.session.state import Network, Stage, Status

if TYPE_CHECKING:
    from prunevis.session.controller import Controller

Source = Callable[[], tuple[nn.Module, Any, str, str]]


def open_network(
    controller: Controller, source: Source, example: Any
) -> Generator[None, None, None]:
    """Load what `source` gives, which is then the session's own, and hand it to the controller."""
    session = controller.session
    model, raw, name, label = source()
    session.status = Status("loading", "Reading the data")
    yield
    data = as_data(raw)
    session.status = Status("loading", "Tracing the network")
    yield
    graph = trace(model, data.test.inputs[:1] if example is None else example)
    yield
    own = on_device(model, controller.device)
    stage = Stage(controller.next_stage_number(), "As it came", own, graph, CostModel(graph), None)
    controller.opened(Network(name, label, data, (stage,)))


def measure_baseline(controller: Controller) -> Generator[None, None, None]:
    """Measure the network as it came: what all later figures are compared with."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    for progress in evaluate_steps(stage.model, data.test):
        session.status = Status(
            "busy", "Measuring the network as it came", progress.seen, progress.total
        )
        if progress.evaluation is not None:
            controller.baseline_measured(stage, progress.evaluation)
        yield


def private_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, without gradients; the original is untouched.

    Raises
    ------
    ModelError
        If the model cannot be copied.
    """
    try:
        own = copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            "The model cannot be copied, so it could not be pruned without changing it.",
            got=f"{type(error).__name__}: {error}",
            fix="Make copy.deepcopy(model) work: detach tensors that are kept as attributes.",
        ) from error
    for module in own.modules():
        module.training = False
    for parameter in own.parameters():
        parameter.grad = None
    return own


def on_device(model: nn.Module, device: str) -> nn.Module:
    """Return `model` moved to `device`; "auto" is a GPU if there is one and nothing else is set."""
    if device == "auto":
        first = next(model.parameters(), None)
        on_cpu = first is None or first.device.type == "cpu"
        return model.to("cuda") if on_cpu and torch.cuda.is_available() else model
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"The model cannot be moved to the device {device!r}.",
            got=str(error).splitlines()[0],
            fix='Pass device="auto" or "cpu".',
        ) from error
