"""See what a network is made of, from one run of its forward without data."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from prunevis.errors import PrunevisError, TraceError
from prunevis.graph.atoms import Ids
from prunevis.graph.checks import check_model
from prunevis.graph.coupling import find_groups
from prunevis.graph.layers import LayerInfo, ModelGraph, TensorInfo
from prunevis.graph.points import find_points
from prunevis.graph.recorder import Recorder
from prunevis.graph.rules import find_rule
from prunevis.graph.state import untouched
from prunevis.graph.values import Value

#: Examples in the traced batch. With one, the batch could be mistaken for an axis of size 1.
BATCH = 2

#: Modules that count as layers, by whose weight they multiply.
LAYER_TYPES = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)


def trace(model: nn.Module, example_input: Tensor, *, batch_axis: int = 0) -> ModelGraph:
    """Return the layers, channel groups and multiply-adds of a network.

    The forward runs once, in evaluation mode, on tensors without data, so that it takes neither
    the memory nor the time of a real run. The model is not changed.

    Parameters
    ----------
    model
        Any network whose forward takes one tensor. It may lie on any device, frozen or not.
    example_input
        One batch, or one example with its batch axis. Its numbers do not matter.
    batch_axis
        Which axis counts the examples.

    Raises
    ------
    ModelError
        If the network cannot be pruned as it is (see `prunevis.graph.checks.check_model`).
    NonFiniteError
        If a weight is NaN or infinite.
    TraceError
        If its forward raises, or depends on the numbers in the input.
    """
    check_model(model)
    example = _example(model, example_input, batch_axis)
    with torch.no_grad(), untouched(model):
        recorder, outputs = _record(model, example, batch_axis)
    return _graph(model, recorder, outputs, example, batch_axis)


def _example(model: nn.Module, example: Any, batch_axis: int) -> Tensor:
    """Return the first example twice, on the device of the model."""
    if not isinstance(example, Tensor):
        raise TraceError(
            "The example input is not a tensor.",
            expected="one batch as a tensor",
            got=type(example).__name__,
        )
    rank = example.dim()
    if rank == 0 or not -rank <= batch_axis < rank or example.shape[batch_axis] == 0:
        raise TraceError(
            "The example input holds no example.",
            expected=f"at least one along axis {batch_axis}",
            got=f"shape {tuple(example.shape)}",
        )
    first = example.detach().narrow(batch_axis, 0, 1)
    device = next((t.device for t in (*model.parameters(), *model.buffers())), example.device)
    return torch.cat([first] * BATCH, dim=batch_axis).to(device)


def _record(model: nn.Module, example: Tensor, batch_axis: int) -> tuple[Recorder, list[Value]]:
    """Run the forward on fake tensors and return what was seen, and the model's outputs."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    # exact sizes are wanted, and real tensors that hang on the model as plain attributes are met
    fake = FakeTensorMode(allow_non_fake_inputs=True, static_shapes=True)
    state: dict[str, Tensor] = {
        name: fake.from_tensor(tensor, static_shapes=True) for name, tensor in named.items()
    }
    x = fake.from_tensor(example, static_shapes=True)
    owners = {name: name.rpartition(".")[0] for name in named}
    recorder = Recorder(model, state, owners, find_rule, BATCH)
    shape = tuple(x.shape)
    recorder.set_value(
        x,
        Value(
            (None,) * len(shape),
            shape,
            batched=True,
            batch_first=batch_axis % len(shape) == 0,
            origin="the model's input",
        ),
    )
    try:
        result = _run(model, recorder, fake, state, x)
    except PrunevisError:
        raise
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise TraceError(
            "The forward depends on the numbers in its input, not only on their shape.",
            got=f"`{error.func}`",
            where=_where(model, error.__traceback__),
            fix="Take `.item()` and `if tensor:` out of forward.",
        ) from error
    except UnsupportedOperatorException as error:
        raise TraceError(
            f"The operator `{error.func}` cannot be run without data.",
            where=_where(model, error.__traceback__),
            fix="Register a fake implementation for it (torch.library.register_fake).",
        ) from error
    except Exception as error:
        text = str(error).strip().splitlines()
        raise TraceError(
            f"The forward pass raised {type(error).__name__}: {text[0] if text else 'no message'}",
            got=f"an example of shape {_one(shape, batch_axis)}",
            where=_where(model, error.__traceback__),
            fix="Pass an `example_input` of the shape that the model takes.",
        ) from error
    _follow_training(model, recorder, fake, state, x)
    outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    if not outputs:
        raise TraceError("The forward returned no tensor.", got=type(result).__name__)
    return recorder, [recorder.value(leaf) for leaf in outputs]


