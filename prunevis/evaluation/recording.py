"""A forward pass as a list of operator calls that can be run again without the model's Python code.

`record` runs a network once on real inputs under a `TorchDispatchMode` and writes down each ATen
call. Every value gets a *key*: what was called on what. Two networks that begin with the same
weights share the keys, so what they have in common is found by looking at keys alone
(`prunevis.evaluation.program`). What cannot be written down faithfully (values that steer Python,
random numbers, writes into memory that others see) is refused with a reason; the caller then runs
the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: The key of a recording's input.
INPUT = "input"


class NotRecordable(Exception):
    """The forward does something that a list of calls cannot express; the message says what."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The key of a parameter or buffer.

    Attributes
    ----------
    name
        Dotted name in the network, or what it was computed from.
    cuts
        What it lost: (axis, layer or group, number removed), nothing for what is whole.
    """

    name: Hashable
    cuts: tuple[tuple[int, Hashable, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a value in the arguments of a call; `part` picks from a tuple of results."""

    key: Hashable
    part: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One operator call.

    Attributes
    ----------
    key
        Names its result: equal for equal operators on equal values.
    operator
        What is called.
    args, kwargs
        With a `Ref` in the place of each tensor.
    like_first
        Whether the result has shape and type of the first argument.
    """

    key: Hashable
    operator: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    like_first: bool

    def inputs(self) -> list[Ref]:
        """Return the values that the call reads."""
        found: list[Ref] = []
        swapped((self.args, tuple(self.kwargs.values())), Ref, lambda ref: found.append(ref) or ref)
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """The calls of one forward pass.

    Attributes
    ----------
    calls
        In order.
    leaves
        Tensors that were there before, by key: parameters, buffers, constants.
    output
        The result.
    value
        The result itself, of the pass that was recorded.
    """

    calls: tuple[Call, ...]
    leaves: Mapping[Hashable, Tensor] = field(repr=False)
    output: Ref
    value: Tensor = field(repr=False)


def record(
    run: Callable[[Tensor], Any],
    inputs: Tensor,
    names: Mapping[int, Hashable],
    codes: dict[Hashable, int],
) -> Recording:
    """Run a network once and write its calls down.

    Parameters
    ----------
    run
        From inputs (N, ...) to one tensor; in evaluation mode, under `torch.inference_mode`.
    inputs
        A batch; what is recorded holds for batches of this size.
    names
        Key of each parameter and buffer, by the tensor's ``id``: equal for equal contents.
    codes
        Shortens keys to whole numbers; recordings that are compared must share it.

    Raises
    ------
    NotRecordable
        If the calls cannot be written down faithfully.
    """
    recorder = _Recorder(inputs, names, codes)
    with recorder:
        value = run(inputs)
    if recorder.reason is not None:
        raise NotRecordable(recorder.reason)
    output = recorder.seen.get(value) if isinstance(value, Tensor) else None
    if output is None:
        raise NotRecordable("the result is not one tensor that was computed from the inputs")
    return Recording(tuple(recorder.calls), recorder.leaves, output, value)


class _Seen:
    """The `Ref` of each tensor, kept on the tensor itself, so that none is held in memory."""

    def __init__(self) -> None:
        self.mark = f"_prunevis_ref_{id(self)}"

    def get(self, tensor: Tensor) -> Ref | None:
        found = getattr(tensor, self.mark, None)
        return None if found is None else found[0]

    def alias(self, tensor: Tensor) -> list[int]:
        return getattr(tensor, self.mark)[1]

    def put(self, tensor: Tensor, ref: Ref, alias: list[int]) -> None:
        alias[0] += 1
        setattr(tensor, self.mark, (ref, alias))

    def renew(self, tensor: Tensor, ref: Ref) -> None:
        setattr(tensor, self.mark, (ref, self.alias(tensor)))


class _Recorder(TorchDispatchMode):
    def __init__(
        self, inputs: Tensor, names: Mapping[int, Hashable], codes: dict[Hashable, int]
    ) -> None:
        super().__init__()
        self.names, self.codes = names, codes
        self.seen = _Seen()
        self.inputs = inputs
        self.calls: list[Call] = []
        self.leaves: dict[Hashable, Tensor] = {}
        self.reason: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.reason is not None:
            return func(*args, **kwargs)
        try:
            call_args = swapped(args, Tensor, self._ref)
            call_kwargs = swapped(kwargs, Tensor, self._ref)
            operator, target = self._functional(func, args)
            key = self._code((operator, _hashable(call_args), _hashable(call_kwargs)))
        except (NotRecordable, TypeError) as error:
            self.reason = str(error)
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        try:
            like = bool(args) and _alike(args[0], result)
            call = Call(key, operator, call_args, call_kwargs, like)
            self._note(call, func, args, target, result)
        except NotRecordable as error:
            self.reason = str(error)
        return result

    def _ref(self, tensor: Tensor) -> Ref:
        found = self.seen.get(tensor)
        if found is not None:
            return found
        if tensor is self.inputs:
            return Ref(INPUT)
        name = self.names.get(id(tensor))
        # a tensor of unknown origin is a constant; held in `leaves`, its id stays its own
        key = ("constant", id(tensor)) if name is None else name
        self.leaves.setdefault(key, tensor)
        return Ref(key)

    def _code(self, key: Hashable) -> int:
        return self.codes.setdefault(key, len(self.codes))

    def _functional(self, func: Any, args: Any) -> tuple[Any, Tensor | None]:
        """Return the operator that gives what `func` writes, and the tensor it writes into."""
        if not func._schema.is_mutable:
            return func, None
        name = func._schema.name
        space, _, short = name.partition("::")
        target = args[0] if args else None
        packet = getattr(getattr(torch.ops, space), short[:-1], None)
        overload = func._schema.overload_name or "default"
        found = getattr(packet, overload, None) if short.endswith("_") else None
        if found is None or not isinstance(target, Tensor):
            raise NotRecordable(f"`{name}` writes into its arguments")
        if self.seen.get(target) is None or self.seen.alias(target)[0] > 1:
            raise NotRecordable(f"`{name}` writes into memory that is seen elsewhere")
        return found, target

    def _note(self, call: Call, func: Any, args: Any, target: Tensor | None, result: Any) -> None:
        if target is not None:
            self.calls.append(call)
            self.seen.renew(target, Ref(call.key))
            return
        given = [t for t in _tensors(args) if isinstance(t, Tensor)]
        if isinstance(result, Tensor):
            if any(result is t for t in given):
                return  # dropout in evaluation mode, or a cast to what it is: nothing happened
            parts = [(result, Ref(call.key))]
        elif isinstance(result, (tuple, list)) and all(
            r is None or isinstance(r, Tensor) for r in result
        ):
            parts = [(r, Ref(call.key, k)) for k, r in enumerate(result) if r is not None]
        else:
            raise NotRecordable(f"`{func}` gives a value that Python code can depend on")
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise NotRecordable(f"`{func}` draws random numbers")
        for tensor, ref in parts:
            self.seen.put(tensor, ref, self._shared(tensor, given))
        self.calls.append(call)

    def _shared(self, result: Tensor, given: list[Tensor]) -> list[int]:
        """Return the counter of tensors that lie in the memory of `result`."""
        for tensor in given:
            if tensor.layout is torch.strided and result.layout is torch.strided:
                same = result.untyped_storage()._cdata == tensor.untyped_storage()._cdata
                if same and self.seen.get(tensor) is not None:
                    return self.seen.alias(tensor)
                if same:
                    return [1]  # a view of the inputs or of a parameter: never to be written into
        return [0]


def _alike(a: Any, b: Any) -> bool:
    both = isinstance(a, Tensor) and isinstance(b, Tensor)
    return both and a.shape == b.shape and a.dtype == b.dtype


def _tensors(args: Any) -> list[Any]:
    found: list[Any] = []
    swapped(args, Tensor, lambda tensor: found.append(tensor) or tensor)
    return found


def swapped(what: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with everything of `kind` replaced."""
    if isinstance(what, kind):
        return change(what)
    if isinstance(what, list):
        return [swapped(item, kind, change) for item in what]
    if isinstance(what, tuple):
        return tuple(swapped(item, kind, change) for item in what)
    if isinstance(what, dict):
        return {name: swapped(item, kind, change) for name, item in what.items()}
    return what


def _hashable(what: Any) -> Hashable:
    """Return arguments as something that tells 1, 1.0 and True apart."""
    if isinstance(what, (tuple, list)):
        return tuple(_hashable(item) for item in what)
    if isinstance(what, dict):
        return tuple((name, _hashable(item)) for name, item in sorted(what.items()))
    if isinstance(what, (bool, int, float)):
        return (type(what).__name__, what)
    return what
