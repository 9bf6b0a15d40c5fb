"""Several networks run as one list of calls, in which what they share is computed once.

Pruned versions of a network begin alike: at neighbouring slider positions most layers have lost the
same weights or units. Their recordings are merged by key, so every shared value is computed once a
batch, however many networks read it, and is dropped after its last reader. Values that come before
anything that was pruned are *pure*: those of them that pruned layers read (the *frontier*) can be
kept from one program to the next, and then nothing before them is run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prunevis.evaluation.recording import INPUT, Call, Leaf, Recording, Ref, swapped
from prunevis.evaluation.rewriting import LAYERS

aten = torch.ops.aten

#: Operators that may write into their first argument if nobody reads it afterwards.
IN_PLACE: dict[Any, Any] = {
    aten.relu.default: aten.relu_.default,
    aten.add.Tensor: aten.add_.Tensor,
}
#: Operators whose results share no memory with anything else.
FRESH = frozenset({*LAYERS, aten.batch_norm.default, aten.index_select.default, *IN_PLACE})

Values = dict[Hashable, Any]
#: By network: key, what computes it, and the keys that nobody reads afterwards.
Schedule = list[list[tuple[Hashable, Callable[[Values], Any], list[Hashable]]]]


class Program:
    """Networks that run together on batches of one size.

    Parameters
    ----------
    recordings
        Made with the same `codes`; what has the same key is computed once.
    prepare
        Called on each leaf (parameter, buffer or constant) once: how it should lie in memory.
    alternatives
        Functions to call in place of operators.

    Attributes
    ----------
    frontier
        Keys of the pure values that pruned parts read, if computing them takes a layer.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        prepare: Callable[[Tensor], Tensor] = lambda leaf: leaf,
        alternatives: Mapping[Any, Callable[..., Any]] | None = None,
    ) -> None:
        self.outputs = [recording.output for recording in recordings]
        self.leaves: Values = {}
        calls: dict[Hashable, Call] = {}
        ends: list[int] = []
        for recording in recordings:
            for key, leaf in recording.leaves.items():
                if key not in self.leaves:
                    self.leaves[key] = prepare(leaf)
            for call in recording.calls:
                calls.setdefault(call.key, call)
            ends.append(len(calls))
        owner = _owners(calls, ends)
        pure = _pure(calls, self.leaves)
        self.frontier = _frontier(calls, pure, self.outputs)
        self._alternatives = alternatives or {}
        self._whole = self._schedule(calls, owner)
        rest = {key: call for key, call in calls.items() if key not in pure}
        self._rest = self._schedule(rest, owner) if self.frontier else self._whole

    def run(
        self,
        inputs: Tensor,
        kept: Mapping[Hashable, Tensor] | None = None,
        found: dict[Hashable, Tensor] | None = None,
    ) -> Generator[Tensor, None, None]:
        """Yield the result of each network in turn; under `torch.inference_mode`.

        Parameters
        ----------
        inputs
            A batch of the size that was recorded.
        kept
            The frontier's values on this batch, from an earlier run; then only the rest is run.
        found
            Filled with the frontier's values.
        """
        values: Values = {**self.leaves, INPUT: inputs, **(kept or {})}
        for steps, output in zip(self._rest if kept else self._whole, self.outputs, strict=True):
            for key, step, dead in steps:
                values[key] = step(values)
                if found is not None and key in self.frontier:
                    found[key] = values[key]
                for gone in dead:
                    del values[gone]
            yield _value(values, output)

    def _schedule(self, calls: Mapping[Hashable, Call], owner: Mapping[Hashable, int]) -> Schedule:
        """Return, network by network, what to run and what to drop after each call."""
        last: dict[Hashable, int] = {}
        for place, (key, call) in enumerate(calls.items()):
            last[key] = place
            for ref in call.inputs():
                last[ref.key] = place
        # results are read by whoever runs the program: they stay
        for output in self.outputs:
            last.pop(output.key, None)
        plan: Schedule = [[] for _ in self.outputs]
        readers: dict[Hashable, list[Any]] = {}
        for call in calls.values():
            for ref in call.inputs():
                readers.setdefault(ref.key, []).append(call.operator)
        for place, (key, call) in enumerate(calls.items()):
            ends = {ref.key for ref in call.inputs()} | {key}
            dead = [k for k in ends if k not in self.leaves and last.get(k) == place]
            operator = self._alternatives.get(call.operator, call.operator)
            if self._may_overwrite(call, calls, readers, dead):
                operator = IN_PLACE[call.operator]
            plan[owner[key]].append(
                (key, _compiled(call, operator), [d for d in dead if d != INPUT])
            )
        return plan

    def _may_overwrite(
        self,
        call: Call,
        calls: Mapping[Hashable, Call],
        readers: Mapping[Hashable, list[Any]],
        dead: list[Hashable],
    ) -> bool:
        """Whether the call can write its result over its first argument, which nobody else needs.

        Nobody reads it later, neither itself nor a view of it, and it is not kept.
        """
        first = call.args[0] if call.args else None
        if call.operator not in IN_PLACE or not isinstance(first, Ref) or first.part is not None:
            return False
        maker = calls.get(first.key)
        fresh = maker is not None and maker.operator in FRESH
        unseen = all(operator in FRESH for operator in readers[first.key])
        once = sum(ref.key == first.key for ref in call.inputs()) == 1
        gone = first.key in dead and first.key not in self.frontier
        return once and fresh and unseen and call.like_first and gone


