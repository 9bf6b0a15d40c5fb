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
from torch.utils._python_dispatch import TorchDispatchMode

from prunevis.errors import PrunevisError, SpecError, TraceError
from prunevis.graph.atoms import Ids
from prunevis.graph.calls import Deadline
from prunevis.graph.checks import check_model
from prunevis.graph.coupling import Coupling
from prunevis.graph.examples import Example, tensors_in
from prunevis.graph.layers import FittedSize, LayerInfo, ModelGraph, TensorInfo
from prunevis.graph.placement import Placement
from prunevis.graph.points import find_points
from prunevis.graph.products import ATTENTIONS, Attention, resolve
from prunevis.graph.recorder import Recorder
from prunevis.graph.rules import find_rule
from prunevis.graph.state import untouched
from prunevis.graph.trying import Trial
from prunevis.graph.values import Value

#: Examples in the traced batch. With one, the batch could be mistaken for an axis of size 1.
BATCH = 2

#: Modules that count as layers, by whose weight they multiply.
LAYER_TYPES = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)


def trace(
    model: nn.Module,
    example_input: Any,
    *,
    batch_axis: int = 0,
    attention: Attention = "heads",
    time_limit: float = 60.0,
) -> ModelGraph:
    """Return the layers, channel groups and multiply-adds of a network.

    The forward runs once, in evaluation mode, on tensors without data, so that it takes neither
    the memory nor the time of a real run. The model is not changed.

    Parameters
    ----------
    model
        Any network. It may lie on any device, frozen or not.
    example_input
        One batch, or one example with its batch axis: a tensor, a tuple of what its forward takes,
        or a mapping of what it takes by name. Fractional numbers in it do not matter; whole numbers
        (of tokens) must be ones that the network knows.
    batch_axis
        Which axis counts the examples.
    attention
        What leaves attention layers where units are pruned: whole "heads", or the same
        "dimensions" of every head. Where one cannot leave the other may.
    time_limit
        Seconds after which tracing is given up; most networks take less than two.

    Raises
    ------
    SpecError
        If `attention` is neither of the two.
    ModelError
        If the network cannot be pruned as it is (see `prunevis.graph.checks.check_model`).
    NonFiniteError
        If a weight is NaN or infinite.
    TraceError
        If its forward raises, takes too long, or depends on the numbers in the input.
    """
    if attention not in ATTENTIONS:
        raise SpecError(
            "There is no such way to prune attention.",
            expected=" or ".join(map(repr, ATTENTIONS)),
            got=repr(attention),
        )
    check_model(model)
    example = Example.first_of(example_input, batch_axis)
    with torch.no_grad():
        # what a forward keeps on its modules is gone before a smaller copy is made
        with untouched(model):
            recorder, outputs, trial = _record(model, example, Deadline(time_limit))
        resolve(recorder.atoms, attention)
        coupling, sizes = trial.settle()
    return _graph(model, recorder, outputs, example, coupling, sizes, attention)


