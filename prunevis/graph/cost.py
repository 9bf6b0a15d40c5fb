"""What a network costs before and after pruning, by arithmetic alone.

Counting rules (Blalock et al. 2020, section 6, and what readers of older papers expect):

* a MAC is one multiply-add, FLOPs = 2 × MACs; biases, normalisations and activations are not
  counted, as in most papers and in `torch.utils.flop_counter`;
* *nominal*: what the masked model really computes, zeros and all; *effective*: what is left if
  every zero were skipped; *removed*: what is left once units are taken out;
* compression ratio = parameters before / parameters left; theoretical speedup = MACs before /
  MACs left (effective);
* bytes include buffers (running means and variances are part of the file). A bitmask file stores
  ``itemsize × nonzero + elements / 8``; CSR (int32) ``(itemsize + 4) × nonzero + 4 × (rows + 1)``.
  Each pruned tensor takes the sparse form only where that is smaller than the dense one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunevis.errors import SpecError
from prunevis.graph.checks import check_graph
from prunevis.graph.layers import ModelGraph

if TYPE_CHECKING:
    from prunevis.pruning.plan import PruningPlan


@dataclass(frozen=True)
class LayerCost:
    """One layer's share of a `ModelCost`; same words, same units."""

    name: str
    num_params: int
    nonzero_params: int
    macs: int
    effective_macs: int
    removed_macs: int
    sparsity: float


@dataclass(frozen=True)
class ModelCost:
    """What a (pruned) network costs.

    Attributes
    ----------
    num_params
        Parameters that exist after removal (for masked weights: all of them).
    nonzero_params
        Parameters not set to zero by pruning. Zeros of the dense model count as nonzero.
    macs, effective_macs, removed_macs
        Multiply-adds an example in the three ledgers: nominal, zeros skipped, after removal.
    dense_bytes
        All tensors in full, after removal.
    bitmask_bytes, csr_bytes
        The same with pruned tensors stored sparsely.
    base_params, base_macs, base_bytes
        Of the dense network.
    layers
        One `LayerCost` a layer.
    """

    num_params: int
    nonzero_params: int
    macs: int
    effective_macs: int
    removed_macs: int
    dense_bytes: int
    bitmask_bytes: int
    csr_bytes: int
    base_params: int
    base_macs: int
    base_bytes: int
    layers: Mapping[str, LayerCost] = field(repr=False)

    @property
    def flops(self) -> int:
        """2 × `macs`."""
        return 2 * self.macs

    @property
    def effective_flops(self) -> int:
        """2 × `effective_macs`."""
        return 2 * self.effective_macs

    @property
    def removed_flops(self) -> int:
        """2 × `removed_macs`."""
        return 2 * self.removed_macs

    @property
    def bytes(self) -> int:
        """The smallest file that arithmetic knows of: dense, bitmask or CSR."""
        return min(self.dense_bytes, self.bitmask_bytes, self.csr_bytes)

    @property
    def storage(self) -> str:
        """Which of them it is: "dense", "bitmask" or "csr"."""
        return (
            "dense"
            if self.bytes == self.dense_bytes
            else ("bitmask" if self.bytes == self.bitmask_bytes else "csr")
        )

    @property
    def compression_ratio(self) -> float:
        """Parameters before / parameters left (nonzero), at least 1."""
        return self.base_params / max(1, self.nonzero_params)

    @property
    def theoretical_speedup(self) -> float:
        """Multiply-adds before / multiply-adds left if zeros are skipped, at least 1."""
        return self.base_macs / max(1, self.effective_macs)

    def __repr__(self) -> str:
        return (
            f"ModelCost({self.nonzero_params:,} of {self.base_params:,} parameters, "
            f"{self.effective_macs:,} of {self.base_macs:,} MACs, "
            f"{self.bytes / 1e6:.2f} of {self.base_bytes / 1e6:.2f} MB as {self.storage})"
        )


