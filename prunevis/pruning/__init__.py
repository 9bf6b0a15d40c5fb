"""What goes: a request, an order of removal, a plan, and its masked or smaller network."""

from prunevis.pruning.cuts import Ranking
from prunevis.pruning.masking import candidate, masked, masked_tensors, tensor_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.ranking import rank, rank_steps
from prunevis.pruning.removal import remove
from prunevis.pruning.spec import GRANULARITIES, SCOPES, PruningSpec, check_sparsity
from prunevis.pruning.workspace import Workspace

__all__ = [
    "GRANULARITIES",
    "SCOPES",
    "PruningPlan",
    "PruningSpec",
    "Ranking",
    "Workspace",
    "candidate",
    "check_sparsity",
    "masked",
    "masked_tensors",
    "rank",
    "rank_steps",
    "remove",
    "tensor_masks",
]