def _record(
    model: nn.Module, example: Example, deadline: Deadline
) -> tuple[Recorder, list[Value], Trial]:
    """Run the forward on fake tensors; return what was seen, the outputs, and how to run again."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    # exact sizes are wanted, and real tensors that hang on the model as plain attributes are met
    fake = FakeTensorMode(allow_non_fake_inputs=True, static_shapes=True)
    state: dict[str, Tensor] = {
        name: fake.from_tensor(tensor, static_shapes=True) for name, tensor in named.items()
    }
    device = next((tensor.device for tensor in named.values()), example.first.device)
    owners = {name: name.rpartition(".")[0] for name in named}
    recorder = Recorder(model, state, owners, find_rule, BATCH, deadline)

    def given(tensor: Tensor) -> Tensor:
        own = fake.from_tensor(tensor.to(device), static_shapes=True)
        shape = tuple(own.shape)
        value = Value((None,) * len(shape), shape, batched=True, origin="the model's input")
        value.examples = Placement() if example.batch_axis == 0 else None
        recorder.set_value(own, value)
        return own

    inputs = example.batch(given, BATCH)
    try:
        result = _run(model, fake, recorder, state, inputs)
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
            got=f"an example of shape {_one(tuple(example.first.shape), example.batch_axis)}",
            where=_where(model, error.__traceback__),
            fix="Pass an `example_input` of the shape that the model takes.",
        ) from error
    _follow_training(model, fake, recorder, state, inputs)
    outputs = [recorder.value(leaf) for leaf in tensors_in(result)]
    if not outputs:
        raise TraceError("The forward returned no tensor.", got=type(result).__name__)
    recorder.atoms.forget(recorder.unread(outputs))
    trial = Trial(
        model=model,
        recorder=recorder,
        state=state,
        run=lambda smaller, mode: _run(smaller, fake, mode, None, inputs),
        mode=fake,
        outputs=_reaching(recorder, outputs),
    )
    return recorder, outputs, trial


def _reaching(recorder: Recorder, outputs: list[Value]) -> Ids:
    """Return the atoms on the model's outputs, and mark the layers that they come from."""
    for value in outputs:
        for name in value.layers:
            recorder.layers[name].is_output = True
    reaching = [ids for value in outputs for ids in value.axes if ids is not None]
    return np.concatenate(reaching) if reaching else np.empty(0, dtype=np.int64)


def _run(
    model: nn.Module,
    fake: FakeTensorMode,
    mode: TorchDispatchMode,
    state: dict[str, Tensor] | None,
    inputs: tuple[tuple[Any, ...], dict[str, Any]],
) -> Any:
    # torch logs a stack of its own for a shape that does not fit; ours is one sentence
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with fake, mode:
            if state is None:
                return model(*inputs[0], **inputs[1])
            return functional_call(model, state, inputs[0], inputs[1])
    finally:
        log.setLevel(level)


def _follow_training(
    model: nn.Module,
    fake: FakeTensorMode,
    recorder: Recorder,
    state: dict[str, Tensor],
    inputs: tuple[tuple[Any, ...], dict[str, Any]],
) -> None:
    """Learn what layers read that only run in training (auxiliary heads), where there are any."""
    used = {draft.weight for draft in recorder.layers.values()}
    if not any(True for _ in _untraced(model, used)):
        return
    # a forward that cannot run in training mode has no more to tell
    with untouched(model, training=True), recorder.coupling_only(), suppress(Exception):
        _run(model, fake, recorder, state, inputs)


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
    model: nn.Module,
    recorder: Recorder,
    outputs: list[Value],
    example: Example,
    coupling: Coupling,
    sizes: tuple[FittedSize, ...],
    attention: Attention,
) -> ModelGraph:
    groups, of_layer = coupling.groups, coupling.of_layer
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
            weight_reason=draft.weight_reason
            or (
                None if weight.is_parameter else f"`{draft.weight}` is a buffer: it is not learned."
            ),
        )
    shape = tuple(example.first.shape)
    last = outputs[0].shape
    called = Counter(call.layer for call in recorder.calls)
    return ModelGraph(
        layers=layers,
        groups=groups,
        tensors=tensors,
        other_macs=recorder.other_macs,
        input_shape=_one(shape, example.batch_axis),
        num_outputs=last[-1] if len(outputs) == 1 and last else None,
        untraced=tuple(_untraced(model, {layer.weight for layer in layers.values()})),
        operators=tuple(str(call.func) for call in recorder.calls),
        points=find_points(recorder),
        input_dtype=example.first.dtype,
        batch_axis=example.batch_axis,
        calls={draft.name: draft.call for draft in recorder.layers.values()},
        repeated=frozenset(name for name, count in called.items() if name and count > 1),
        sizes=sizes,
        example=example,
        attention=attention,
    )


def _untraced(model: nn.Module, used: set[str]) -> Iterator[str]:
    """Yield the names of layers whose weight is not among those that a forward multiplied by."""
    known = dict(model.named_parameters(remove_duplicate=False))
    # a weight may be a buffer, which no layer of PyTorch's own has
    reached = {id(known[name]) for name in used if name in known}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, LAYER_TYPES) and id(weight) not in reached:
            yield name