class CostModel:
    """The arithmetic of one network, prepared once so that each plan costs microseconds.

    Parameters
    ----------
    graph
        From `prunevis.trace`.
    zeros
        By tensor name: weights that are zero already, whatever a plan says.
    """

    def __init__(self, graph: ModelGraph, zeros: Mapping[str, int] | None = None) -> None:
        self.graph = check_graph(graph)
        self.zeros = dict(zeros or {})
        self.base_bytes = sum(t.numel * t.itemsize for t in graph.tensors.values())
        self.base_params = sum(t.numel for t in graph.tensors.values() if t.is_parameter)
        # tensor -> axis -> [(group, positions of each unit on the axis)]
        self._axes: dict[str, dict[int, list[tuple[str, Tensor, int | None]]]] = {}
        for group in graph.groups.values():
            for member in group.members:
                inside = member.units[member.units >= 0]
                count = torch.bincount(inside, minlength=group.size)
                same = int(count[0]) if bool((count == count[0]).all()) else None
                axes = self._axes.setdefault(member.tensor, {})
                axes.setdefault(member.axis, []).append((group.name, count, same))

    def cost(self, plan: PruningPlan | None = None) -> ModelCost:
        """Return what the network costs under `plan`, or dense."""
        if plan is None:
            return self._total(self.zeros, {})
        if plan.granularity == "weight":
            removed = dict(self.zeros)
            for name, count in plan.removed.items():
                weight = self.graph.layers[name].weight
                removed[weight] = max(count, removed.get(weight, 0))
            return self._total(removed, {})
        shapes: dict[str, tuple[int, ...]] = {}
        removed = plan.removed
        for tensor, axes in self._axes.items():
            shape = list(self.graph.tensors[tensor].shape)
            for axis, parts in axes.items():
                for group, count, same in parts:
                    gone = removed.get(group, 0)
                    if gone:
                        # ranks of a group are 0..size-1, so `gone` units are the first ones
                        left = (
                            same * gone
                            if same is not None
                            else int(count[plan.ranks[group] < plan.cuts[group]].sum())
                        )
                        shape[axis] -= left
            shapes[tensor] = tuple(shape)
        return self._total({}, shapes)

    def _total(self, zeros: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> ModelCost:
        # what no plan touches is counted once, in __init__
        params = nonzero = self.base_params
        dense = bitmask = csr = self.base_bytes
        left: dict[str, int] = {}
        for name in {**zeros, **shapes}:
            info = self.graph.tensors[name]
            whole, now, gone = info.numel, info.numel, zeros.get(name, 0)
            if name in shapes:
                now = math.prod(shapes[name])
            full = now * info.itemsize
            fewer = full - whole * info.itemsize
            dense += fewer
            bitmask += fewer
            csr += fewer
            if gone:
                stored, rows = now - gone, info.shape[0] if info.shape else 1
                bitmask += min(0, info.itemsize * stored + -(-now // 8) - full)
                csr += min(0, (info.itemsize + 4) * stored + 4 * (rows + 1) - full)
            if info.is_parameter:
                params += now - whole
                nonzero += now - gone - whole
                left[name] = now - gone
        layers = _Layers(self.graph, left, frozenset(shapes))
        effective = removed = self.graph.other_macs
        for layer in self.graph.layers.values():
            kept = left.get(layer.weight)
            macs = layer.macs if kept is None else layer.positions * kept
            effective += macs
            removed += macs if layer.weight in shapes else layer.macs
        return ModelCost(
            num_params=params,
            nonzero_params=nonzero,
            macs=self.graph.macs,
            effective_macs=effective,
            removed_macs=removed,
            dense_bytes=dense,
            bitmask_bytes=bitmask,
            csr_bytes=csr,
            base_params=self.base_params,
            base_macs=self.graph.macs,
            base_bytes=self.base_bytes,
            layers=layers,
        )


class _Layers(Mapping[str, LayerCost]):
    """Each layer's cost, made when it is read: most positions of a slider are never looked at."""

    def __init__(self, graph: ModelGraph, left: dict[str, int], reshaped: frozenset[str]) -> None:
        self._graph, self._left, self._reshaped = graph, left, reshaped

    def __getitem__(self, name: str) -> LayerCost:
        layer = self._graph.layers[name]
        weight = self._graph.tensors[layer.weight].numel
        kept = self._left.get(layer.weight, weight)
        now = kept if layer.weight in self._reshaped else weight
        bias = 0
        if layer.bias:
            bias = self._left.get(layer.bias, self._graph.tensors[layer.bias].numel)
        return LayerCost(
            name=name,
            num_params=now + bias,
            nonzero_params=kept + bias,
            macs=layer.macs,
            effective_macs=layer.positions * kept,
            removed_macs=layer.positions * now,
            sparsity=1 - kept / max(1, weight),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.layers)

    def __len__(self) -> int:
        return len(self._graph.layers)


def costs_of(model: nn.Module, graph: ModelGraph) -> CostModel:
    """Return the arithmetic of a network as it stands, weights that are zero already counted so."""
    zeros = {
        layer.weight: int((model.get_parameter(layer.weight) == 0).sum())
        for layer in graph.layers.values()
        if layer.weight_reason is None
    }
    return CostModel(graph, {name: count for name, count in zeros.items() if count})


def cost(graph: ModelGraph, plan: PruningPlan | None = None) -> ModelCost:
    """Return what the network of `graph` costs, dense or under `plan`.

    Parameters
    ----------
    graph
        From `prunevis.trace`.
    plan
        From `Ranking.plan`; None for the dense network.

    Raises
    ------
    SpecError
        If `graph` is no traced network, or `plan` no plan.
    """
    if plan is not None and not hasattr(plan, "removed"):
        raise SpecError(
            "This is no plan.",
            expected="a PruningPlan, or None for the whole network",
            got=type(plan).__name__,
            fix="Pass rank(model, spec, graph=graph).plan(0.5).",
        )
    return CostModel(graph).cost(plan)
