"""What leaves together, and what never does: single weights, blocks, units, multiples of units.

An order of removal is one of pieces. Mostly a piece is a single weight or unit, and the best of
each layer stays. A pattern, a multiple or a least number of units makes other pieces, or has more
of them stay; the order is the same in all else, so that what goes once goes at every higher
sparsity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prunevis.graph.layers import ChannelGroup, ModelGraph
from prunevis.pruning.patterns import Pattern, block_scores, blocks_of, highest_of_each

#: Score of units that are gone already: below all others, and still a number when doubled.
LOWEST = -1e38


@dataclass(frozen=True, eq=False, slots=True)
class Pieces:
    """How the weights of a layer, or the units of a group, leave.

    Attributes
    ----------
    scores
        Importance of each piece, shape (pieces,).
    of
        int64, shape of the weight or (units,): the piece of each; None: each is its own, in order.
    stays
        bool, shape (pieces,): what never goes; None: the highest.
    """

    scores: Tensor
    of: Tensor | None = None
    stays: Tensor | None = None

    @property
    def sizes(self) -> Tensor:
        """int64, shape (pieces,): weights or units in each piece."""
        if self.of is None:
            return torch.ones(len(self.scores), dtype=torch.int64)
        return torch.bincount(self.of.flatten(), minlength=len(self.scores))

    def below(self, score: float) -> int:
        """Return how many weights or units may go whose piece scores lower than `score`."""
        low = self.scores < score
        if self.stays is not None:
            low &= ~self.stays
        return int(self.sizes[low].sum())


def pieces_of_weights(scores: Tensor, weight: Tensor, pattern: Pattern | None) -> Pieces:
    """Return the pieces of a layer's weight; `scores` of its shape, as `patterned` gives them."""
    scores = scores.detach().cpu()
    if pattern is None:
        return Pieces(scores.flatten())
    if pattern.kind == "block":
        of = blocks_of(tuple(weight.shape), pattern.first, pattern.second)
        each = torch.empty(int(of.max()) + 1, dtype=scores.dtype)
        each[of.flatten()] = scores.flatten()
        return Pieces(each, of)
    matrix = scores.reshape(scores.shape[0], -1)
    stays = highest_of_each(matrix, pattern.first, pattern.second).flatten()
    # what is zero need not stay for the pattern to hold
    return Pieces(scores.flatten(), stays=stays & (weight.cpu() != 0).flatten())


def patterned(scores: Tensor, weight: Tensor, pattern: Pattern | None) -> tuple[Tensor, int]:
    """Return scores as they are ordered, and how many weights are gone to begin with.

    What is zero comes below all else; a block has its mean score, and is gone if all of it is zero.
    One weight (or block) of each layer always stays.
    """
    zero = weight == 0
    if pattern is not None and pattern.kind == "block":
        of = blocks_of(tuple(weight.shape), pattern.first, pattern.second)
        each = block_scores(scores.cpu(), of)
        empty = block_scores((~zero).cpu().double(), of) == 0
        sizes = torch.bincount(of.flatten())
        already = int(sizes[empty].sum()) - (int(sizes[-1]) if bool(empty.all()) else 0)
        each = each.masked_fill(empty, torch.finfo(each.dtype).min)
        return each[of].to(scores.device), already
    already = min(int(zero.sum()), weight.numel() - 1)
    if already:
        scores = scores.masked_fill(zero, torch.finfo(scores.dtype).min)
    return scores, already


