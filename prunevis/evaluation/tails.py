"""A network from where a group of units is read, run again and again without one of them.

What no layer reads is not there: a unit is taken out by zeroing the columns that read it. All that
comes before is the same for every unit of the group, so it is computed once a batch and only the
rest, the *tail*, is run for each unit. Where a normalisation spans the units this is not what
removal gives; whoever uses a tail compares the two (`prunevis.evaluation.unit_losses`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from torch import Tensor

from prunevis.evaluation.program import Program
from prunevis.evaluation.recording import Call, Leaf, NotRecordable, Recording, Ref, swapped
from prunevis.graph.layers import ChannelGroup


class Tail:
    """A recorded network in which the columns that read one group can be zeroed.

    Parameters
    ----------
    recording
        Of the whole network, on a batch of the size that will be run.
    group
        Whose units are taken out, one at a time.

    Raises
    ------
    NotRecordable
        If a tensor that reads the group is not among what was recorded.
    """

    def __init__(self, recording: Recording, group: ChannelGroup) -> None:
        readers: dict[str, list[tuple[int, Tensor]]] = {}
        for member in group.members:
            if member.role == "consumer":
                readers.setdefault(member.tensor, []).append((member.axis, member.units))
        derived, self._keys = _marked(recording, group.name, readers)
        self._program = Program([derived])
        self._whole = {key: self._program.leaves[key] for key in self._keys}
        # a copy to write into: what the network itself reads is never touched
        self._work = {key: leaf.clone() for key, leaf in self._whole.items()}
        self._axes = {key: readers[name] for key, name in self._keys.items()}
        for key, leaf in self._work.items():
            self._program.leaves[key] = leaf
        self._kept: dict[Hashable, Tensor] | None = None

    def start(self, inputs: Tensor) -> Tensor:
        """Return the logits of the whole network, and keep what the tail begins with."""
        found: dict[Hashable, Tensor] = {}
        (logits,) = self._program.run(inputs, None, found)
        self._inputs, self._kept = inputs, found or None
        return logits

    def without(self, unit: int) -> Tensor:
        """Return the logits of the same batch without a unit; after `start`."""
        for key, axes in self._axes.items():
            for axis, units in axes:
                self._work[key].index_fill_(axis, (units == unit).nonzero()[:, 0], 0.0)
        try:
            (logits,) = self._program.run(self._inputs, self._kept)
        finally:
            for key, axes in self._axes.items():
                for axis, units in axes:
                    where = (units == unit).nonzero()[:, 0]
                    before = self._whole[key].index_select(axis, where)
                    self._work[key].index_copy_(axis, where, before)
        return logits


def _marked(
    recording: Recording, group: str, readers: dict[str, list[tuple[int, Tensor]]]
) -> tuple[Recording, dict[Leaf, str]]:
    """Return `recording` with new keys for `readers` and all that follows from them.

    The keys say that something is cut there, so that a program knows where its tail begins.
    """
    new: dict[Hashable, Hashable] = {}
    leaves: dict[Hashable, Tensor] = {}
    keys: dict[Leaf, str] = {}
    for key, leaf in recording.leaves.items():
        if isinstance(key, Leaf) and key.name in readers and not key.cuts:
            name = str(key.name)
            cuts = tuple((axis, group, 1) for axis, _ in readers[name])
            marked = new[key] = Leaf(name, cuts)
            keys[marked] = name
            leaves[marked] = leaf.detach()
        else:
            leaves[key] = leaf
    missing = readers.keys() - set(keys.values())
    if missing or not readers:
        raise NotRecordable(f"nothing that reads `{group}` was recorded as a whole tensor")

    def renamed(what: Any) -> Any:
        return swapped(what, Ref, lambda ref: replace(ref, key=new.get(ref.key, ref.key)))

    calls: list[Call] = []
    for call in recording.calls:
        if any(ref.key in new for ref in call.inputs()):
            new[call.key] = ("without a unit", call.key)
            args, kwargs = renamed(call.args), renamed(dict(call.kwargs))
            call = replace(call, key=new[call.key], args=args, kwargs=kwargs)
        calls.append(call)
    return Recording(tuple(calls), leaves, renamed(recording.output), recording.value), keys
