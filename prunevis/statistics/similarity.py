"""Which units of a layer resemble each other: by their weights, or by what they answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prunevis.errors import SpecError

#: Most units of a layer for which a (units, units) matrix is made: 16 MiB a layer in float32.
MAX_UNITS = 2048

#: A unit whose standard deviation is below this share of its own size varies by rounding alone
#: (float32 resolves 1e-7), so it counts as constant.
CONSTANT = 1e-6


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two units and how alike they are.

    Attributes
    ----------
    a, b
        Indices of the units, ``a < b``.
    value
        Their similarity in [-1, 1].
    """

    a: int
    b: int
    value: float


def too_many_units(num_units: int) -> str | None:
    """Return a sentence that refuses a similarity matrix of this many units, or None."""
    if num_units <= MAX_UNITS:
        return None
    return (
        f"A similarity matrix of {num_units:,} units is too large to keep: "
        f"it is made for layers of up to {MAX_UNITS:,} units."
    )


def weight_cosine(rows: Tensor) -> Tensor:
    """Return the cosine between the weights of every two units.

    ``cos(a, b) = w_a · w_b / (‖w_a‖ ‖w_b‖)``; biases are left out.

    Parameters
    ----------
    rows
        Shape (units, weights of a unit), e.g. from `unit_rows`.

    Returns
    -------
    Tensor
        float32, shape (units, units), symmetric, in [-1, 1], 1 on the diagonal. A unit without a
        nonzero weight has no direction: it is 0 to all others.

    Raises
    ------
    SpecError
        If there are more than `MAX_UNITS` units.
    """
    refusal = too_many_units(int(rows.shape[0]))
    if refusal:
        raise SpecError(refusal, where="weight_cosine")
    wide = rows.detach().double()
    norm = wide.norm(dim=1)
    unit = wide / torch.where(norm > 0, norm, torch.ones_like(norm))[:, None]
    return _symmetric(unit @ unit.T)


def is_constant(mean: Tensor, variance: Tensor) -> Tensor:
    """Return bool, shape (units,): units that vary by no more than rounding explains."""
    return variance <= CONSTANT**2 * (variance + mean.square())


def correlation_from_moments(mean: Tensor, products: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return Pearson's correlation of units, and which of them are constant.

    Parameters
    ----------
    mean
        float64, shape (units,).
    products
        float64, shape (units, units): sums of products of deviations from the mean.
    count
        Number of samples behind them.

    Returns
    -------
    correlation
        float32, shape (units, units), symmetric, in [-1, 1], 1 on the diagonal; 0 between a
        constant unit and all others, where the quotient is undefined.
    constant
        bool, shape (units,).
    """
    variance = products.diagonal() / max(1, count)
    constant = is_constant(mean, variance)
    scale = torch.where(constant, torch.zeros_like(variance), variance.rsqrt())
    scaled = products / max(1, count) * scale[:, None] * scale[None, :]
    return _symmetric(scaled), constant


def most_similar_pairs(matrix: Tensor, k: int) -> list[SimilarPair]:
    """Return the `k` most similar pairs of units, by magnitude, most similar first.

    Parameters
    ----------
    matrix
        Shape (units, units), symmetric; only what is above the diagonal is read.
    k
        At most how many.

    Returns
    -------
    list of SimilarPair
        Ties in the order of (a, b).
    """
    upper = torch.triu_indices(*matrix.shape, offset=1, device=matrix.device)
    values = matrix[upper[0], upper[1]]
    best = values.abs().sort(descending=True, stable=True).indices[: max(0, k)]
    return [
        SimilarPair(int(a), int(b), float(value))
        for a, b, value in zip(upper[0, best], upper[1, best], values[best], strict=True)
    ]


def _symmetric(matrix: Tensor) -> Tensor:
    """Return float32 in [-1, 1] with an exact diagonal; rounding leaves 1 + 1e-16 otherwise."""
    out = matrix.clamp(-1.0, 1.0).float()
    out.fill_diagonal_(1.0)
    return out
