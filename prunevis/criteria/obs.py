"""Importance of a weight: optimal brain surgeon, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, Criterion
from prunevis.criteria.context import ScoreContext
from prunevis.graph.layers import LayerInfo, ModelGraph

#: Share of the mean diagonal that is added to the diagonal, so that an inverse exists
#: (SparseGPT's `percdamp`).
DAMPING = 0.01

#: Most inputs of a layer: inverting 2,304 × 2,304 numbers takes a second or two.
MAX_INPUTS = 2_304


def inverse_hessian(moment: Tensor) -> Tensor:
    """Return the inverse of damped second moments.

    ``(H + λI)⁻¹`` with H = mean x xᵀ over samples and λ = `DAMPING` × the mean of its diagonal.

    Parameters
    ----------
    moment
        float64, shape (groups, columns, columns), symmetric, not negative definite.

    Returns
    -------
    Tensor
        float64, the same shape. Identity where all inputs are zero.
    """
    mean = moment.diagonal(dim1=1, dim2=2).mean(1)
    damping = torch.where(mean > 0, DAMPING * mean, torch.ones_like(mean))
    damped = moment + damping[:, None, None] * torch.eye(moment.shape[1], dtype=moment.dtype)
    return torch.cholesky_inverse(torch.linalg.cholesky(damped))


@CRITERIA.register("obs")
class OptimalBrainSurgeon(Criterion):
    """``w² / (2 [H⁻¹]_qq)`` with ``H = mean x xᵀ`` of what the layer reads.

    Half the mean squared change of the unit's output when the weight goes and the others of its row
    make up for it as well as they can (the repair "obs" is such a making up). H is the Hessian of
    the layer's squared output error; it is damped by `DAMPING` of its mean diagonal, so that it can
    be inverted where inputs are dead or there are fewer samples than inputs. Outputs of different
    layers have different scales: compare within layers.
    """

    label = "Optimal brain surgeon"
    summary = "Weights whose loss the others of their unit can best make up for go first."
    formula = "w² / (2 [H⁻¹]qq),  H = mean xxᵀ + 1 % damping"
    source = "Hassibi & Stork 1993, layer by layer"
    url = "https://proceedings.neurips.cc/paper/1992/hash/303ed4c69846ab36c2904d3ba8573050-Abstract.html"
    granularities = ("weight",)
    needs = frozenset({"weights", "inputs", "moments"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where the matrix would be too large to invert."""
        columns = layer.num_weights // max(1, layer.num_units)
        if columns > MAX_INPUTS:
            return (
                f"`{layer.name}` reads {columns:,} inputs at a time, and the matrix is inverted "
                f"for up to {MAX_INPUTS:,}."
            )
        return super().unavailable_for(layer, graph)

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where there are fewer samples than inputs."""
        found = context.inputs(layer)
        if found.num_samples >= found.columns:
            return None
        return (
            f"`{layer.name}` reads {found.columns:,} inputs and was seen with "
            f"{found.num_samples:,} samples only, so that its scores lean on the damping."
        )

    def score(self, layer: LayerInfo, context: ScoreContext) -> Tensor:
        """Return the errors, float64, shape of the weight, at least 0."""
        rows = context.rows(layer).cpu().double()
        moment = context.inputs(layer).moments()
        diagonal = inverse_hessian(moment).diagonal(dim1=1, dim2=2)
        diagonal = diagonal.repeat_interleave(len(rows) // len(moment), dim=0)
        return context.from_rows(layer, rows.square() / (2 * diagonal))
