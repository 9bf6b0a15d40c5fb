"""Watch a forward pass operator by operator, and follow units through it.

`Recorder` is a `TorchDispatchMode`: it sees every ATen call of the forward with the tensors
themselves. So it follows user-written forwards, functional calls and reused modules alike, without
hooks and without changing the model. Tracing runs it over fake tensors, which have shapes and no
data; a *rule* for each operator says what becomes of the units on each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from prunevis.graph.atoms import Atoms, Ids
from prunevis.graph.calls import Deadline, Site, Watch, caller, counts, numbers_in
from prunevis.graph.operators import ACTIVATIONS
from prunevis.graph.placement import Placement
from prunevis.graph.values import Axes, Value, merged

#: What a call is to the units that pass through it (see `Call.kind`).
_PASSES_NORMS = ("norm", "same")


@dataclass(eq=False, slots=True)
class LayerDraft:
    """A layer as it becomes known while the forward runs; see `LayerInfo` for most fields.

    `out_axis` is the axis of the weight that computes units, `call` the number of the first call,
    `value_axis` the axis of its result that the units lie on, `units` their atoms.
    """

    name: str
    kind: str
    weight: str
    out_axis: int
    call: int
    value_axis: int
    units: Ids | None = None
    bias: str | None = None
    positions: int = 0
    norms: dict[str, None] = field(default_factory=dict)
    consumers: dict[str, None] = field(default_factory=dict)
    activation: str | None = None
    is_output: bool = False
    weight_reason: str | None = None


@dataclass(eq=False, slots=True)
class Call:
    """One operator call, as its rule sees it.

    Attributes
    ----------
    number
        Its index in `Recorder.calls`.
    name
        Of the operator, without namespace, overload and the underscore of in-place variants.
    place
        Dotted name of the innermost module whose forward runs.
    inputs
        Values of all tensors among the arguments, in order.
    outputs
        Values of all results, filled in when the rule has run.
    kind
        "layer", "norm", "activation", "add" (with anything), "same" (the same numbers: a copy),
        "view" (the same numbers in another shape), "part" (some of them, or several together) or
        "other". Set by the rule.
    layer
        Name of the layer that it is a call of, if it is one. Set by the rule.
    order
        For what moves axes: axis ``order[k]`` becomes axis k. Set by the rule.
    site
        The line of the module's forward that it comes from.
    numbers
        What it computes with besides tensors; see `numbers_in`.
    """

    recorder: Recorder
    number: int
    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str
    place: str
    results: list[Tensor]
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    kind: str = "other"
    layer: str | None = None
    order: list[int] | None = None
    site: Site | None = None
    numbers: list[float] = field(default_factory=list)

    @property
    def atoms(self) -> Atoms:
        """Of the trace."""
        return self.recorder.atoms

    @property
    def where(self) -> str:
        """The place in words: "`layer1.0`" or "the model's own forward"."""
        return f"`{self.place}`" if self.place else "the model's own forward"

    @property
    def here(self) -> str:
        """The operator and its place in words: "`aten.cumsum` in `head`"."""
        return f"`{self.func._schema.name.replace('::', '.')}` in {self.where}"

    @property
    def keeps_scale(self) -> bool:
        """Whether the smaller network scales attention as the whole one does, whatever leaves."""
        return self.recorder.kinds.get(self.place) == "MultiheadAttention"

    def arg(self, name: str) -> Any:
        """Return an argument by its name in the operator's schema; None if it has none such."""
        for index, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                if index < len(self.args):
                    return self.args[index]
                return self.kwargs.get(name, argument.default_value)
        return None

    def value(self, tensor: Tensor) -> Value:
        """Return what is known about a tensor."""
        return self.recorder.value(tensor)

    def block(self, ids: Ids | None, because: str) -> None:
        """Forbid removal of `ids`; the sentence begins with the operator and its place."""
        self.atoms.block(ids, f"{self.here} {because}")

    def block_all(self, because: str) -> None:
        """Forbid removal of every unit that any argument carries."""
        for value in self.inputs:
            for ids in value.axes:
                self.block(ids, because)

    def anchored(self, count: int, because: str) -> Ids:
        """Return atoms for positions that always stay."""
        ids = self.atoms.fresh(count)
        self.block(ids, because)
        return ids


