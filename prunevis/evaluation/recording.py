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
from hashlib import blake2b
from itertools import count as count_up
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten

#: The key of a recording's input.
INPUT = "input"
#: Most bytes of a tensor that is no parameter or buffer: it is known by its content.
CONSTANT_BYTES = 4 * 1024**2
#: Operators whose results have shapes that depend on values, beyond those that torch tags so.
SHAPED_BY_VALUES = frozenset(
    {
        "aten::where",
        "aten::nonzero_numpy",
        "aten::tensor_split.tensor_indices_or_sections",
        "aten::repeat_interleave.self_Tensor",
        "aten::_pack_padded_sequence",
        "aten::_pad_packed_sequence",
    }
)
#: What a call may be given beside tensors and numbers.
PLAIN = (str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


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
    shapes
        Shape of each result, in the pass that was recorded.
    """

    key: Hashable
    operator: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    like_first: bool
    shapes: tuple[tuple[int, ...], ...] = ()

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


class Codes:
    """Whole numbers that stand for keys; no number is given twice, not even after `clear`."""

    def __init__(self) -> None:
        self._found: dict[Hashable, int] = {}
        self._next = count_up()

    def __len__(self) -> int:
        return len(self._found)

    def of(self, key: Hashable) -> int:
        """Return the number of `key`, a new one if it has none."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = next(self._next)
        return found

    def clear(self) -> None:
        """Forget all keys."""
        self._found.clear()


def record(
    run: Callable[[Tensor], Any],
    inputs: Tensor,
    names: Mapping[int, Hashable],
    codes: Codes,
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
    """The `Ref` of each tensor, and a count of the tensors that lie in the same memory."""

    def __init__(self) -> None:
        # weak: holds no activation in memory, and leaves nothing on tensors that a model caches
        self._found: Any = WeakTensorKeyDictionary()

    def get(self, tensor: Tensor) -> Ref | None:
        found = self._found.get(tensor)
        return None if found is None else found[0]

    def alias(self, tensor: Tensor) -> list[int]:
        return self._found[tensor][1]

    def put(self, tensor: Tensor, ref: Ref, alias: list[int]) -> None:
        alias[0] += 1
        self._found[tensor] = (ref, alias)

    def renew(self, tensor: Tensor, ref: Ref) -> None:
        self._found[tensor] = (ref, self.alias(tensor))


class _Recorder(TorchDispatchMode):
    def __init__(self, inputs: Tensor, names: Mapping[int, Hashable], codes: Codes) -> None:
        super().__init__()
        self.names, self.codes = names, codes
        self.seen = _Seen()
        self.inputs = inputs
        self.calls: list[Call] = []
        self.leaves: dict[Hashable, Tensor] = {}
        self.reason: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.reason is not None or func is aten.detach_.default:
            return func(*args, **kwargs)
        try:
            _check(func, args)
            call_args = swapped(args, Tensor, self._ref)
            call_kwargs = swapped(kwargs, Tensor, self._ref)
            operator, target = self._functional(func, args)
            key = self.codes.of((operator, _hashable(call_args), _hashable(call_kwargs)))
        except NotRecordable as error:
            self.reason = str(error)
            return func(*args, **kwargs)
        # some draw only if asked to (dropout within attention), so torch's own state decides
        may_draw = torch.Tag.nondeterministic_seeded in func.tags
        before = torch.get_rng_state() if may_draw else None
        result = func(*args, **kwargs)
        try:
            on_cpu = all(tensor.device.type == "cpu" for tensor in _tensors((args, result)))
            if before is not None and not (on_cpu and torch.equal(before, torch.get_rng_state())):
                raise NotRecordable(f"`{func}` draws random numbers")
            shapes = tuple(tuple(tensor.shape) for tensor in _tensors(result))
            like = bool(args) and _alike(args[0], result)
            call = Call(key, operator, call_args, call_kwargs, like, shapes)
            self._note(call, args, target, result)
        except NotRecordable as error:
            self.reason = str(error)
        return result

    def _ref(self, tensor: Tensor) -> Ref:
        found = self.seen.get(tensor)
        if found is not None:
            return found
        if tensor is self.inputs:
            return Ref(INPUT)
        key = self.names.get(id(tensor))
        if key is None:
            key = _constant(tensor)
        self.leaves.setdefault(key, tensor)
        return Ref(key)

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
        reshapes = torch.Tag.inplace_view in func.tags
        if found is None or reshapes or not isinstance(target, Tensor):
            raise NotRecordable(f"`{name}` writes into its arguments")
        if self.seen.get(target) is None or self.seen.alias(target)[0] > 1:
            raise NotRecordable(f"`{name}` writes into memory that is seen elsewhere")
        others = [t for t in _tensors(args[1:]) if t.dtype not in (torch.bool, target.dtype)]
        if others and short != "copy_":
            # the result of the other operator would have another type
            raise NotRecordable(f"`{name}` writes numbers of another type")
        return found, target

    def _note(self, call: Call, args: Any, target: Tensor | None, result: Any) -> None:
        if target is not None:
            self.calls.append(call)
            self.seen.renew(target, Ref(call.key))
            return
        given = _tensors(args)
        several = isinstance(result, (tuple, list))
        results = list(result) if several else [result]
        if not all(r is None or isinstance(r, Tensor) for r in results) or result is None:
            raise NotRecordable(f"`{call.operator}` gives a value that Python code can depend on")
        if not several and any(result is t for t in given):
            return  # dropout in evaluation mode, or a cast to what it is: nothing happened
        alias: list[int] | None = None
        for part, tensor in enumerate(results):
            if tensor is None:
                continue
            if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
                raise NotRecordable(f"`{call.operator}` gives a tensor that is not a plain one")
            if (tensor.is_floating_point() or tensor.is_complex()) and tensor.itemsize < 4:
                # rounding is then so coarse that another order of sums gives other answers
                raise NotRecordable("the forward computes in half precision")
            # results of one call may lie in one memory
            alias = self._shared(tensor, given) if alias is None else alias
            self.seen.put(tensor, Ref(call.key, part if several else None), alias)
        self.calls.append(call)

    def _shared(self, result: Tensor, given: list[Tensor]) -> list[int]:
        """Return the counter of tensors that lie in the memory of `result`."""
        place = result.untyped_storage()._cdata
        for tensor in given:
            if tensor.untyped_storage()._cdata == place:
                # a view of the inputs or of a parameter is never to be written into
                return [1] if self.seen.get(tensor) is None else self.seen.alias(tensor)
        return [0]


def _check(func: Any, args: Any) -> None:
    """Refuse operators whose result, or what Python sees of it, depends on values."""
    name = func._schema.name
    full = f"{name}.{func._schema.overload_name}".rstrip(".")
    if func is aten.resolve_neg.default:
        raise NotRecordable("the forward reads values of a tensor (`numpy()` or `tolist()`)")
    if func is aten.as_strided.default:
        raise NotRecordable("`aten::as_strided` depends on how values lie in memory")
    shaped = torch.Tag.dynamic_output_shape in func.tags or full in SHAPED_BY_VALUES
    if func is aten.index.Tensor:
        shaped = any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1:]))
    if shaped:
        raise NotRecordable(f"the shape of what `{full}` gives depends on values")
    if func is aten.batch_norm.default and args[5]:
        raise NotRecordable("a BatchNorm without running statistics mixes the examples of a batch")


