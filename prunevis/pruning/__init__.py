"""What goes: a request, an order of removal, a plan, and its masked or smaller network."""

from prunevis.pruning.cuts import Ranking
from prunevis.pruning.exchange import (
    attach_masks,
    made_permanent,
    masked_state,
    plain_state,
    plan_from_masks,
    read_masks,
)
from prunevis.pruning.masking import candidate, masked, masked_tensors, tensor_masks
from prunevis.pruning.plan import PruningPlan
from prunevis.pruning.ranking import rank, rank_steps
from prunevis.pruning.removal import remove
from prunevis.pruning.repairs import REPAIRS, Mending, Repair, Repaired, mending_of, repaired
from prunevis.pruning.slices import plan_of_slices
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
    "attach_masks",
    "candidate",
    "check_sparsity",
    "made_permanent",
    "masked",
    "masked_state",
    "masked_tensors",
    "mending_of",
    "plain_state",
    "plan_from_masks",
    "plan_of_slices",
    "rank",
    "rank_steps",
    "read_masks",
    "remove",
    "repaired",
    "tensor_masks",
]
