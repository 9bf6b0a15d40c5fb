"""What reads the units of a layer: shared by criteria that look at the next layers' columns."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.statistics.weights import unit_rows


def read_by_none(layer: LayerInfo, graph: ModelGraph) -> str | None:
    """Return a sentence if no layer reads the units of `layer`, else None."""
    group = graph.groups.get(layer.group) if layer.group else None
    if group is not None and group.consumers:
        return None
    return f"No layer reads the units of `{layer.name}`, so none can tell their worth."


def outgoing_norms(layer: LayerInfo, context: ScoreContext) -> Tensor:
    """Return ``‖V[:, u]‖²``, float64, shape (num_units,), summed over the layers that read u.

    For a convolution over all positions of the kernel.
    """
    total = torch.zeros(layer.num_units, dtype=torch.float64)
    for name, units in context.group_columns(layer).items():
        info = context.graph.layers[name]
        rows = unit_rows(context.graph, info, context.weight(info)).cpu().double()
        inside = units >= 0
        total.index_add_(0, units[inside], rows.square().sum(0)[inside])
    return total


def contribution_products(layer: LayerInfo, context: ScoreContext) -> Tensor:
    """Return mean products of what two units contribute to the outputs that read them.

    The contribution of unit u to an output is ``Σ V[k, c] x_c`` over the columns c that read u, so
    that ``Q[u, v] = Σ_{c ∈ u, d ∈ v} (VᵀV)[c, d] · mean(x_c x_d)``, summed over consumers.

    Returns
    -------
    Tensor
        float64, shape (num_units, num_units), symmetric.

    Raises
    ------
    SpecError
        If second moments of a consumer's inputs were not collected.
    """
    units = layer.num_units
    total = torch.zeros(units, units, dtype=torch.float64)
    for name, owners in context.group_columns(layer).items():
        info = context.graph.layers[name]
        moment = context.inputs(name).moments()
        rows = unit_rows(context.graph, info, context.weight(info)).cpu().double()
        inside = (owners >= 0).nonzero().flatten()
        mine = owners[inside]
        for block, own in zip(rows.chunk(len(moment)), moment, strict=True):
            columns = block[:, inside]
            products = (columns.T @ columns) * own[inside][:, inside]
            half = torch.zeros(units, len(inside), dtype=torch.float64).index_add_(
                0, mine, products
            )
            total.index_add_(1, mine, half)
    return total
