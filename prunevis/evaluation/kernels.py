"""Other ways to compute what some operators compute, which are faster on some machines.

Measured on an AMD server core, float32: oneDNN's matrix product reaches 220 GFLOP/s where the one
behind `torch.nn.functional.linear` reaches 95; max pooling of 20 channels as a few maxima of
strided slices takes a fifth of the time of the operator, which also notes where each maximum was.
Elsewhere it may be the other way round, so the engine measures before it uses them, and compares
results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x W^T + b`` for `x` (N, in) and `weight` (out, in), by oneDNN where it can."""
    given = [x, weight] if bias is None else [x, weight, bias]
    usual = all(t.dtype == torch.float32 and t.device.type == "cpu" and t.numel() for t in given)
    fits = x.ndim == weight.ndim == 2 and x.shape[1] == weight.shape[1]
    if not usual or not fits or (bias is not None and bias.shape != weight.shape[:1]):
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def max_pool2d(
    x: Tensor,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the maxima of windows of `x` (N, C, H, W), rows first, then columns."""
    sides, steps = _pair(kernel), _pair(stride if stride not in ((), []) else kernel)
    plain = x.ndim != 4 or ceil_mode or _pair(padding) != (0, 0) or _pair(dilation) != (1, 1)
    if plain or any(x.shape[2 + k] < sides[k] for k in (0, 1)):
        return F.max_pool2d(x, kernel, stride or None, padding, dilation, ceil_mode)
    for axis, side, step in zip((2, 3), sides, steps, strict=True):
        count = (x.shape[axis] - side) // step + 1
        at = [slice(k, k + step * (count - 1) + 1, step) for k in range(side)]
        parts = [x[:, :, s] if axis == 2 else x[:, :, :, s] for s in at]
        x = parts[0]
        for part in parts[1:]:
            x = torch.maximum(x, part)
    return x


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def alternatives(*, one_shape: bool = True) -> dict[Any, Callable[..., Tensor]]:
    """Return the functions above by the operator they stand in for, if this torch has them.

    Parameters
    ----------
    one_shape
        Whether weights have the same shape in all networks that are run. For each other one oneDNN
        makes a kernel, which takes half a millisecond, and keeps up to 1,024 of 0.6 MB.
    """
    found: dict[Any, Callable[..., Tensor]] = {aten.max_pool2d.default: max_pool2d}
    if (
        one_shape
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        found[aten.linear.default] = linear
    return found
