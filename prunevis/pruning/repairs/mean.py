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
    exact_for = frozenset({"dead", "constant"})

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Add what is lost on average; SpecError where there is nowhere to add it."""
        if not reader.takes_constant:
            raise SpecError(
                f"`{reader.layer.name}` has neither a bias nor a BatchNorm of its own that could "
                "take a constant; the smaller network would have to gain a bias."
            )
        lost = reader.weight * ~reader.kept
        constant = (lost @ reader.inputs.mean[:, :, None])[:, :, 0]
        return Change(reader.weight, constant, BORDER if padded(reader, context) else None)


def padded(reader: Reader, context: RepairContext) -> bool:
    """Whether the reader is a convolution that reads beyond the border of its input."""
    try:
        module = context.model.get_submodule(reader.layer.name)
    except AttributeError:
        return False
    padding = getattr(module, "padding", 0)
    if isinstance(padding, str):
        return padding == "same"
    return any(padding) if isinstance(padding, tuple) else bool(padding)
