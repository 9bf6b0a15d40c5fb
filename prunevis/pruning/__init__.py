"""What goes: a request, an order of removal, a plan, and its masked or smaller network."""

from prunevis.pruning.cuts import Ranking
from prunevis.pruning.masking import candidate, masked, masked_tensors, tensor_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.ranking import rank, rank_steps
from prunevis.pruning.removal import remove
from prunevis.pruning.repairs import REPAIRS, Mending, Repair, Repaired, mending_of, repaired
from prunevis.pruning.spec import GRANULARITIES, SCOPES, PruningSpec, check_sparsity
from prunevis.pruning.workspace import Workspace

__all__ = [
    "GRANULARITIES",
    "REPAIRS",
    "SCOPES",
    "Mending",
    "PruningPlan",
    "PruningSpec",
    "Ranking",
    "Repair",
    "Repaired",
    "Workspace",
    "candidate",
    "check_sparsity",
    "masked",
    "masked_tensors",
    "mending_of",
    "rank",
    "rank_steps",
    "remove",
    "repaired",
    "tensor_masks",
]
