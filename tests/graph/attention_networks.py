"""Small attention networks in the spellings that are met outside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, HEAD_DIM = 12, 4, 5
INNER = HEADS * HEAD_DIM


class Block(nn.Module):
    """Attention with a residual, a LayerNorm and a read-out; `attend` is what subclasses spell."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.attn_dim, self.head_dim = HEADS, INNER, HEAD_DIM
        self.scale = HEAD_DIM**-0.5
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * INNER), nn.Linear(INNER, WIDTH)
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x + self.proj(self.attend(self.norm(x)))).mean(1))

    def attend(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Unbound(Block):
    def attend(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return y.transpose(1, 2).reshape(b, n, self.attn_dim)


class Chunked(Block):
    def attend(self, x):
        q, k, v = (
            one.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for one in self.qkv(x).chunk(3, dim=-1)
        )
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class Indexed(Block):
    def attend(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).view(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = torch.softmax(q * self.scale @ k.mT, dim=-1)
        return (weights @ v).transpose(1, 2).reshape(b, n, -1)


class HeadsFirst(Block):
    """Heads on the outer axis, query, key and value of each beside each other (GPT-NeoX)."""

    def attend(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, -1, 3 * HEAD_DIM).transpose(1, 2).chunk(3, dim=-1)
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return y.transpose(1, 2).reshape(b, n, -1)


class Einsum(Block):
    def attend(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (one.unflatten(-1, (self.num_heads, self.head_dim)) for one in (q, k, v))
        weights = torch.einsum("bnhd,bmhd->bhnm", q, k).mul(self.scale).softmax(-1)
        return torch.einsum("bhnm,bmhd->bnhd", weights, v).flatten(2)


class Grouped(nn.Module):
    """Grouped-query attention with RMSNorm, rotary positions and SwiGLU, as in LLaMA."""

    def __init__(self, heads: int = 6, groups: int = 3, dims: int = 4) -> None:
        super().__init__()
        self.dims, self.repeats = dims, heads // groups
        self.embed = nn.Embedding(11, WIDTH)
        self.q, self.o = nn.Linear(WIDTH, heads * dims), nn.Linear(heads * dims, WIDTH)
        self.k, self.v = nn.Linear(WIDTH, groups * dims), nn.Linear(WIDTH, groups * dims)
        self.norm = nn.RMSNorm(WIDTH)
        self.gate, self.up, self.down = (
            nn.Linear(WIDTH, 9),
            nn.Linear(WIDTH, 9),
            nn.Linear(9, WIDTH),
        )
        self.head = nn.Linear(WIDTH, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        b, n, _ = x.shape
        y = self.norm(x)
        q, k, v = (f(y).view(b, n, -1, self.dims).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = rotated(q), rotated(k)
        k, v = (
            one[:, :, None].expand(-1, -1, self.repeats, -1, -1).reshape(b, -1, n, self.dims)
            for one in (k, v)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, n, -1))
        return self.head(x + self.down(F.silu(self.gate(x)) * self.up(x)))


def rotated(x: Tensor) -> Tensor:
    angle = torch.arange(x.shape[-2])[:, None] / torch.tensor([1.0, 10.0, 1.0, 10.0])
    first, second = x.chunk(2, dim=-1)
    return x * angle.cos() + torch.cat((-second, first), dim=-1) * angle.sin()


class Multihead(nn.Module):
    """PyTorch's own attention, batch first or not, with or without weights to return."""

    def __init__(self, batch_first: bool = True, weights: bool = False, **options) -> None:
        super().__init__()
        self.first, self.weights = batch_first, weights
        self.attention = nn.MultiheadAttention(12, 4, batch_first=batch_first, **options)
        self.out = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else x.transpose(0, 1)
        y = self.attention(x, x, x, need_weights=self.weights)[0]
        return self.out(y.mean(1 if self.first else 0))


class Encoder(nn.Module):
    """PyTorch's own encoder, whose fused shortcut must not be taken once heads have left."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(12, 4, 16, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(x).mean(1))


class Biased(Block):
    """A table of relative positions, with a column for each head (Swin)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, HEADS))

    def attend(self, x):
        n = x.shape[1]
        places = torch.arange(n)[:, None] - torch.arange(n) + n - 1
        bias = self.table[places.view(-1)].view(n, n, -1).permute(2, 0, 1)
        q, k, v = (
            one.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for one in self.qkv(x).chunk(3, dim=-1)
        )
        weights = (q @ k.mT * self.scale + bias).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class HardCoded(Block):
    """Takes the width of its result from its input, as older transformers do."""

    def attend(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv.unbind(0))
        return y.transpose(1, 2).reshape(b, n, INNER)
