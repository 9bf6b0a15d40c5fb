"""Find out what a forward has hard-coded, by running it with one unit less of every group.

A rule sees what an operator does to the units, and not where the numbers in its arguments come
from. So the network is run once more on tensors without data, smaller by one unit of every group
that may be pruned, and every intermediate result is held against the shape it should have. Where
one differs or the forward raises, a number on the module may be what it needs (``num_heads``): such
numbers are changed as well and tried. What no number cures is refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prunevis.errors import ModelError
from prunevis.graph.atoms import Ids
from prunevis.graph.calls import Watch, counts, numbers_in, place_of
from prunevis.graph.coupling import Coupling, find_groups
from prunevis.graph.layers import FittedSize
from prunevis.graph.operators import MOVES, SAME
from prunevis.graph.recorder import Call, Recorder
from prunevis.graph.shrinking import positions_kept, shrunk
from prunevis.graph.state import untouched

#: Runs at most, whatever still fails then is refused without another try.
MOST_RUNS = 40

#: Attributes of one class that are tried together at most.
MOST_ATTRIBUTES = 5

#: Copies: they may come more or less often, as the layout of the tensors asks for.
_COPIES = SAME | {"contiguous", "copy", "empty", "empty_like", "new_empty", "empty_strided"}

#: Of the results of a call; None where it does not matter.
Shapes = list[tuple[int, ...] | None]


class _Follower(Watch):
    """Hold every result against the shape that it should have, and stop at the first other one.

    Copies are left out, and views may come more or less often.

    Parameters
    ----------
    expected
        Calls with the shapes of their results.
    modules
        Names of the smaller network's modules by their id.
    hidden
        Modules whose forward is another one in the smaller network.
    """

    def __init__(
        self, expected: list[tuple[Call, Shapes]], modules: dict[int, str], hidden: frozenset[str]
    ) -> None:
        super().__init__()
        self.expected, self.modules, self.hidden = expected, modules, hidden
        self.count = 0

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not counts(func) or (self.hidden and place_of(self.modules) in self.hidden):
            return func(*args, **kwargs)
        if _plain(func) in _COPIES or not self._align(func):
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        call, shapes = self.expected[self.count]
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        same = len(results) == len(shapes) and all(
            shape is None or shape == tuple(leaf.shape)
            for leaf, shape in zip(results, shapes, strict=True)
        )
        if not same:
            raise _OtherPathError
        if numbers_in(func, args, kwargs) != call.numbers:
            raise _OtherNumberError
        self.count += 1
        return result

    def _align(self, func: Any) -> bool:
        """Go on to the expected call that `func` is; False for a view that is one more."""
        name = _plain(func)
        while self.count < len(self.expected):
            wanted = _plain(self.expected[self.count][0].func)
            if wanted == name:
                return True
            if name in MOVES:
                return False
            if wanted not in MOVES:
                break
            self.count += 1
        if name in MOVES:
            return False
        self.count = min(self.count, len(self.expected) - 1)
        raise _OtherPathError

    @property
    def done(self) -> bool:
        """Whether nothing is left but views."""
        return all(_plain(call.func) in MOVES for call, _ in self.expected[self.count :])


def _plain(func: Any) -> str:
    name = func._opname.rstrip("_") if func._schema.is_mutable else func._opname
    return "view" if name in ("_unsafe_view", "reshape", "_reshape_copy") else name


class _OtherPathError(Exception):
    """An operator gave another shape than it should, or is another one."""


class _OtherNumberError(Exception):
    """An operator was given another number: forward computes with the number of units."""


@dataclass(eq=False, slots=True)
class Trial:
    """All that a try needs.

    Attributes
    ----------
    model, recorder
        The network, and its trace.
    state
        Its parameters and buffers without data, by dotted name.
    run
        Runs a network like `model` on the example without data, under a mode of one's own.
    mode
        In which tensors have no data.
    outputs
        Atoms that reach the model's outputs.
    """

    model: nn.Module
    recorder: Recorder
    state: dict[str, Tensor]
    run: Callable[[nn.Module, TorchDispatchMode], Any]
    mode: AbstractContextManager[Any]
    outputs: Ids
    _coupling: Coupling = field(init=False)
    # by class name and attribute: whether it follows what leaves
    _on: set[tuple[str, str]] = field(default_factory=set, init=False)
    _counts: bool = field(default=False, init=False)

    def settle(self) -> tuple[Coupling, tuple[FittedSize, ...]]:
        """Return the coupling with what is hard-coded refused, and the numbers that must follow."""
        self._coupling = find_groups(self.recorder, self.outputs)
        tried: dict[str, Iterator[set[str]]] = {}
        for _ in range(MOST_RUNS):
            self.recorder.deadline.check()
            failed = self._attempt()
            if failed is None:
                break
            kind = self.recorder.kinds[failed.place]
            if kind not in tried:
                tried[kind] = self._options(failed)
            option = next(tried[kind], None)
            self._on = {pair for pair in self._on if pair[0] != kind}
            if option is not None:
                self._on |= {(kind, attribute) for attribute in option}
                continue
            # nothing cures it: what the operator touches stays, and all may be tried anew
            failed = self._attempt() or failed
            self._refuse(failed)
            tried.pop(kind)
            self._coupling = find_groups(self.recorder, self.outputs)
        return self._coupling, tuple(self._sizes())

    def _leaving(self) -> tuple[dict[str, Tensor], np.ndarray]:
        """Return the units that stay in the try, by group, and by atom whether it leaves."""
        kept: dict[str, Tensor] = {}
        leaves = np.zeros(len(self._coupling.group_of), dtype=bool)
        for number, (name, group) in enumerate(self._coupling.groups.items()):
            if group.reason is not None:
                continue
            out = _spare_unit(group.members, group.size)
            if out is None:
                continue
            kept[name] = torch.tensor([k for k in range(group.size) if k != out])
            leaves |= (self._coupling.group_of == number) & (self._coupling.unit_of == out)
        return kept, leaves

    def _attempt(self) -> Call | None:
        """Run the smaller network; return the call at which it fails, or None."""
        kept, leaves = self._leaving()
        if not kept:
            return None
        hidden = self._hidden(leaves)
        calls = (
            call
            for call in self.recorder.calls
            if call.place not in hidden and _plain(call.func) not in _COPIES
        )
        expected = [(call, _shapes(call, leaves)) for call in calls]
        shapes = {name: list(tensor.shape) for name, tensor in self.state.items()}
        changed = set()
        for (name, axis), along in positions_kept(self._coupling.groups, kept).items():
            shapes[name][axis] = int(along.sum())
            changed.add(name)
        tensors = dict(self.state)
        with self.mode:
            for name in changed:
                tensors[name] = tensors[name].new_empty(shapes[name])
        try:
            smaller = shrunk(self.model, tensors, self._sizes(), kept)
        except ModelError:
            return None  # it is said where it matters: when a smaller copy is asked for
        modules = {id(m): name for name, m in reversed(list(smaller.named_modules()))}
        follower = _Follower(expected, modules, hidden)
        try:
            with untouched(smaller):
                self.run(smaller, follower)
        except Exception as error:  # whatever a forward raises, it does not run with these sizes
            ran, self._counts = False, isinstance(error, _OtherNumberError)
        else:
            ran = True
        if ran and follower.done:
            return None
        at = follower.count
        return expected[at][0] if at < len(expected) else self.recorder.calls[-1]

    def _hidden(self, leaves: np.ndarray) -> frozenset[str]:
        """Return attention modules of PyTorch's own that lose units, and what is in them.

        Their forward is replaced, so that its operators are other ones.
        """
        found = set()
        for name, module in self.model.named_modules():
            if type(module) is nn.MultiheadAttention:
                calls = (c for c in self.recorder.calls if c.place == name)
                inner = (v for call in calls for v in call.inputs if v.tensor is not None)
                if any(ids is not None and leaves[ids].any() for v in inner for ids in v.axes):
                    found.update(
                        f"{name}.{inner}".strip(".") for inner, _ in module.named_modules()
                    )
        return frozenset(found)

    def _options(self, failed: Call) -> Iterator[set[str]]:
        """Yield sets of attributes of the class in which a call failed, to be changed together.

        A number that counts only what leaves follows in any case. One that may as well count what
        stays (48 channels beside 4 heads of 12) does so only where it must.
        """
        _, leaves = self._leaving()
        arrays = self._arrays(failed.place, leaves)
        whole = self._whole(failed.place, leaves)
        module = self.model.get_submodule(failed.place)
        able = [(name, size) for name, size in _numbers(module) if size in arrays]
        sure = [name for name, size in able if size not in whole]
        open_ = [name for name, size in able if size in whole]
        for first, second in ((sure, open_), ([], [*sure, *open_])):
            second = second[:MOST_ATTRIBUTES]
            for count in range(0 if first else 1, len(second) + 1):
                for chosen in itertools.combinations(second, count):
                    yield {*first, *chosen}

    def _whole(self, place: str, leaves: np.ndarray) -> set[int]:
        """Return the lengths of axes of results in a module that lose nothing."""
        return {
            size
            for call in self.recorder.calls
            if call.place == place
            for value in (*call.inputs, *call.outputs)
            for ids, size in zip(value.axes, value.shape, strict=True)
            if ids is None or not leaves[ids].any()
        }

    def _arrays(self, place: str, leaves: np.ndarray | None = None) -> dict[int, Ids]:
        """Return axes of results in a module, by length: those that lose units where they can."""
        found: dict[int, Ids] = {}
        for call in self.recorder.calls:
            if call.place != place:
                continue
            for value in (*call.inputs, *call.outputs):
                for ids in value.axes:
                    if ids is not None and (leaves is None or leaves[ids].any()):
                        found.setdefault(len(ids), ids)
        return found

    def _sizes(self) -> Iterator[FittedSize]:
        """Yield the numbers that follow, of every module of the classes that they were found in."""
        _, leaves = self._leaving()
        hidden = self._hidden(leaves)
        classes = {kind for kind, _ in self._on}
        for name, module in self.model.named_modules():
            kind = self.recorder.kinds[name]
            if kind not in classes and name not in hidden:
                continue
            arrays = self._arrays(name, leaves)
            for attribute, size in _numbers(module):
                own = attribute in ("num_heads", "head_dim") and name in hidden
                if size in arrays and ((kind, attribute) in self._on or own):
                    units, rest = self._coupling.parts(arrays[size])
                    yield FittedSize(name, attribute, units, rest)

    def _refuse(self, failed: Call) -> None:
        """Block what leaves through a call, and through every call from the same line of code."""
        _, leaves = self._leaving()
        same = [
            call
            for call in self.recorder.calls
            if call is failed
            or (call.site is not None and call.site == failed.site and call.func is failed.func)
        ]
        blocked = False
        for call in same:
            reason = f"{call.here} uses a size that is hard-coded there: with one unit less it "
            reason += "does not run, or gives another shape."
            if self._counts:
                reason = f"{call.here} computes with the number of units, so each counts."
            blocked |= self._block([call], leaves, reason)
        if blocked:
            return
        # it fails where no unit passes, for instance where a forward counts its channels
        reason = f"Its forward does not run with one unit less; it fails at {failed.here}."
        around = [call for call in self.recorder.calls if call.place == failed.place]
        if not self._block(around, leaves, reason):
            self.recorder.atoms.block(np.flatnonzero(leaves), reason)

    def _block(self, calls: list[Call], leaves: np.ndarray, reason: str) -> bool:
        """Block what leaves through `calls`; return whether anything does."""
        found = [
            ids
            for call in calls
            for value in (*call.inputs, *call.outputs)
            for ids in value.axes
            if ids is not None and leaves[ids].any()
        ]
        for ids in found:
            self.recorder.atoms.block(ids, reason)
        return bool(found)


def _numbers(module: nn.Module) -> list[tuple[str, int]]:
    return [(k, v) for k, v in vars(module).items() if type(v) is int and v > 1]


def _spare_unit(members: Any, size: int) -> int | None:
    """Return a unit whose loss empties no tensor, or None."""
    for unit in range(size):
        if all(bool((m.units != unit).any()) for m in members):
            return unit
    return None


def _shapes(call: Call, leaves: np.ndarray) -> Shapes:
    """Return the shapes that the results of a call should have; None where it does not matter."""
    found: Shapes = []
    for number, value in enumerate(call.outputs):
        # constants fit whatever leaves, and what a normalisation keeps for its gradient is not read
        aside = value.uniform or (number > 0 and not value.followed)
        shape = (
            size if ids is None else size - int(leaves[ids].sum())
            for ids, size in zip(value.axes, value.shape, strict=True)
        )
        found.append(None if aside else tuple(shape))
    return found
