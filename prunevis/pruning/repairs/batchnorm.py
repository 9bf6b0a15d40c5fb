"""Running statistics of BatchNorms are estimated anew on what the pruned network gives them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from prunevis.errors import ModelError, SpecError
from prunevis.graph.layers import ModelGraph
from prunevis.graph.state import untouched
from prunevis.pruning.repairs.base import (
    REPAIRS,
    ExactFor,
    Repair,
    RepairContext,
    Repaired,
    RepairNeed,
)
from prunevis.pruning.repairs.leastsquares import LeastSquares

#: Examples in a batch; statistics are means over batches.
BATCH = 128


@REPAIRS.register("batchnorm")
class BatchNormRepair(Repair):
    """Each BatchNorm's running mean and variance are measured again, by forward passes.

    The pruned network runs over the calibration examples with its BatchNorms, and nothing else, in
    training mode; their statistics become the mean of the batches' (as `momentum=None` does).
    Exact in the sense that the outputs of every BatchNorm again have the mean and variance that its
    shift and scale say.
    """

    label = "BatchNorm statistics"
    summary = "Averages and spreads that BatchNorm subtracts are measured again on what is left."
    formula = "μ, σ² ← mean, variance of what arrives after pruning"
    source = "Mariet & Sra 2016; Li et al. 2020 (EagleEye)"
    url = "https://arxiv.org/abs/2007.02491"
    granularities = ("weight", "unit")
    needs: frozenset[RepairNeed] = frozenset({"examples"})

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Say so where there is no BatchNorm with running statistics."""
        if any(name.endswith("running_mean") for name in graph.tensors):
            return None
        return "This network has no BatchNorm with running statistics."

    def repair(self, context: RepairContext) -> Repaired:
        """Measure the statistics of the pruned network."""
        reason = self.unavailable(context.graph)
        if reason is not None:
            return Repaired({}, {name: reason for name in context.plan.removed if name})
        return Repaired(recalibrated(context, {}))


@REPAIRS.register("least-squares-batchnorm")
class LeastSquaresBatchNorm(LeastSquares):
    """Least squares first, then the BatchNorm statistics of the network that this gives.

    Least squares rebuilds the mean of what a layer gives and a part of its spread; behind it a
    BatchNorm still divides by the spread as it was, and measuring that again gives it back.
    """

    label = "Least squares, then BatchNorm"
    summary = "The next layer is fitted anew, and then BatchNorm's averages are measured again."
    formula = "V_S ← V_S + V_R Σ_RS (Σ_SS + λI)⁻¹, then μ, σ² ← of what arrives"
    source = "Luo et al. 2017 (ThiNet); Li et al. 2020 (EagleEye)"
    url = "https://arxiv.org/abs/2007.02491"
    needs: frozenset[RepairNeed] = frozenset({"inputs", "moments", "examples"})
    exact_for: frozenset[ExactFor] = frozenset()

    def unavailable(self, graph: ModelGraph) -> str | None:
        """Say so where there is no BatchNorm with running statistics."""
        return BatchNormRepair().unavailable(graph)

    def repair(self, context: RepairContext) -> Repaired:
        """Fit every reader anew, then measure the statistics."""
        found = super().repair(context)
        if self.unavailable(context.graph) is not None:
            return found
        return replace(found, tensors={**found.tensors, **recalibrated(context, found.tensors)})


def recalibrated(context: RepairContext, changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return running means and variances of the network pruned by the plan.

    Parameters
    ----------
    context
        With `inputs`.
    changed
        Tensors that another repair has changed already, of full size.

    Raises
    ------
    SpecError
        If there are no calibration examples.
    ModelError
        If the network cannot be copied.
    """
    from prunevis.pruning.masking import tensor_masks

    if context.inputs is None or not len(context.inputs):
        raise SpecError(
            "Measuring BatchNorm statistics again takes examples to run, and there are none.",
            fix="Pass data, or inputs=... where the plan is made.",
        )
    try:
        model = copy.deepcopy(context.model)
    except Exception as error:
        raise ModelError(
            f"The model cannot be copied: {type(error).__name__}: {error}",
            fix="Choose another repair.",
        ) from error
    own: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    masks = tensor_masks(context.plan)
    with torch.no_grad():
        for name in {*changed, *masks}:
            value = changed.get(name, context.tensors[name]).to(own[name])
            own[name].copy_(value * masks[name].to(value.device) if name in masks else value)
    norms = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]
    device = next((t.device for t in own.values()), torch.device("cpu"))
    with torch.inference_mode(False), untouched(model):
        for _, module in norms:
            module.training = True
            module.momentum = None
            module.reset_running_stats()
        # a last batch of one example has no variance
        for batch in context.inputs.split(BATCH):
            if len(batch) > 1 or len(context.inputs) == 1:
                model(batch.detach().clone().to(device))
    found: dict[str, Tensor] = {}
    for name, module in norms:
        for key in ("running_mean", "running_var"):
            new, full = getattr(module, key), f"{name}.{key}"
            if full not in context.tensors or not module.num_batches_tracked:
                continue
            old = context.tensors[full]
            gone = _gone(context, full, old)
            # units that go keep theirs: a variance of nothing would be zero
            found[full] = torch.where(gone, old, new.to(old))
    return found


def _gone(context: RepairContext, tensor: str, like: Tensor) -> Tensor:
    """Return bool, shape of `like`: which units of a running statistic go."""
    gone = torch.zeros(like.shape, dtype=torch.bool)
    for name, kept in context.plan.kept.items():
        group = context.graph.groups[name]
        stays = torch.zeros(group.size, dtype=torch.bool)
        stays[kept] = True
        for member in group.members:
            if member.tensor == tensor:
                gone |= torch.where(member.units >= 0, ~stays[member.units.clamp(min=0)], False)
    return gone.to(like.device)
