"""One pruned copy of a network that serves all positions of a slider, one after the other.

A masked copy of 25 million weights takes 100 MB and some 30 ms to make. Two positions that are
measured in turn would take twice that, so they share one: whoever runs it has it brought to his own
plan first, and only layers that lose another number of weights are masked again.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.func import functional_call

from prunevis.pruning.masking import masked_tensors
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.removal import remove


class Workspace:
    """Holds the pruned copy; used on one thread."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Let the copy go."""
        self._model: nn.Module | None = None
        # of weights: masked tensors, and what of each layer's weights they lack
        self._tensors: dict[str, Tensor] = {}
        self._removed: dict[str, int] = {}
        self._ranking: Any = ref(self)
        # of units: the smaller network, and the plan it was made for
        self._plan: PruningPlan | None = None
        self._smaller: nn.Module | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the masked or smaller tensors."""
        smaller = [] if self._smaller is None else [*self._smaller.parameters()]
        return sum(tensor.nbytes for tensor in (*self._tensors.values(), *smaller))

    def candidate(self, model: nn.Module, plan: PruningPlan) -> nn.Module:
        """Return a module that computes what `model` pruned by `plan` computes.

        As `prunevis.pruning.candidate`, but for evaluation mode only; it stays right whichever
        plans are run in between. `model` must not change while it is in use.

        Raises
        ------
        ModelError
            When it is run, if the plan is for another network.
        """
        return _Candidate(self, model, plan) if plan.num_removed else model

    def run(self, model: nn.Module, plan: PruningPlan, inputs: tuple[Any, ...]) -> Any:
        """Return what `model` pruned by `plan` gives for `inputs`."""
        if self._model is not model:
            self.clear()
            self._model = model
        if plan.granularity == "unit":
            return self._removed_by(model, plan)(*inputs)
        return functional_call(model, self._masked_by(model, plan), inputs)

    def _removed_by(self, model: nn.Module, plan: PruningPlan) -> nn.Module:
        if self._smaller is None or self._plan is not plan:
            self._tensors, self._removed = {}, {}
            self._smaller = None  # before the next one is made
            self._smaller = remove(model, plan, check=False)
            for module in self._smaller.modules():
                module.training = False
            self._plan = plan
        return self._smaller

    def _masked_by(self, model: nn.Module, plan: PruningPlan) -> dict[str, Tensor]:
        if plan.spec.repair != "none":
            # what stays changes too, so nothing of another position can be used again
            if self._plan is not plan:
                self._smaller, self._removed = None, {}
                self._tensors = masked_tensors(model, plan)
                self._plan = plan
            return self._tensors
        self._plan = self._smaller = None
        if plan.ranking is None or self._ranking() is not plan.ranking:
            self._removed = {}
            self._ranking = ref(self if plan.ranking is None else plan.ranking)
        masked: dict[str, Tensor] = {}
        for name, count in plan.removed.items():
            if not count:
                continue
            tensor = plan.graph.layers[name].weight
            if self._removed.get(name) != count:
                weight = model.get_parameter(tensor).detach()
                space = self._tensors.get(tensor)
                if space is None:
                    space = self._tensors[tensor] = torch.empty_like(weight)
                mask = plan.ranks[name] >= plan.cuts[name]
                torch.mul(weight, mask.to(weight.device), out=space)
                self._removed[name] = count
            masked[tensor] = self._tensors[tensor]
        return masked


class _Candidate(nn.Module):
    """A network as it is under a plan; `model` is a submodule, so that its device is found."""

    def __init__(self, workspace: Workspace, model: nn.Module, plan: PruningPlan) -> None:
        super().__init__()
        self.model = model
        self._workspace, self._plan = workspace, plan

    def forward(self, *inputs: Any) -> Any:
        return self._workspace.run(self.model, self._plan, inputs)
