"""Opening a network: load, check, trace, measure as it came."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from prunevis.data import Data, as_data
from prunevis.errors import ModelError
from prunevis.evaluation import Evaluation, evaluate_steps
from prunevis.graph import trace
from prunevis.graph.cost import CostModel
from prunevis.session.state import Network, Stage, Status

if TYPE_CHECKING:
    from prunevis.session.controller import Controller

Source = Callable[[], tuple[nn.Module, Any, str, str]]


def open_network(
    controller: Controller, source: Source, example: Any
) -> Generator[None, None, None]:
    """Load what `source` gives, step by step, and hand it to the controller."""
    session = controller.session
    model, raw, name, label = source()
    yield
    session.status = Status("loading", "Reading the data")
    data = as_data(raw)
    yield
    session.status = Status("loading", "Tracing the network")
    graph = trace(model, data.test.inputs[:1] if example is None else example)
    yield
    own = private_copy(model, controller.device)
    yield
    baseline = None
    for progress in evaluate_steps(own, data.test):
        session.status = Status(
            "loading", "Measuring the network as it came", progress.seen, progress.total
        )
        baseline = progress.evaluation
        yield
    assert isinstance(baseline, Evaluation), "the last step carries the evaluation"
    stage = Stage(
        controller.next_stage_number(), "As it came", own, graph, CostModel(graph), baseline
    )
    controller.opened(Network(name, label, data, (stage,)))


def private_copy(model: nn.Module, device: str = "auto") -> nn.Module:
    """Return a copy in evaluation mode, without gradients, on `device`; the original is untouched.

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
    if device == "auto":
        first = next(own.parameters(), None)
        on_cpu = first is None or first.device.type == "cpu"
        device = "cuda" if on_cpu and torch.cuda.is_available() else ""
    return own.to(device) if device else own


def describe(data: Data, model: nn.Module, name: str) -> str:
    """Return a headline, e.g. "LeNet-5 on Fashion-MNIST, 10,000 test images"."""
    return name or type(model).__name__ + (f" on {data.name}" if data.name else "")