#: Returns the axes of the first result, or a list with those of each. Results without are
#: not followed: the rule has then kept or blocked every unit that goes in.
Rule = Callable[[Call], "Axes | list[Axes]"]


class Recorder(Watch):
    """Record the calls of one forward and follow units through them.

    Parameters
    ----------
    model
        Whose forward is run while the mode is active.
    tensors
        Its parameters and buffers, or the fake ones that stand for them, by dotted name.
    owners
        Dotted name of the module that owns each of them.
    find_rule
        From a call to its rule.
    batch
        Number of examples in the traced batch.
    deadline
        Until when the forward has to be done.
    """

    def __init__(
        self,
        model: nn.Module,
        tensors: Mapping[str, Tensor],
        owners: Mapping[str, str],
        find_rule: Callable[[Call], Rule],
        batch: int,
        deadline: Deadline,
    ) -> None:
        super().__init__()
        self.atoms = Atoms()
        self.calls: list[Call] = []
        self.layers: dict[str, LayerDraft] = {}
        self.roles: dict[tuple[str, int], str] = {}
        self.owners, self.batch, self.other_macs = owners, batch, 0
        self.training, self.deadline = False, deadline
        self.modules = {id(m): name for name, m in reversed(list(model.named_modules()))}
        self.kinds = {name: type(m).__name__ for name, m in model.named_modules()}
        self._find_rule = find_rule
        # tensors are kept alive, so that an id is never given twice
        self._values: dict[int, tuple[Tensor, Value]] = {}
        self._names = {id(tensor): name for name, tensor in tensors.items()}
        self._bases: dict[int, int] = {}

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the operator and follow it."""
        result = func(*args, **kwargs)
        if counts(func):
            self.deadline.check()
            self._follow(func, args, kwargs, result)
        return result

    def value(self, tensor: Tensor) -> Value:
        """Return what is known about a tensor; parameters get atoms when they are first seen."""
        known = self._values.get(id(tensor))
        if known is not None:
            return known[1]
        shape = tuple(tensor.shape)
        name = self._names.get(id(tensor))
        if name is not None:
            axes = tuple(self.atoms.own(name, axis, size) for axis, size in enumerate(shape))
            value = Value(axes, shape, tensor=name, origin=f"`{name}`")
        else:
            origin = "a tensor that is neither a parameter nor a buffer"
            value = Value((None,) * len(shape), shape, origin=origin, uniform=not shape)
        self._values[id(tensor)] = (tensor, value)
        return value

    @contextmanager
    def coupling_only(self) -> Iterator[None]:
        """Follow a run in training mode for the ties that it adds, and for nothing else."""
        saved = self.calls, self.layers, self.other_macs
        self.calls, self.layers, self.training = [], {}, True
        try:
            yield
        finally:
            (self.calls, self.layers, self.other_macs), self.training = saved, False

    def set_value(self, tensor: Tensor, value: Value) -> None:
        """Say what is known about a tensor."""
        self._values[id(tensor)] = (tensor, value)

    def unread(self, outputs: list[Value]) -> set[int]:
        """Return the numbers of calls whose results no output depends on.

        Averaged attention weights that are thrown away are such results. What writes into a tensor
        counts as read.
        """
        live = {id(value) for value in outputs}
        dead = set()
        for call in reversed(self.calls):
            if call.func._schema.is_mutable or any(id(value) in live for value in call.outputs):
                live.update(id(value) for value in call.inputs)
            else:
                dead.add(call.number)
        return dead

    def _follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        name = func._schema.name.partition("::")[2]
        mutable = func._schema.is_mutable
        place, site = caller(self.modules)
        call = Call(
            recorder=self,
            number=len(self.calls),
            func=func,
            args=args,
            kwargs=kwargs,
            name=name.rstrip("_") if mutable else name,
            place=place,
            site=site,
            results=results,
            inputs=[self.value(leaf) for leaf in leaves],
            numbers=numbers_in(func, args, kwargs),
        )
        self.calls.append(call)
        for value in dict.fromkeys(call.inputs):
            value.readers.append(call.number)
        # what is learnt in training is not read by any output of this run
        self.atoms.call = None if self.training else call.number
        found = self._find_rule(call)(call)
        axes = found if isinstance(found, list) else [found]
        if call.layer is None:
            self._count_other(call, result)
        self._note_layers(call)
        for index, tensor in enumerate(results):
            shape = tuple(tensor.shape)
            own = axes[index] if index < len(axes) else (None,) * len(shape)
            value = self._result(call, own, shape)
            call.outputs.append(value)
            if mutable and leaves and tensor is leaves[0]:
                self._check_write(call, tensor, value)
            elif func.is_view and leaves:
                self._bases[id(tensor)] = self._bases.get(id(leaves[0]), id(leaves[0]))
            self.set_value(tensor, value)

    def _result(self, call: Call, axes: Axes, shape: tuple[int, ...]) -> Value:
        inputs = call.inputs
        batched = [value for value in inputs if value.batched]
        unfollowed = next((v.origin for v in inputs if not v.followed), None)
        fresh = (call.layer,) if call.layer is not None else None
        value = Value(
            axes,
            shape,
            layers=fresh or merged(v.layers for v in inputs),
            direct=fresh or (),
            batched=bool(batched),
            examples=self._examples(call, batched, shape),
            uniform=bool(inputs) and all(v.uniform for v in inputs) and call.kind != "other",
        )
        if fresh is None and call.kind in _PASSES_NORMS:
            value.direct = merged(v.direct for v in inputs)
        if call.kind in ("view", "same") and len(inputs) == 1:
            value.tensor = inputs[0].tensor
        if not batched:
            value.origin = unfollowed or "a tensor made in forward"
        elif unfollowed is not None and call.layer is None:
            value.origin = unfollowed
        return value

    def _examples(
        self, call: Call, batched: list[Value], shape: tuple[int, ...]
    ) -> Placement | None:
        """Return where the examples lie in a result of `shape`."""
        found = {value.examples for value in batched}
        placement = next(iter(found), None)
        # those that lie first may be several rows an example here, and one there
        if placement is None or not (len(found) == 1 or all(p and p.first for p in found)):
            return None
        if call.order is not None:
            return placement.moved(call.order)
        before = batched[0].shape
        if call.kind == "view" and len(call.inputs) == 1 and prod(shape) == prod(before):
            return placement.regrouped(before, shape, self.batch)
        if call.name in ("select", "unbind"):
            placement = placement.without(call.arg("dim") % len(before))
        if placement is None or placement.axis >= len(shape):
            return None
        size = shape[placement.axis]
        if placement.first:
            # whatever reads it: a forward that mixes examples cannot be told from one that does not
            return Placement(0, 1, size // self.batch) if size % self.batch == 0 else None
        kept = size == placement.outer * placement.inner * self.batch
        alike = call.name in ("select", "unbind", "mm", "addmm") or len(shape) == len(before)
        return placement if kept and alike else None

    def _note_layers(self, call: Call) -> None:
        """Tell the layers whose units arrive here what they meet."""
        for value in call.inputs:
            for name in value.layers:
                draft = self.layers[name]
                if call.layer is not None:
                    draft.consumers.setdefault(call.layer)
                elif call.kind == "activation" and draft.activation is None:
                    draft.activation = ACTIVATIONS.get(call.name, call.name)
            if call.kind == "norm":
                for name in value.direct:
                    self.layers[name].norms.setdefault(call.place)

    def _count_other(self, call: Call, result: Any) -> None:
        """Add the multiply-adds of an operator that is no layer."""
        count = flop_registry.get(call.func.overloadpacket)
        if count is not None:
            macs = int(count(*call.args, **call.kwargs, out_val=result)) // 2
        elif "query" in {argument.name for argument in call.func._schema.arguments}:
            # PyTorch's counter knows the fused attention of the GPU and not that of the processor
            query, key, value = (call.arg(name).shape for name in ("query", "key", "value"))
            macs = query.numel() * key[-2] + query[:-1].numel() * value[-2:].numel()
        else:
            return
        batched = any(value.batched for value in call.inputs)
        self.other_macs += macs // self.batch if batched else macs

    def _check_write(self, call: Call, tensor: Tensor, value: Value) -> None:
        """Let a tensor know what is written into a view of it; units cannot be written in part."""
        base = self._bases.get(id(tensor))
        if base is None:
            return
        whole = self._values[base][1]
        whole.batched |= value.batched
        whole.layers = merged((whole.layers, value.layers))
        for old, new in zip(self.value(tensor).axes, value.axes, strict=True):
            if old is None:
                call.block(new, "writes units into a part of a tensor that is not followed.")
