"""What the numbers of a network look like: weights, activations, inputs, similarity of units."""

from prunevis.statistics.collecting import collect_statistics, collect_steps, collection
from prunevis.statistics.gradients import GateStatistics, GradientStatistics
from prunevis.statistics.inputs import InputStatistics
from prunevis.statistics.positions import (
    cut_table,
    first_position,
    largest_gone,
    position_table,
    unit_cut_table,
)
from prunevis.statistics.records import (
    COLLECTABLE,
    ActivationStatistics,
    Statistics,
    StatisticsProgress,
)
from prunevis.statistics.responses import ResponseStatistics
from prunevis.statistics.similarity import (
    SimilarPair,
    cosine_steps,
    most_similar_pairs,
    weight_cosine,
)
from prunevis.statistics.weights import (
    Histogram,
    WeightSummary,
    count_within,
    summarize_weights,
    unit_axis,
    unit_rows,
    weight_histogram,
)

__all__ = [
    "COLLECTABLE",
    "ActivationStatistics",
    "GateStatistics",
    "GradientStatistics",
    "Histogram",
    "InputStatistics",
    "ResponseStatistics",
    "SimilarPair",
    "Statistics",
    "StatisticsProgress",
    "WeightSummary",
    "collect_statistics",
    "collect_steps",
    "collection",
    "cosine_steps",
    "count_within",
    "cut_table",
    "first_position",
    "largest_gone",
    "most_similar_pairs",
    "position_table",
    "summarize_weights",
    "unit_axis",
    "unit_cut_table",
    "unit_rows",
    "weight_cosine",
    "weight_histogram",
]
