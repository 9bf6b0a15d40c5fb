"""What goes is replaced by its mean, and the bias of the layer that reads it takes that over."""

from __future__ import annotations

from prunevis.errors import SpecError
from prunevis.pruning.repairs.base import REPAIRS, RepairContext
from prunevis.pruning.repairs.readers import Change, Reader, ReaderRepair

#: A padded convolution reads zeros beyond the border, where a constant would have to be.
BORDER = (
    "Its input is padded with zeros, so a constant is missed at the border: the correction is the "
    "mean over all positions."
)


@REPAIRS.register("mean")
class MeanRepair(ReaderRepair):
    """The constant that what goes gave on average is folded into the bias.

    Exact where what goes is constant (and, for a convolution, not padded). It is NoiseOut's merge
    with α = 0, and least squares with nothing but the intercept.
    """

    label = "Mean into the bias"
    summary = "What goes is replaced by its average, which the next layer's bias takes over."
    formula = "c ← c + V_gone · mean(h_gone)"
    source = "Bandaru 2020; α = 0 in Babaeizadeh et al. 2016"
    url = "https://arxiv.org/abs/1611.06211"
    granularities = ("weight", "unit")
    needs = frozenset({"inputs"})

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Add what is lost on average; SpecError where there is nowhere to add it."""
        if not reader.takes_constant:
            raise SpecError(
                f"`{reader.layer.name}` has neither a bias nor a BatchNorm of its own that could "
                "take a constant; the smaller network would have to gain a bias."
            )
        lost = reader.weight * ~reader.kept
        constant = (lost @ reader.inputs.mean[:, :, None])[:, :, 0]
        return Change(reader.weight, constant, BORDER if padded(reader) else None)


def padded(reader: Reader) -> bool:
    """Whether the patches under a kernel reach over the border.

    Seen in the second moments: every channel then is zero more often under the outer columns of
    the kernel than under the middle one.
    """
    size = 1
    for length in reader.layer.weight_shape[2:]:
        size *= length
    if size == 1:
        return False
    square = reader.inputs.square.reshape(reader.inputs.square.shape[0], -1, size).sum(dim=1)
    return bool((square[:, 0] < square[:, size // 2] * (1 - 1e-6)).any())
