"""From atoms to channel groups: which units leave together, where they lie, why they may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from prunevis.graph.atoms import Ids, components
from prunevis.graph.layers import ChannelGroup, Member, Role
from prunevis.graph.recorder import LayerDraft, Recorder

_SINGLE = "It has a single unit, and no layer is ever emptied."
_ALL_TIED = "Its channels are all tied to each other, as one unit, and no layer is ever emptied."


def output_reason(name: str) -> str:
    """Return why the units of an output group stay; such a group may still be asked for by name."""
    layer = f"`{name}`" if name else "This layer"
    return (
        f"{layer} gives the model's outputs, so its units stay unless they are asked for by name."
    )


def is_only_output(group: ChannelGroup) -> bool:
    """Whether nothing but being the output stands against removing units of a group."""
    return group.is_output and group.reason == output_reason(group.name)


@dataclass(frozen=True, eq=False, slots=True)
class Coupling:
    """Which units leave together.

    Attributes
    ----------
    groups
        By name, in the order of their first producer.
    of_layer
        Layer name -> group name.
    group_of, unit_of
        int64, by atom: number of its group (in the order of `groups`) and its unit there, or -1.
    """

    groups: dict[str, ChannelGroup]
    of_layer: dict[str, str]
    group_of: Ids
    unit_of: Ids

    def parts(self, ids: Ids) -> tuple[dict[str, torch.Tensor], int]:
        """Return the units that lie on an axis, by group name, and how many positions always stay.

        Parameters
        ----------
        ids
            Atoms of the axis, shape (positions,).
        """
        numbers, units = self.group_of[ids], self.unit_of[ids]
        names = list(self.groups)
        found = {
            names[number]: torch.from_numpy(units[numbers == number])
            for number in np.unique(numbers).tolist()
            if number >= 0 and self.groups[names[number]].reason is None
        }
        return found, len(ids) - sum(len(part) for part in found.values())


def find_groups(recorder: Recorder, outputs: Ids) -> Coupling:
    """Return the channel groups of a trace, and the group of each layer.

    Parameters
    ----------
    recorder
        After the forward.
    outputs
        Atoms that reach the model's outputs.
    """
    labels = recorder.atoms.labels()
    drafts = [draft for draft in recorder.layers.values() if draft.units is not None]
    owned = {draft.name: labels[draft.units] for draft in drafts}
    # units computed by one layer belong to one group, whether or not anything ties them
    edges = [(units, np.broadcast_to(units[:1], units.shape)) for units in owned.values()]
    roots = components(len(labels), edges)
    found: dict[int, list[LayerDraft]] = {}
    for draft in drafts:
        found.setdefault(int(roots[owned[draft.name][0]]), []).append(draft)

    group_of = np.full(len(labels), -1, dtype=np.int64)  # by label
    unit_of = np.full(len(labels), -1, dtype=np.int64)
    sizes: list[int] = []
    for number, producers in enumerate(found.values()):
        everything = np.concatenate([owned[draft.name] for draft in producers])
        classes, first = np.unique(everything, return_index=True)
        unit_of[classes[np.argsort(first)]] = np.arange(len(classes))
        group_of[classes] = number
        sizes.append(len(classes))

    members = _members(recorder, labels, group_of, unit_of, len(sizes))
    blocks = [(ids, sentence) for ids, sentence, _ in recorder.atoms.blocks]
    reasons = _by_group(blocks, labels, group_of)
    ties = _by_group(recorder.atoms.ties, labels, group_of)
    reaching = set(group_of[labels[outputs]].tolist())
    layer_of_weight = {draft.weight: draft.name for draft in recorder.layers.values()}
    groups: dict[str, ChannelGroup] = {}
    of_layer: dict[str, str] = {}
    for number, producers in enumerate(found.values()):
        name = producers[0].name
        of_layer.update((draft.name, name) for draft in producers)
        is_output = number in reaching or any(draft.is_output for draft in producers)
        reason = next(iter(reasons.get(number, ())), None)
        if reason is None and is_output:
            reason = output_reason(name)
        if reason is None and sizes[number] == 1:
            reason = _SINGLE if len(owned[name]) == 1 else _ALL_TIED
        readers = {
            layer_of_weight[m.tensor]
            for m in members[number]
            if m.role == "consumer" and m.tensor in layer_of_weight
        }
        groups[name] = ChannelGroup(
            name=name,
            size=sizes[number],
            producers=tuple(draft.name for draft in producers),
            consumers=tuple(layer for layer in recorder.layers if layer in readers),
            members=tuple(members[number]),
            ties=tuple(ties.get(number, ())),
            reason=reason,
            is_output=is_output,
        )
    return Coupling(groups, of_layer, group_of[labels], unit_of[labels])


def _members(
    recorder: Recorder, labels: Ids, group_of: Ids, unit_of: Ids, count: int
) -> list[list[Member]]:
    """Return, by group number, every axis of every tensor that the units lie on."""
    members: list[list[Member]] = [[] for _ in range(count)]
    for owner in recorder.atoms.owners:
        own = labels[owner.start : owner.stop]
        groups = group_of[own]
        role: Role = recorder.roles.get((owner.tensor, owner.axis), "other")  # type: ignore[assignment]
        for number in np.unique(groups[groups >= 0]).tolist():
            units = np.where(groups == number, unit_of[own], -1)
            members[number].append(
                Member(
                    tensor=owner.tensor,
                    axis=owner.axis,
                    units=torch.from_numpy(units),
                    role=role,
                    module=recorder.owners[owner.tensor],
                )
            )
    return members


def _by_group(
    notes: list[tuple[Ids, str]], labels: Ids, group_of: Ids
) -> Mapping[int, Mapping[str, None]]:
    """Sort sentences about atoms by the groups that they touch, each once and in order."""
    found: dict[int, dict[str, None]] = {}
    for ids, sentence in notes:
        for number in np.unique(group_of[labels[ids]]).tolist():
            if number >= 0:
                found.setdefault(number, {}).setdefault(sentence)
    return found
