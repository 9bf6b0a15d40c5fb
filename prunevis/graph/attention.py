"""`nn.MultiheadAttention` with fewer heads, or narrower ones, than its input has channels for.

PyTorch's own forward takes the width of its heads from the width of its input, so that it cannot
run once a head has left. `NarrowAttention` computes the same from the sizes of its weights.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NarrowAttention(nn.MultiheadAttention):
    """Attention whose heads together may be narrower than its input; see `take_over`."""

    #: ``1 / √(dimensions of a head)`` before anything was removed.
    scale: float

    @classmethod
    def take_over(cls, module: nn.MultiheadAttention) -> None:
        """Turn an attention module into this class, once its tensors have lost units.

        Parameters
        ----------
        module
            Changed in place; its parameters and their names stay.
        """
        module.__class__ = cls
        module.__dict__["scale"] = 1 / math.sqrt(module.head_dim)
        # PyTorch's fused encoder layer would bypass this forward
        module.__dict__["_qkv_same_embed_dim"] = False

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what `nn.MultiheadAttention` returns, with the same arguments."""
        alone = query is key and key is value
        batched = query.dim() == 3
        if not batched:
            query, key, value = (one.unsqueeze(0) for one in (query, key, value))
        elif not self.batch_first:
            query, key, value = (one.transpose(0, 1) for one in (query, key, value))
        q, k, v = self._projected(query, key, value, alone)
        heads = self.num_heads
        q, k, v = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (q, k, v))
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal and attn_mask is None)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * self.scale) @ k.transpose(-2, -1)
            weights = (scores if mask is None else scores + mask).softmax(dim=-1)
            found = F.dropout(weights, dropout) @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=self.scale)
        result = self.out_proj(found.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            return result.squeeze(0), None if weights is None else weights.squeeze(0)
        return result if self.batch_first else result.transpose(0, 1), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor, alone: bool) -> list[Tensor]:
        """Return query, key and value behind their projections and what is appended to them.

        `alone` says that all three are one tensor: then one product with the whole weight will do.
        """
        found: list[Tensor]
        if self.in_proj_weight is not None and alone:
            found = [*F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)]
        else:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            if self.in_proj_weight is not None:
                weights = self.in_proj_weight.chunk(3)
            biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            sources = (query, key, value)
            found = [F.linear(*one) for one in zip(sources, weights, biases, strict=True)]
        for k, extra in ((1, self.bias_k), (2, self.bias_v)):
            if extra is not None:
                found[k] = torch.cat([found[k], extra.expand(len(found[k]), -1, -1)], dim=1)
            if self.add_zero_attn:
                found[k] = F.pad(found[k], (0, 0, 0, 1))
        return found

    def _mask(
        self, q: Tensor, k: Tensor, padding: Tensor | None, attention: Tensor | None, causal: bool
    ) -> Tensor | None:
        """Return what is added to the scores, broadcast to (N, heads, L, S), or None."""
        if causal:
            shape = q.shape[-2], k.shape[-2]
            attention = torch.ones(shape, dtype=torch.bool, device=q.device).triu(1)
        total = None
        extra = int(self.bias_k is not None) + int(self.add_zero_attn)
        if attention is not None:
            if attention.dim() == 3:
                attention = self._own_heads(attention.unflatten(0, (len(q), -1)))
            total = F.pad(_added(attention, q), (0, extra))
        if padding is not None:
            padding = padding if padding.dim() > 1 else padding.unsqueeze(0)
            padding = F.pad(_added(padding, q), (0, extra))[:, None, None]
            total = padding if total is None else total + padding
        return total

    def _own_heads(self, mask: Tensor) -> Tensor:
        """Return the rows of a mask (N, heads, L, S) that belong to heads which stayed.

        Raises
        ------
        ValueError
            If heads have left, since a mask for each of the former heads does not fit.
        """
        if mask.shape[1] != self.num_heads:
            raise ValueError(
                f"A mask for {mask.shape[1]} heads was given to attention that has "
                f"{self.num_heads} left; pass one for all heads, of shape (L, S)."
            )
        return mask


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as numbers to add to scores: boolean ones forbid where they are true."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
    return mask.to(like.dtype)
