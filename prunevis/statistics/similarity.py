"""Which units of a layer resemble each other: by their weights, or by what they answer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from prunevis.errors import SpecError
from prunevis.steps import finished

#: Most units of a layer for which a (units, units) matrix is made: 16 MiB a layer in float32.
MAX_UNITS = 2048

#: Multiply-adds of a step, about 20 ms on one core.
STEP_MACS = 300_000_000

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
    return finished(cosine_steps(rows))


def cosine_steps(rows: Tensor) -> Generator[None, None, Tensor]:
    """Do the same in steps of some tens of milliseconds; the matrix is what is returned."""
    wide = rows.detach().double()
    norm = wide.norm(dim=1)
    unit = wide / torch.where(norm > 0, norm, torch.ones_like(norm))[:, None]
    at_once = max(1, STEP_MACS // max(1, unit.numel()))
    parts = []
    for part in unit.split(at_once):
        parts.append(part @ unit.T)
        yield
    return _symmetric(torch.cat(parts) if parts else unit @ unit.T)


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
    units = int(matrix.shape[0])
    k = max(0, min(k, units * (units - 1) // 2))
    if not k:
        return []
    # of two million pairs only those that can be among the first k are sorted
    strength = matrix.abs()
    strength[torch.ones_like(strength, dtype=torch.bool).tril()] = -1.0
    least = strength.flatten().topk(k).values[-1]
    where = (strength >= least).nonzero()
    best = strength[where[:, 0], where[:, 1]].sort(descending=True, stable=True).indices[:k]
    return [SimilarPair(a, b, float(matrix[a, b])) for a, b in where[best].tolist()]


def _symmetric(matrix: Tensor) -> Tensor:
    """Return float32 in [-1, 1] with an exact diagonal; rounding leaves 1 + 1e-16 otherwise."""
    out = matrix.clamp(-1.0, 1.0).float()
    out.fill_diagonal_(1.0)
    return out
