"""Opening a network: load, check, trace; then measure it as it came."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from prunevis.data import Data, as_data
from prunevis.errors import ModelError, PrunevisError
from prunevis.graph import trace
from prunevis.graph.cost import costs_of
from prunevis.graph.layers import ModelGraph
from prunevis.graph.products import Attention
from prunevis.pruning.removal import remove_units
from prunevis.session.state import Network, Stage, Status

if TYPE_CHECKING:
    from prunevis.session.adjusting import Adjusting
    from prunevis.session.staging import Staging

Source = Callable[[], tuple[nn.Module, Any, str, str]]


def open_network(controller: Staging, source: Source, example: Any) -> Generator[None, None, None]:
    """Load what `source` gives, which is then the session's own, and hand it to the controller."""
    session = controller.session
    model, raw, name, label = source()
    session.status = Status("loading", "Reading the data")
    yield
    data = as_data(raw)
    session.status = Status("loading", "Tracing the network")
    yield
    own_example = data.test.inputs[:1] if example is None else example
    graph = trace(model, own_example, attention=cast(Attention, controller.attention))
    yield
    graph = yield from checked_units(model, graph)
    yield
    own = on_device(model, controller.device)
    costs = costs_of(own, graph)
    stage = Stage(controller.next_stage_number(), "As it came", own, graph, costs, None)
    controller.opened(Network(name, label, data, (stage,)))


def traced_again(model: nn.Module, graph: ModelGraph, data: Data) -> ModelGraph:
    """Return the graph of a network that has become smaller, traced as `graph` was."""
    return trace(model, data.test.inputs[:1], attention=cast(Attention, graph.attention))


def measure_baseline(controller: Adjusting) -> Generator[None, None, None]:
    """Measure the network as it came: what all later figures are compared with."""
    session = controller.session
    stage, data = session.network.stage, session.network.data
    steps = controller.instruments.baseline_steps(stage, data)
    while True:
        try:
            found = next(steps)
        except StopIteration as stop:
            controller.baseline_measured(stage, stop.value)
            return
        seen = 0 if found is None else found.seen
        text = "Measuring the network as it came"
        session.status = Status("busy", text, seen, data.test.count)
        yield


def checked_units(model: nn.Module, graph: ModelGraph) -> Generator[None, None, ModelGraph]:
    """Return `graph` with a reason at each group whose units cannot really be taken out.

    A size that is written into a forward (`view(-1, 400)`) cannot be seen in a trace, so it is
    found by trying: one unit of every group at once and, only if that fails, group by group, with a
    yield after each.
    """
    free = [g for g in graph.groups.values() if g.reason is None and g.size > 1]
    kept = {group.name: torch.arange(1, group.size) for group in free}
    if not kept or _fails(model, graph, kept) is None:
        return graph
    reasons: dict[str, str] = {}
    for name, units in kept.items():
        yield
        reason = _fails(model, graph, {name: units})
        if reason is not None:
            reasons[name] = reason
    groups = {
        name: replace(group, reason=reasons[name]) if name in reasons else group
        for name, group in graph.groups.items()
    }
    layers = {
        name: replace(layer, reason=reasons[layer.group]) if layer.group in reasons else layer
        for name, layer in graph.layers.items()
    }
    return replace(graph, groups=groups, layers=layers)


def _fails(model: nn.Module, graph: ModelGraph, kept: dict[str, Tensor]) -> str | None:
    """Return why the network does not run without these units, or None if it does."""
    try:
        remove_units(model, graph, kept)
    except PrunevisError as error:
        return error.problem
    return None


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
