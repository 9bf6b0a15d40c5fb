"""Importance of a unit: the scale of the BatchNorm that follows it (network slimming)."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph


@CRITERIA.register("bn-scale")
class BatchNormScale(Criterion):
    """``|γ|`` of the BatchNorm right after the layer; the largest, where several read the unit."""

    label = "BatchNorm scale |γ|"
    summary = "Channels that BatchNorm scales closest to zero go first."
    formula = "|γᵢ|"
    source = "Liu et al. 2017"
    url = "https://arxiv.org/abs/1708.06519"
    granularities = ("unit",)
    needs = frozenset({"norm"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where no BatchNorm with a scale follows."""
        if _scales(layer, graph):
            return None
        return f"`{layer.name}` is not followed by a BatchNorm with a learned scale."

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the magnitudes of the scales, shape (num_units,), at least 0."""
        scales = [
            context.tensors[name].abs()[places]
            for name, places in _scales(layer, context.graph).items()
        ]
        return torch.stack(scales).amax(dim=0)


def _scales(layer: LayerInfo, graph: ModelGraph) -> dict[str, Tensor | slice]:
    """Return scale tensors after the layer, each with where its unit 0, 1, ... lie in it."""
    found: dict[str, Tensor | slice] = {}
    for norm in layer.norms:
        name = f"{norm}.weight"
        if name not in graph.tensors:
            continue  # affine=False: nothing is learned
        if graph.tensors[name].shape == (layer.num_units,):
            found[name] = slice(None)
            continue
        places = _places_in_concatenation(name, layer, graph)
        if places is not None:
            found[name] = places
    return found


def _places_in_concatenation(name: str, layer: LayerInfo, graph: ModelGraph) -> Tensor | None:
    """Return int64 (num_units,) for a norm that reads this layer beside others (DenseNet)."""
    group = graph.groups.get(layer.group) if layer.group else None
    if group is None or group.size != layer.num_units:
        return None
    for member in group.members:
        if member.tensor == name and member.role == "norm":
            places = torch.full((group.size,), -1)
            mine = (member.units >= 0).nonzero().flatten()
            places[member.units[mine]] = mine
            return places if bool((places >= 0).all()) else None
    return None
