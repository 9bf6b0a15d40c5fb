"""Patterns of zeros in a weight: N of every M, or whole blocks.

A weight is looked at as a matrix ``weight.reshape(len(weight), -1)``: a row an output channel (of a
transposed convolution an input channel), its columns what it reads, for a convolution channel by
channel with each kernel position in turn.

* ``"2:4"``, or any ``"N:M"``: of every M consecutive weights along a row at most N stay, those with
  the highest scores (Mishra et al. 2021, https://arxiv.org/abs/2104.08378). At most 1 − N/M of the
  weights go; there the pattern holds in full. What is left over at the end of a row, fewer than M,
  keeps at most N too.
* ``"4x4"``, or any ``"RxC"``: R × C blocks leave together; the score of a block is the mean of its
  weights' (Gray et al. 2017; Narang et al. 2017, https://arxiv.org/abs/1711.02782). Blocks at the
  border may be smaller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from prunevis.errors import SpecError

#: Larger patterns than this are no pattern that any hardware knows.
MOST = 64
#: What a visitor may choose: name, label, and a sentence.
SUGGESTED: tuple[tuple[str, str, str], ...] = (
    ("2:4", "2 of 4", "Of every 4 weights in a row 2 stay, as sparse tensor cores want it."),
    ("1:4", "1 of 4", "Of every 4 weights in a row 1 stays."),
    ("4:8", "4 of 8", "Of every 8 weights in a row 4 stay."),
    ("4x4", "Blocks of 4 × 4", "Blocks of 4 rows and 4 columns leave together."),
    ("1x8", "Blocks of 1 × 8", "Runs of 8 weights in a row leave together."),
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of zeros.

    Attributes
    ----------
    kind
        "n:m" or "block".
    first, second
        N and M, or rows and columns of a block.
    """

    kind: str
    first: int
    second: int

    @property
    def most(self) -> float:
        """The highest share of a weight that may go, where its columns are a multiple of M."""
        return 1.0 if self.kind == "block" else 1 - self.first / self.second


def pattern_of(text: object) -> Pattern | None:
    """Return the pattern that `text` names, None for None.

    Raises
    ------
    SpecError
        If it names none.
    """
    if text is None:
        return None
    whole = "4x4" if text == "block" else text
    found = (
        re.fullmatch(r"(\d{1,3})\s*([:x×])\s*(\d{1,3})", whole) if isinstance(whole, str) else None
    )
    if found is None:
        raise SpecError(
            "There is no such pattern.",
            expected='"2:4" (N of every M weights stay), or "4x4" (blocks that leave together)',
            got=repr(text)[:40],
        )
    first, second = int(found[1]), int(found[3])
    if found[2] == ":":
        if not 1 <= first < second <= MOST:
            raise SpecError(
                "A pattern N:M keeps N of every M weights.",
                expected=f"1 ≤ N < M ≤ {MOST}",
                got=text,
            )
        return Pattern("n:m", first, second)
    if not (1 <= first <= MOST and 1 <= second <= MOST and first * second > 1):
        raise SpecError(
            "A block has rows and columns.", expected=f"from 1 to {MOST} each", got=text
        )
    return Pattern("block", first, second)


def highest_of_each(scores: Tensor, kept: int, every: int) -> Tensor:
    """Return bool, shape of `scores` (rows, columns): the `kept` highest of every `every` in a row.

    Of equal ones those that come last stay. A rest at the end of a row keeps as many too.
    """
    rows, columns = scores.shape
    padded = torch.nn.functional.pad(scores, (0, -columns % every), value=-torch.inf)
    parts = padded.reshape(-1, every)
    better = torch.zeros(parts.shape, dtype=torch.int16)
    before = torch.arange(every)
    for k in range(every):
        other = parts[:, k : k + 1]
        # equals that come later win
        better += torch.where(before < k, other >= parts, other > parts)
    return (better < kept).reshape(rows, -1)[:, :columns]


def blocks_of(shape: tuple[int, ...], rows: int, columns: int) -> Tensor:
    """Return int64, shape of the weight: the number of the block that each weight is in."""
    out = shape[0] if shape else 1
    wide = 1
    for size in shape[1:]:
        wide *= size
    across = -(-wide // columns)
    row = torch.arange(out) // rows
    column = torch.arange(wide) // columns
    return (row[:, None] * across + column).reshape(shape)


def block_scores(scores: Tensor, of: Tensor) -> Tensor:
    """Return the mean score of each block, shape (blocks,)."""
    flat = of.flatten()
    count = int(flat[-1]) + 1
    total = torch.zeros(count, dtype=torch.float64)
    total.index_add_(0, flat, scores.flatten().double())
    return (total / torch.bincount(flat, minlength=count)).to(scores.dtype)
