"""What pruning costs: accuracy (exact or anytime), trade-off, sensitivity, storage."""

from prunevis.evaluation.agreement import (
    Agreement,
    AgreementProgress,
    CriterionAgreement,
    agreement,
    agreement_steps,
    unit_criteria,
)
from prunevis.evaluation.compare import Side, compare, compare_steps
from prunevis.evaluation.comparison import Changed, ClassPair, Comparison, LayerPair
from prunevis.evaluation.engine import Engine
from prunevis.evaluation.estimate import AccuracyEstimate, Sampler, Stream, estimate_accuracy
from prunevis.evaluation.exact import Evaluation, evaluate, evaluate_steps
from prunevis.evaluation.latency import (
    LatencyProgress,
    compare_latency,
    compare_latency_steps,
    latency,
    latency_steps,
)
from prunevis.evaluation.latency_curve import tradeoff_latency
from prunevis.evaluation.latency_records import Latency, LatencyComparison
from prunevis.evaluation.metrics import MetricEstimate, estimate
from prunevis.evaluation.oneshot import Pruned, prune
from prunevis.evaluation.oracle import (
    Oracle,
    OracleCost,
    OracleProgress,
    oracle,
    oracle_cost,
    oracle_cost_steps,
    oracle_groups,
    oracle_steps,
)
from prunevis.evaluation.pareto import pareto_front
from prunevis.evaluation.positions import baseline_steps, blocks, coarse_to_fine
from prunevis.evaluation.published import Published, published
from prunevis.evaluation.race import RaceProgress, race, race_steps
from prunevis.evaluation.race_records import Race, RacePoint, Racer, RaceRun
from prunevis.evaluation.references import Reference
from prunevis.evaluation.report_card import ReportCard, ReportItem, report_card
from prunevis.evaluation.sensitivity import Sensitivity, sensitivity, sensitivity_steps
from prunevis.evaluation.storage import (
    Storage,
    compressed_bytes,
    storage_steps,
    stored_bytes,
)
from prunevis.evaluation.together import Together
from prunevis.evaluation.tradeoff import Tradeoff, TradeoffPoint, tradeoff

__all__ = [
    "AccuracyEstimate",
    "Agreement",
    "AgreementProgress",
    "Changed",
    "ClassPair",
    "Comparison",
    "CriterionAgreement",
    "Engine",
    "Evaluation",
    "Latency",
    "LatencyComparison",
    "LatencyProgress",
    "LayerPair",
    "MetricEstimate",
    "Oracle",
    "OracleCost",
    "OracleProgress",
    "Pruned",
    "Published",
    "Race",
    "RacePoint",
    "RaceProgress",
    "RaceRun",
    "Racer",
    "Reference",
    "ReportCard",
    "ReportItem",
    "Sampler",
    "Sensitivity",
    "Side",
    "Storage",
    "Stream",
    "Together",
    "Tradeoff",
    "TradeoffPoint",
    "agreement",
    "agreement_steps",
    "baseline_steps",
    "blocks",
    "coarse_to_fine",
    "compare",
    "compare_latency",
    "compare_latency_steps",
    "compare_steps",
    "compressed_bytes",
    "estimate",
    "estimate_accuracy",
    "evaluate",
    "evaluate_steps",
    "latency",
    "latency_steps",
    "oracle",
    "oracle_cost",
    "oracle_cost_steps",
    "oracle_groups",
    "oracle_steps",
    "pareto_front",
    "prune",
    "published",
    "race",
    "race_steps",
    "report_card",
    "sensitivity",
    "sensitivity_steps",
    "storage_steps",
    "stored_bytes",
    "tradeoff",
    "tradeoff_latency",
    "unit_criteria",
]
