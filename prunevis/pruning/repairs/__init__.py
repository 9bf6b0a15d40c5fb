"""Repair without training: one idea a file; see `prunevis.pruning.repairs.base`.

Importing this package files every repair in `REPAIRS`, in the order of a menu.
"""

# isort: off
from prunevis.pruning.repairs.base import (
    EXACT_FOR,
    REPAIR_NEEDS,
    REPAIRS,
    Damage,
    Repair,
    RepairContext,
    Repaired,
    check_repair_name,
)
from prunevis.pruning.repairs.mean import MeanRepair
from prunevis.pruning.repairs.merging import Merge
from prunevis.pruning.repairs.noiseout import NoiseOut
from prunevis.pruning.repairs.leastsquares import LeastSquares, ObsSweep
from prunevis.pruning.repairs.batchnorm import BatchNormRepair, LeastSquaresBatchNorm
from prunevis.pruning.repairs.mending import Mending, calibration_inputs, mending_of, repaired
# isort: on

__all__ = [
    "EXACT_FOR",
    "REPAIRS",
    "REPAIR_NEEDS",
    "BatchNormRepair",
    "Damage",
    "LeastSquares",
    "LeastSquaresBatchNorm",
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
