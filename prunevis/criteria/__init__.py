"""What matters: rules that give each weight or unit its importance, higher = keep.

Importing this package files every built-in criterion in `CRITERIA`, in the order of a menu.
"""

# isort: off
from prunevis.criteria.base import CRITERIA, Criterion, ScoreContext, importance
from prunevis.criteria.magnitude import Magnitude
from prunevis.criteria.norms import L1Norm, L2Norm
from prunevis.criteria.bn_scale import BatchNormScale
from prunevis.criteria.mean_activation import MeanActivation
from prunevis.criteria.apoz import ActiveShare
from prunevis.criteria.redundancy import ActivationCorrelation, WeightSimilarity
from prunevis.criteria.random import Random
# isort: on

__all__ = [
    "CRITERIA",
    "ActivationCorrelation",
    "ActiveShare",
    "BatchNormScale",
    "Criterion",
    "L1Norm",
    "L2Norm",
    "Magnitude",
    "MeanActivation",
    "Random",
    "ScoreContext",
    "WeightSimilarity",
    "importance",
]
