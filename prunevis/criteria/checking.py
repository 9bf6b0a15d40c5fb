"""What a criterion gave, checked: as many real, finite numbers as there are weights or units."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunevis.errors import NonFiniteError, SpecError


def checked_scores(
    scores: Any, shape: tuple[int, ...], by: str, layer: str, weight: Tensor
) -> Tensor:
    """Return the scores of a layer, detached and floating point; whole numbers become float64.

    Parameters
    ----------
    scores
        What the criterion gave.
    shape
        That they should have.
    by
        The criterion in words, to begin a sentence with.
    layer, weight
        Dotted name of the layer, and its weight: looked at only to find out where a NaN is from.

    Raises
    ------
    SpecError
        If they are no real numbers or of another shape.
    NonFiniteError
        If one is NaN or infinite.
    """
    if not isinstance(scores, Tensor) or scores.is_complex():
        raise SpecError(
            f"{by} gave no real scores.",
            expected="a tensor of numbers",
            got=str(scores.dtype) if isinstance(scores, Tensor) else type(scores).__name__,
            where=layer,
        )
    if tuple(scores.shape) != shape:
        raise SpecError(
            f"{by} gave scores of the wrong shape.",
            expected=shape,
            got=tuple(scores.shape),
            where=layer,
        )
    scores = scores.detach()
    if not scores.is_floating_point():
        scores = scores.double()
    if bool(torch.isfinite(scores).all()):
        return scores
    if not bool(torch.isfinite(weight).all()):
        raise NonFiniteError(
            "Some weights are NaN or infinite.",
            got=f"{int((~torch.isfinite(weight)).sum()):,} of {weight.numel():,}",
            where=layer,
            fix="Load a checkpoint from before training diverged.",
        )
    raise NonFiniteError(
        f"{by} gave NaN or infinite scores, and the weights of the layer are finite.",
        got=f"{int((~torch.isfinite(scores)).sum()):,} of {scores.numel():,}",
        where=layer,
        fix="Look in its `score` for a division by zero or a logarithm of zero, or choose another "
        "criterion.",
    )