def _owners(calls: Mapping[Hashable, Call], ends: list[int]) -> dict[Hashable, int]:
    """Return which network, the first that needs it, computes each value."""
    owner: dict[Hashable, int] = {}
    network = 0
    for place, key in enumerate(calls):
        while place >= ends[network]:
            network += 1
        owner[key] = network
    return owner


def _pure(calls: Mapping[Hashable, Call], leaves: Values) -> set[Hashable]:
    """Return the values that nothing which was pruned has gone into."""
    pure: set[Hashable] = {INPUT}
    pure |= {key for key in leaves if not (isinstance(key, Leaf) and key.cuts)}
    for key, call in calls.items():
        if all(ref.key in pure for ref in call.inputs()):
            pure.add(key)
    return pure - {INPUT} - leaves.keys()


def _frontier(
    calls: Mapping[Hashable, Call], pure: set[Hashable], outputs: list[Ref]
) -> frozenset[Hashable]:
    """Return the pure values that others read; none if a single one of them cannot be kept."""
    read = {r.key for key, call in calls.items() if key not in pure for r in call.inputs()}
    found = (read | {output.key for output in outputs}) & pure
    heavy: set[Hashable] = set()
    for key, call in calls.items():
        if key in pure and (call.operator in LAYERS or any(r.key in heavy for r in call.inputs())):
            heavy.add(key)
    return frozenset(found) if found and found <= heavy else frozenset()


def _compiled(call: Call, operator: Callable[..., Any]) -> Callable[[Values], Any]:
    """Return a function that makes the call with what it reads taken from values."""
    plain = [isinstance(arg, Ref) and arg.part is None for arg in call.args]
    kwargs = dict(call.kwargs)
    inner = [arg for arg, is_plain in zip(call.args, plain, strict=True) if not is_plain]
    has_more = bool(Call(None, operator, tuple(inner), kwargs, False).inputs())
    if not has_more:
        template = list(call.args)
        where = [(i, arg.key) for i, arg in enumerate(call.args) if plain[i]]

        def simple(values: Values) -> Any:
            args = template.copy()
            for place, key in where:
                args[place] = values[key]
            return operator(*args, **kwargs)

        return simple

    def general(values: Values) -> Any:
        def look(ref: Ref) -> Any:
            return _value(values, ref)

        return operator(*swapped(call.args, Ref, look), **swapped(kwargs, Ref, look))

    return general


def _value(values: Mapping[Hashable, Any], ref: Ref) -> Any:
    found = values[ref.key]
    return found if ref.part is None else found[ref.part]