def pieces_of_units(
    graph: ModelGraph, group: ChannelGroup, scores: Tensor, least: int, multiple: int
) -> Pieces | str:
    """Return the pieces of a channel group, or why none of it can go, one sentence.

    A group may span layers that hold some of its units only: of each of them `least` stay, and of
    each tensor along each axis one. Where units leave `multiple` at a time, the first piece is what
    is too many for a multiple, in all layers at once.

    Parameters
    ----------
    graph, group
        The network, and one of its groups.
    scores
        Importance of its units, shape (units,).
    least
        Units of each layer that stay, from 1.
    multiple
        Layers that lose units keep a multiple of this.
    """
    stays = _staying(graph, group, scores, least)
    if multiple == 1:
        pieces = Pieces(scores, stays=stays)
    else:
        pieces = _chunked(graph, group, scores, stays, multiple)
    if pieces.stays is None or not bool(pieces.stays.all()):
        return pieces
    if multiple > 1:
        return f"Of its {group.size} units none can leave: layers keep a multiple of {multiple}" + (
            f", and at least {least}." if least > 1 else "."
        )
    return f"It has {group.size} units, and at least {least} of each layer stay."


def gone_units(graph: ModelGraph, group: ChannelGroup, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return bool, shape (units,): those of which all that leaves with them is zero already.

    That is their rows, biases, scales and shifts, and what the next layers read them with.
    """
    found = torch.ones(group.size, dtype=torch.bool)
    for member in group.members:
        if member.role == "statistic":
            continue
        tensor = tensors[member.tensor]
        others = [axis for axis in range(tensor.ndim) if axis != member.axis]
        alive = (tensor != 0).any(dim=others) if others else tensor != 0
        units = member.units.to("cpu")
        inside = units >= 0
        found[units[inside & alive.cpu()]] = False
    return found


def _staying(graph: ModelGraph, group: ChannelGroup, scores: Tensor, least: int) -> Tensor:
    """Return bool, shape (units,): the best of each layer, and of each axis that units lie on."""
    stays = torch.zeros(group.size, dtype=torch.bool)
    weights = {graph.layers[name].weight for name in group.producers}
    for member in group.members:
        units = member.units[member.units >= 0].unique()
        producer = member.role == "producer" and member.tensor in weights
        best = scores[units].sort(stable=True).indices[-(least if producer else 1) :]
        stays[units[best]] = True
    return stays


def _chunked(
    graph: ModelGraph, group: ChannelGroup, scores: Tensor, stays: Tensor, multiple: int
) -> Pieces:
    """Return pieces of `multiple` units each, worst first, in every part of a group."""
    of = torch.zeros(group.size, dtype=torch.int64)  # piece 0: too many for a multiple
    number = 1
    for units in _parts(graph, group).values():
        ascending = units[scores[units].sort(stable=True).indices]
        rest = len(units) % multiple
        if rest == len(units):  # fewer than a multiple: they stay as they are
            of[ascending] = number
            stays = stays.index_fill(0, ascending, True)
            number += 1
            continue
        whole = ascending[rest:]
        of[whole] = number + torch.arange(len(whole)) // multiple
        number += len(whole) // multiple
    if not bool((of == 0).any()):
        of -= 1
        number -= 1
        first = False
    else:
        first = True
    total = torch.zeros(number, dtype=torch.float64).index_add_(0, of, scores.double())
    means = total / torch.bincount(of, minlength=number)
    if first:
        means[0] = means.min()
    kept = torch.zeros(number, dtype=torch.bool)
    kept[of[stays]] = True
    if first and bool(kept[0]):
        kept[:] = True  # the rest can never leave, so neither layer could keep a multiple
    return Pieces(means.to(scores.dtype), of, kept)


def _parts(graph: ModelGraph, group: ChannelGroup) -> Mapping[tuple[bool, ...], Tensor]:
    """Return the units that the same layers of a group compute, by which these are."""
    weights = {graph.layers[name].weight for name in group.producers}
    columns = []
    for member in group.members:
        if member.role == "producer" and member.tensor in weights:
            inside = torch.zeros(group.size, dtype=torch.bool)
            inside[member.units[member.units >= 0]] = True
            columns.append(inside)
    table = torch.stack(columns, dim=1).numpy()
    found: dict[tuple[bool, ...], list[int]] = {}
    for unit, row in enumerate(table):
        found.setdefault(tuple(np.asarray(row).tolist()), []).append(unit)
    return {key: torch.tensor(units) for key, units in found.items()}
