"""Importance of a unit: how unlike the others it is, by kernels of its answers."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from prunevis.criteria.base import CRITERIA, SteppedCriterion
from prunevis.criteria.context import ScoreContext
from prunevis.criteria.redundancy import Redundancy, greedy_redundancy
from prunevis.graph.layers import LayerInfo, ModelGraph
from prunevis.steps import finished

#: Samples behind a kernel: a unit's kernel has their square as entries.
SAMPLES = 128
#: Most units of a layer, for the time that their kernels take, and units worked on at once.
MAX_UNITS, AT_ONCE = 1_024, 16


def kernel_similarity(samples: Tensor) -> Tensor:
    """Return the centred alignment of the Gaussian kernels of every two units.

    ``CKA = ⟨HKH, HLH⟩ / (‖HKH‖ ‖HLH‖)`` with ``K[m, n] = exp(−(h_m − h_n)² / 2σ²)``, σ the median
    distance between two samples of the unit that differ, H the centring (Kornblith et al. 2019). It
    is biased upwards for few samples.

    Parameters
    ----------
    samples
        Shape (samples, units).

    Returns
    -------
    Tensor
        float32, shape (units, units), in [0, 1], 1 on the diagonal but 0 for units that are
        constant.
    """
    return finished(kernel_steps(samples))


def kernel_steps(samples: Tensor) -> Generator[None, None, Tensor]:
    """Do the same in steps of some tens of milliseconds; the matrix is what is returned."""
    parts = []
    for part in samples.double().split(AT_ONCE, dim=1):
        parts.append(_centred(part.T))
        yield
    unit = torch.cat(parts)
    rows = []
    for part in unit.split(4 * AT_ONCE):
        rows.append(part @ unit.T)
        yield
    return torch.cat(rows).clamp(0.0, 1.0)


def _centred(columns: Tensor) -> Tensor:
    """Return the centred kernel of each of some units (units, samples) as a row of length 1."""
    count = columns.shape[1]
    square = (columns[:, :, None] - columns[:, None, :]).square().flatten(1)
    apart = torch.where(square > 0, square, torch.nan).nanmedian(dim=1).values
    constant = apart.isnan()
    kernel = torch.exp(-square / (2 * torch.where(constant, 1.0, apart)[:, None]))
    kernel = kernel.unflatten(1, (count, count))
    centred = kernel - kernel.mean(1, keepdim=True) - kernel.mean(2, keepdim=True)
    centred = (centred + kernel.mean((1, 2), keepdim=True)).flatten(1)
    norm = centred.norm(dim=1, keepdim=True)
    return torch.where(constant[:, None], 0.0, centred / torch.where(norm > 0, norm, 1.0)).float()


@CRITERIA.register("kernel-similarity")
class KernelSimilarity(Redundancy, SteppedCriterion):
    """Redundancy by kernel alignment (CKA) between the answers of units.

    Sees what correlation misses, such as a unit that answers with the square of another; but no
    linear repair can make use of that. The samples are one position of each of `SAMPLES` examples.
    """

    label = "Kernel alignment (CKA)"
    summary = "Of two units that depend on each other, the one that varies less goes first."
    formula = "1 − CKA(hᵢ, hⱼ), Gaussian kernels, most similar pair first"
    source = "Kornblith et al. 2019"
    url = "https://arxiv.org/abs/1905.00414"
    needs = frozenset({"responses"})

    def unavailable_for(self, layer: LayerInfo, graph: ModelGraph) -> str | None:
        """Say so where there are too many units."""
        if layer.num_units > MAX_UNITS:
            return (
                f"`{layer.name}` has {layer.num_units:,} units, and kernels are compared for up to "
                f"{MAX_UNITS:,}."
            )
        return super().unavailable_for(layer, graph)

    def caution(self, layer: LayerInfo, context: ScoreContext) -> str | None:
        """Say so where few samples make everything look alike."""
        count = min(SAMPLES, len(context.responses(layer).samples))
        if count >= 64:
            return None
        return f"With {count} samples, kernels of unrelated units look alike."

    def score_steps(self, layer: LayerInfo, context: ScoreContext) -> Generator[None, None, Tensor]:
        """Return 1 − alignment to the unit it duplicates, shape (num_units,), in [0, 1].

        Units that never vary score `prunevis.criteria.redundancy.CONSTANT_UNIT`.
        """
        samples = context.responses(layer).samples[:SAMPLES]
        similarity = yield from kernel_steps(samples)
        constant = similarity.diagonal() == 0
        return greedy_redundancy(similarity, samples.double().std(0, correction=0), constant)
