"""What matters: rules that give each weight or unit its importance, higher = keep.

Importing this package files every built-in criterion in `CRITERIA`, in the order of a menu.
"""

# isort: off
from prunevis.criteria.base import CRITERIA, NEEDS, Criterion, importance, prepared, prepared_steps
from prunevis.criteria.context import ScoreContext
from prunevis.criteria.magnitude import Magnitude
from prunevis.criteria.layer_threshold import LayerThreshold
from prunevis.criteria.lamp import LayerAdaptiveMagnitude
from prunevis.criteria.synflow import SynapticFlow
from prunevis.criteria.norms import L1Norm, L2Norm
from prunevis.criteria.bn_scale import BatchNormScale
from prunevis.criteria.geometric_median import GeometricMedian
from prunevis.criteria.mean_activation import MeanActivation
from prunevis.criteria.std_activation import ActivationDeviation
from prunevis.criteria.apoz import ActiveShare
from prunevis.criteria.mutual_information import MutualInformation
from prunevis.criteria.hrank import MapRank
from prunevis.criteria.wanda import Wanda, WandaLayer
from prunevis.criteria.obs import OptimalBrainSurgeon
from prunevis.criteria.thinet import GreedyReconstruction
from prunevis.criteria.reconstruction import Reconstruction
from prunevis.criteria.snip import ConnectionSensitivity
from prunevis.criteria.taylor_weight import TaylorWeight
from prunevis.criteria.obd import OptimalBrainDamage
from prunevis.criteria.grasp import GradientSignal
from prunevis.criteria.movement import Movement
from prunevis.criteria.taylor_unit import TaylorActivation, TaylorGate
from prunevis.criteria.fisher import Fisher
from prunevis.criteria.redundancy import ActivationCorrelation, WeightSimilarity
from prunevis.criteria.merge_error import MergeError
from prunevis.criteria.kernel_similarity import KernelSimilarity
from prunevis.criteria.oracle import Oracle
from prunevis.criteria.random import Random
# isort: on

__all__ = [
    "CRITERIA",
    "NEEDS",
    "ActivationCorrelation",
    "ActivationDeviation",
    "ActiveShare",
    "BatchNormScale",
    "ConnectionSensitivity",
    "Criterion",
    "Fisher",
    "GeometricMedian",
    "GradientSignal",
    "GreedyReconstruction",
    "KernelSimilarity",
    "L1Norm",
    "L2Norm",
    "LayerAdaptiveMagnitude",
    "LayerThreshold",
    "Magnitude",
    "MapRank",
    "MeanActivation",
    "MergeError",
    "Movement",
    "MutualInformation",
    "OptimalBrainDamage",
    "OptimalBrainSurgeon",
    "Oracle",
    "Random",
    "Reconstruction",
    "ScoreContext",
    "SynapticFlow",
    "TaylorActivation",
    "TaylorGate",
    "TaylorWeight",
    "Wanda",
    "WandaLayer",
    "WeightSimilarity",
    "importance",
    "prepared",
    "prepared_steps",
]
