"""See what pruning does to a neural network.

The page is `explore`; the same in code is `prune`, or its parts one by one: `trace`,
`collect_statistics`, `rank`, `Ranking.plan`, `masked` and `remove`, `cost`, `evaluate`. Names are
loaded when they are first used, so that importing prunevis costs little beyond torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "errors": (
        "DataError",
        "ModelError",
        "NonFiniteError",
        "NothingToPruneError",
        "PrunevisError",
        "SpecError",
        "TraceError",
        "UnknownNameError",
    ),
    "data": ("Data", "Examples"),
    "zoo": ("DATASETS", "MODELS", "load_data", "load_model"),
    "graph": ("CostModel", "ModelCost", "ModelGraph", "cost", "explain_coupling", "trace"),
    "statistics": ("Statistics", "collect_statistics"),
    "criteria": ("CRITERIA", "Criterion"),
    "pruning": (
        "REPAIRS",
        "PruningPlan",
        "PruningSpec",
        "Ranking",
        "Repair",
        "attach_masks",
        "made_permanent",
        "masked",
        "masked_state",
        "plain_state",
        "plan_from_masks",
        "plan_of_slices",
        "rank",
        "read_masks",
        "remove",
        "repaired",
    ),
    "evaluation": (
        "AccuracyEstimate",
        "Agreement",
        "Comparison",
        "Evaluation",
        "Latency",
        "LatencyComparison",
        "MetricEstimate",
        "Oracle",
        "Pruned",
        "Race",
        "Reference",
        "ReportCard",
        "agreement",
        "compare",
        "compare_latency",
        "estimate",
        "estimate_accuracy",
        "evaluate",
        "latency",
        "oracle",
        "oracle_cost",
        "pareto_front",
        "prune",
        "published",
        "race",
        "report_card",
        "sensitivity",
        "tradeoff",
        "tradeoff_latency",
    ),
    "sweeps": ("Grid", "read_sweep", "sweep"),
    "training": (
        "SCHEDULES",
        "FineTuneProgress",
        "FineTuneSettings",
        "Schedule",
        "Scheduled",
        "fine_tune",
        "make_schedule",
        "run_schedule",
    ),
    "export": ("Program", "load", "save", "save_onnx", "save_program", "save_state"),
    "session": ("Recipe", "RecipeStep"),
    "app": ("Explorer", "Replayed", "explore", "replay", "report"),
}
_MODULES = ("course", "plots", "testing")
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CRITERIA",
    "DATASETS",
    "MODELS",
    "REPAIRS",
    "SCHEDULES",
    "AccuracyEstimate",
    "Agreement",
    "Comparison",
    "CostModel",
    "Criterion",
    "Data",
    "DataError",
    "Evaluation",
    "Examples",
    "Explorer",
    "FineTuneProgress",
    "FineTuneSettings",
    "Grid",
    "Latency",
    "LatencyComparison",
    "MetricEstimate",
    "ModelCost",
    "ModelError",
    "ModelGraph",
    "NonFiniteError",
    "NothingToPruneError",
    "Oracle",
    "Program",
    "Pruned",
    "PrunevisError",
    "PruningPlan",
    "PruningSpec",
    "Race",
    "Ranking",
    "Recipe",
    "RecipeStep",
    "Reference",
    "Repair",
    "Replayed",
    "ReportCard",
    "Schedule",
    "Scheduled",
    "SpecError",
    "Statistics",
    "TraceError",
    "UnknownNameError",
    "__version__",
    "agreement",
    "attach_masks",
    "collect_statistics",
    "compare",
    "compare_latency",
    "cost",
    "course",
    "estimate",
    "estimate_accuracy",
    "evaluate",
    "explain_coupling",
    "explore",
    "fine_tune",
    "latency",
    "load",
    "load_data",
    "load_model",
    "made_permanent",
    "make_schedule",
    "masked",
    "masked_state",
    "oracle",
    "oracle_cost",
    "pareto_front",
    "plain_state",
    "plan_from_masks",
    "plan_of_slices",
    "plots",
    "prune",
    "published",
    "race",
    "rank",
    "read_masks",
    "read_sweep",
    "remove",
    "repaired",
    "replay",
    "report",
    "report_card",
    "run_schedule",
    "save",
    "save_onnx",
    "save_program",
    "save_state",
    "sensitivity",
    "sweep",
    "testing",
    "trace",
    "tradeoff",
    "tradeoff_latency",
]

if TYPE_CHECKING:
    from prunevis import course, plots, testing
    from prunevis.app import Explorer, Replayed, explore, replay, report
    from prunevis.criteria import CRITERIA, Criterion
    from prunevis.data import Data, Examples
    from prunevis.errors import (
        DataError,
        ModelError,
        NonFiniteError,
        NothingToPruneError,
        PrunevisError,
        SpecError,
        TraceError,
        UnknownNameError,
    )
    from prunevis.evaluation import (
        AccuracyEstimate,
        Agreement,
        Comparison,
        Evaluation,
        Latency,
        LatencyComparison,
        MetricEstimate,
        Oracle,
        Pruned,
        Race,
        Reference,
        ReportCard,
        agreement,
        compare,
        compare_latency,
        estimate,
        estimate_accuracy,
        evaluate,
        latency,
        oracle,
        oracle_cost,
        pareto_front,
        prune,
        published,
        race,
        report_card,
        sensitivity,
        tradeoff,
        tradeoff_latency,
    )
    from prunevis.export import Program, load, save, save_onnx, save_program, save_state
    from prunevis.graph import CostModel, ModelCost, ModelGraph, cost, explain_coupling, trace
    from prunevis.pruning import (
        REPAIRS,
        PruningPlan,
        PruningSpec,
        Ranking,
        Repair,
        attach_masks,
        made_permanent,
        masked,
        masked_state,
        plain_state,
        plan_from_masks,
        plan_of_slices,
        rank,
        read_masks,
        remove,
        repaired,
    )
    from prunevis.session import Recipe, RecipeStep
    from prunevis.statistics import Statistics, collect_statistics
    from prunevis.sweeps import Grid, read_sweep, sweep
    from prunevis.training import (
        SCHEDULES,
        FineTuneProgress,
        FineTuneSettings,
        Schedule,
        Scheduled,
        fine_tune,
        make_schedule,
        run_schedule,
    )
    from prunevis.zoo import DATASETS, MODELS, load_data, load_model


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(import_module(f"prunevis.{_WHERE[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"prunevis.{name}")
    else:
        raise AttributeError(f"module 'prunevis' has no attribute {name!r}")
    # `prunevis.sensitivity` is the function, also after a submodule of that name was imported
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