def _constant(tensor: Tensor) -> Hashable:
    """Return a key for a tensor of unknown origin: its content."""
    plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout is torch.strided
    if not plain or tensor.is_quantized or tensor.is_nested:
        raise NotRecordable(f"a tensor of type {type(tensor).__name__} is no plain one")
    if tensor.nbytes > CONSTANT_BYTES:
        raise NotRecordable("a large tensor is neither parameter nor buffer")
    content = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    digest = blake2b(content.view(torch.uint8).numpy().tobytes(), digest_size=16).digest()
    return ("constant", tuple(tensor.shape), tensor.stride(), str(tensor.dtype), digest)


def _alike(a: Any, b: Any) -> bool:
    both = isinstance(a, Tensor) and isinstance(b, Tensor)
    return both and a.shape == b.shape and a.dtype == b.dtype


def _tensors(args: Any) -> list[Tensor]:
    found: list[Tensor] = []
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
    """Return arguments as something that tells 1, 1.0 and True apart, and 0.0 and -0.0."""
    if isinstance(what, (tuple, list)):
        return tuple(_hashable(item) for item in what)
    if isinstance(what, dict):
        return tuple((name, _hashable(item)) for name, item in sorted(what.items()))
    if isinstance(what, (bool, int, float, complex)):
        return (type(what).__name__, repr(what))
    if isinstance(what, (Ref, *PLAIN)):
        return what
    raise NotRecordable(f"a call is given a {type(what).__name__}")
