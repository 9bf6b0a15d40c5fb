"""What the numbers of a network look like: weights, activations, inputs, similarity of units."""

from prunevis.statistics.activations import collect_statistics, collect_steps
from prunevis.statistics.inputs import InputStatistics
from prunevis.statistics.positions import (
    cut_table,
    first_position,
    largest_gone,
    position_table,
    unit_cut_table,
)
from prunevis.statistics.records import ActivationStatistics, Statistics, StatisticsProgress
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
    "ActivationStatistics",
    "Histogram",
    "InputStatistics",
    "SimilarPair",
    "Statistics",
    "StatisticsProgress",
    "WeightSummary",
    "collect_statistics",
    "collect_steps",
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
