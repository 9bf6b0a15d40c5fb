"""Whether one recorded pass of a network says what every pass does.

A recording holds operators and shapes, not the Python code between them. So a network is looked at
once before any recording of it is believed: on two batches it must make the same calls and leave
its own attributes as they were, and an example's logits must not depend on the examples beside it.
What steers Python from values is refused while recording (`prunevis.evaluation.recording`). State
that is neither on the modules nor on their classes, and that two passes do not show, is not seen:
a forward that answers otherwise after the thousandth call, by a counter in a global variable.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks_of_all

from prunevis.evaluation.recording import NotRecordable, Recording

#: Largest difference that another batch may make to an example's logits, relative to the largest.
BESIDE = 1e-3
#: Most values that are compared; containers beyond are compared by their length.
MOST_VALUES = 50_000
#: Levels of objects within objects that are compared.
DEPTH = 6
#: Larger arrays are compared by their size.
ARRAY_BYTES = 1024**2
#: Attributes of every module in which hooks are kept: `hooked` sees those that matter.
HOOKS = frozenset(name for name in vars(nn.Module()) if "hooks" in name)
#: Why a network whose attributes differ after a pass is not recorded.
CHANGED = "the forward changes what the network remembers"


def doubts(model: nn.Module, inputs: Tensor, recorded: Callable[[Tensor], Recording]) -> str:
    """Return why recordings of a network cannot be trusted, "" if they can.

    Parameters
    ----------
    model
        In evaluation mode; called under `torch.inference_mode`.
    inputs
        Some examples, of which up to four are run.
    recorded
        Records `model` on a batch; equal keys for equal calls.
    """
    reason = hooked(model)
    if reason:
        return reason
    size = 2 if len(inputs) > 3 else 1
    one, other = inputs[:size].clone(), inputs[len(inputs) - size :].clone()
    try:
        model(one.clone())  # fills what it remembers from the first call on
        before = state_of(model)
        first, second = recorded(one.clone()), recorded(other.clone())
        if state_of(model) != before:
            return CHANGED
        if _calls(first) != _calls(second) or first.output != second.output:
            return "the forward does different things on different inputs"
        mixed = model(torch.cat([other[:1], one[size - 1 :]]))
    except NotRecordable as error:
        return str(error)
    except Exception as error:
        return f"the forward raised {type(error).__name__} on {size} examples"
    apart = torch.stack([second.value[0], first.value[-1]])
    if mixed.shape != apart.shape:
        return "the result is not one row for each example"
    scale = float(apart.abs().amax()) if apart.numel() else 0.0
    if not bool(((mixed - apart).abs() <= BESIDE * scale).all()):
        return "what the network gives for an example depends on those beside it"
    return ""


def hooked(model: nn.Module) -> str:
    """Return which forward hook must run with every pass, "" if there is none.

    A hook's operators would be recorded, but what else it does (print, collect) would happen once.
    """
    if hooks_of_all._global_forward_hooks or hooks_of_all._global_forward_pre_hooks:
        return "a forward hook is registered for all modules"
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return f"{name or 'the network'} has a forward hook"
    return ""


def state_of(model: nn.Module) -> Hashable:
    """Return something that differs if a pass has changed what the modules remember.

    Attributes of modules and of their classes, values of plain objects in them, versions of their
    tensors, and the random state of Python and NumPy.
    """
    looked = _Looked()
    kinds: set[type] = set()
    facts: list[Hashable] = []
    for module in model.modules():
        own = {name: value for name, value in vars(module).items() if name not in HOOKS}
        facts.append(looked.at(own, DEPTH))
        kinds |= {k for k in type(module).__mro__ if not k.__module__.startswith("torch.")}
    facts += [looked.at(vars(kind), 2) for kind in sorted(kinds - {object}, key=id)]
    # the state itself, as the generator that everybody shares has no other way to be read
    draws: Any = np.random.get_state()  # noqa: NPY002
    facts += [hash(random.getstate()), hash(draws[1].tobytes()), draws[2]]
    return tuple(facts)


class _Looked:
    """Looks at values, and into so many of them."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def at(self, value: Any, depth: int) -> Hashable:
        self.left -= 1
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            return type(value), repr(value) if isinstance(value, (float, complex)) else value
        if isinstance(value, Tensor):
            return id(value), None if value.is_inference() else value._version
        if isinstance(value, np.ndarray):
            small = value.nbytes <= ARRAY_BYTES and not value.dtype.hasobject
            return id(value), hash(value.tobytes()) if small else value.nbytes
        if isinstance(value, (Mapping, list, tuple, set, frozenset, deque)):
            if depth == 0 or len(value) > self.left:
                return id(value), len(value)
            if isinstance(value, Mapping):
                return tuple((self.at(k, 0), self.at(v, depth - 1)) for k, v in value.items())
            return tuple(self.at(item, depth - 1) for item in value)
        inner = getattr(value, "__dict__", None)
        if depth == 0 or inner is None or callable(value) or isinstance(value, nn.Module):
            return id(value)
        return id(value), self.at(inner, depth - 1)


def _calls(recording: Recording) -> list[Hashable]:
    return [(call.key, call.shapes) for call in recording.calls]
