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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

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
        self.graph = graph
        self.zeros = dict(zeros or {})
        self.base_bytes = sum(t.numel * t.itemsize for t in graph.tensors.values())
        self._by_weight = {layer.weight: name for name, layer in graph.layers.items()}
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
        for tensor, axes in self._axes.items():
            shape = list(self.graph.tensors[tensor].shape)
            for axis, parts in axes.items():
                for group, count, same in parts:
                    gone = plan.removed.get(group, 0)
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
        params = nonzero = dense = bitmask = csr = base_params = 0
        left: dict[str, int] = {}
        for name, info in self.graph.tensors.items():
            numel = info.numel
            now = numel
            if name in shapes:
                now = 1
                for size in shapes[name]:
                    now *= size
            gone = zeros.get(name, 0)
            full = now * info.itemsize
            dense += full
            if gone:
                stored, rows = now - gone, info.shape[0] if info.shape else 1
                bitmask += min(full, info.itemsize * stored + -(-now // 8))
                csr += min(full, (info.itemsize + 4) * stored + 4 * (rows + 1))
            else:
                bitmask += full
                csr += full
            if info.is_parameter:
                base_params += numel
                params += now
                nonzero += now - gone
                left[name] = now - gone
        layers: dict[str, LayerCost] = {}
        effective = removed = self.graph.other_macs
        for name, layer in self.graph.layers.items():
            weight = self.graph.tensors[layer.weight].numel
            kept = left[layer.weight]
            shape_now = weight if layer.weight not in shapes else kept
            bias = left.get(layer.bias, 0) if layer.bias else 0
            layers[name] = LayerCost(
                name=name,
                num_params=shape_now + bias,
                nonzero_params=kept + bias,
                macs=layer.macs,
                effective_macs=layer.positions * kept,
                removed_macs=layer.positions * shape_now,
                sparsity=1 - kept / max(1, weight),
            )
            effective += layer.positions * kept
            removed += layer.positions * shape_now
        return ModelCost(
            num_params=params,
            nonzero_params=nonzero,
            macs=self.graph.macs,
            effective_macs=effective,
            removed_macs=removed,
            dense_bytes=dense,
            bitmask_bytes=bitmask,
            csr_bytes=csr,
            base_params=base_params,
            base_macs=self.graph.macs,
            base_bytes=self.base_bytes,
            layers=layers,
        )


def cost(graph: ModelGraph, plan: PruningPlan | None = None) -> ModelCost:
    """Return what the network of `graph` costs, dense or under `plan`.

    Parameters
    ----------
    graph
        From `prunevis.trace`.
    plan
        From `Ranking.plan`; None for the dense network.
    """
    return CostModel(graph).cost(plan)
