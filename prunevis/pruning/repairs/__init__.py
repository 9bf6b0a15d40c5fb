"""Repair without training: one idea a file; see `prunevis.pruning.repairs.base`."""

# isort: off, the registry is in the order of a menu: from nothing to the best
from prunevis.pruning.repairs.base import (
    REPAIR_NEEDS,
    REPAIRS,
    Damage,
    Repair,
    RepairContext,
    Repaired,
    check_repair_name,
)
from prunevis.pruning.repairs.batchnorm import BatchNormRepair
from prunevis.pruning.repairs.leastsquares import LeastSquares, ObsSweep
from prunevis.pruning.repairs.mean import MeanRepair
from prunevis.pruning.repairs.mending import (
    Mending,
    calibration_inputs,
    mending_of,
    repaired,
)
from prunevis.pruning.repairs.merging import Merge
from prunevis.pruning.repairs.noiseout import NoiseOut

# isort: on

__all__ = [
    "REPAIRS",
    "REPAIR_NEEDS",
    "BatchNormRepair",
    "Damage",
    "LeastSquares",
    "MeanRepair",
    "Mending",
    "Merge",
    "NoiseOut",
    "ObsSweep",
    "Repair",
    "RepairContext",
    "Repaired",
    "calibration_inputs",
    "check_repair_name",
    "mending_of",
    "repaired",
]