def _run(
    model: nn.Module, recorder: Recorder, fake: FakeTensorMode, state: dict[str, Tensor], x: Tensor
) -> Any:
    # torch logs a stack of its own for a shape that does not fit; ours is one sentence
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with fake, recorder:
            return functional_call(model, state, (x,))
    finally:
        log.setLevel(level)


def _follow_training(
    model: nn.Module, recorder: Recorder, fake: FakeTensorMode, state: dict[str, Tensor], x: Tensor
) -> None:
    """Learn what layers read that only run in training (auxiliary heads), where there are any."""
    used = {draft.weight for draft in recorder.layers.values()}
    if not any(True for _ in _untraced(model, used)):
        return
    # a forward that cannot run in training mode has no more to tell
    with untouched(model, training=True), recorder.coupling_only(), suppress(Exception):
        _run(model, recorder, fake, state, x)


def _one(shape: tuple[int, ...], batch_axis: int) -> tuple[int, ...]:
    """Return a shape without its batch axis."""
    axis = batch_axis % len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _where(model: nn.Module, trace_back: TracebackType | None) -> str | None:
    """Return the innermost submodule in whose forward an exception arose, in words."""
    names = {id(module): name for name, module in model.named_modules()}
    found = None
    for frame, _ in traceback.walk_tb(trace_back):
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and id(module) in names:
            found = module
    if found is None:
        return None
    words = repr(found).splitlines()[0].rstrip("(")
    return f"`{names[id(found)]}`, {words}" if names[id(found)] else words


def _graph(
    model: nn.Module, recorder: Recorder, outputs: list[Value], example: Tensor, batch_axis: int
) -> ModelGraph:
    for value in outputs:
        for name in value.layers:
            recorder.layers[name].is_output = True
        if value.grid is not None:
            recorder.atoms.block(value.grid.ids, value.grid.reason)
    reaching = [ids for value in outputs for ids in value.axes if ids is not None]
    ids: Ids = np.concatenate(reaching) if reaching else np.empty(0, dtype=np.int64)
    groups, of_layer = find_groups(recorder, ids)
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {
        name: TensorInfo(name, tuple(t.shape), name in parameters, t.element_size())
        for name, t in (*model.named_parameters(), *model.named_buffers())
    }
    layers: dict[str, LayerInfo] = {}
    for draft in recorder.layers.values():
        weight = tensors[draft.weight]
        group = groups.get(of_layer.get(draft.name, ""))
        layers[draft.name] = LayerInfo(
            name=draft.name,
            kind=draft.kind,
            weight=draft.weight,
            bias=draft.bias,
            weight_shape=weight.shape,
            num_units=0 if draft.units is None else len(draft.units),
            positions=draft.positions,
            macs=draft.positions * weight.numel,
            num_params=weight.numel + (tensors[draft.bias].numel if draft.bias else 0),
            group=group.name if group else None,
            norms=tuple(draft.norms),
            consumers=tuple(draft.consumers),
            activation=draft.activation,
            is_output=group.is_output if group else draft.is_output,
            reason=group.reason if group else "Its units are not followed.",
            weight_reason=draft.weight_reason,
        )
    shape = tuple(example.shape)
    last = outputs[0].shape
    called = Counter(call.layer for call in recorder.calls)
    return ModelGraph(
        layers=layers,
        groups=groups,
        tensors=tensors,
        other_macs=recorder.other_macs,
        input_shape=_one(shape, batch_axis),
        num_outputs=last[-1] if len(outputs) == 1 and last else None,
        untraced=tuple(_untraced(model, {layer.weight for layer in layers.values()})),
        operators=tuple(str(call.func) for call in recorder.calls),
        points=find_points(recorder),
        input_dtype=example.dtype,
        batch_axis=batch_axis % len(shape),
        calls={draft.name: draft.call for draft in recorder.layers.values()},
        repeated=frozenset(name for name, count in called.items() if name and count > 1),
    )


def _untraced(model: nn.Module, used: set[str]) -> Iterator[str]:
    """Yield the names of layers whose weight is not among those that a forward multiplied by."""
    known = dict(model.named_parameters(remove_duplicate=False))
    reached = {id(known[name]) for name in used}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, LAYER_TYPES) and id(weight) not in reached:
            yield name
