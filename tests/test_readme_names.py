"""The public names: they are there, and take what the README and the design say they take."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import prunevis as pv

README = Path(__file__).parents[1] / "README.md"

#: How each public function may be called; values do not matter here, names and places do.
CALLS = [
    ("explore", (), {}),
    ("explore", ("model", "data"), {"example_input": 0, "calibration": 0, "device": "auto"}),
    ("load_model", ("name",), {}),
    ("load_data", ("name",), {}),
    ("load_data", (), {}),
    ("trace", ("model", "example_input"), {}),
    ("collect_statistics", ("model", "data"), {"graph": 0}),
    ("rank", ("model", "spec"), {"statistics": 0}),
    ("rank", ("model",), {"graph": 0, "data": 0}),
    ("masked", ("model", "plan"), {}),
    ("remove", ("model", "plan"), {}),
    ("cost", ("graph", "plan"), {}),
    ("cost", ("graph",), {}),
    ("evaluate", ("model", "data"), {}),
    ("estimate_accuracy", ("model", "data"), {"baseline": 0}),
    ("tradeoff", ("model", "data"), {}),
    ("sensitivity", ("model", "data"), {}),
    ("fine_tune", ("model", "data"), {"plan": 0}),
    (
        "prune",
        ("model", "data"),
        {"criterion": "", "granularity": "", "scope": "", "sparsity": 0, "layers": None},
    ),
    (
        "PruningSpec",
        (),
        {"criterion": "", "granularity": "", "scope": "", "sparsity": 0, "layers": None},
    ),
    ("prune", ("model", "data"), {"keep": 0.5, "of": "macs", "multiple_of": 8, "min_units": 2}),
    ("prune", ("model", "data"), {"pattern": "2:4"}),
    ("tradeoff", ("model", "data"), {"of": "macs", "sparsities": [0.5]}),
    ("read_masks", ("model",), {}),
    ("made_permanent", ("model",), {}),
    ("attach_masks", ("model", "plan"), {}),
    ("plan_from_masks", ("graph", "masks"), {}),
    ("plan_of_slices", ("model", "graph", 0.5), {"n": 1, "dim": 0}),
    ("plain_state", ("state",), {}),
    ("masked_state", ("state", "plan"), {}),
    ("Data", ("train", "test", "class_names"), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), CALLS)
def test_signatures(name, args, options):
    inspect.signature(getattr(pv, name)).bind(*args, **options)


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        ("ModelGraph", ("layers", "groups", "macs", "num_params")),
        ("Ranking", ("plan", "counts", "skipped")),
        ("PruningPlan", ("masks", "kept", "removed", "achieved_sparsity")),
        ("ModelCost", ("num_params", "nonzero_params", "macs", "effective_macs", "bytes")),
        ("ModelCost", ("removed_macs", "compression_ratio", "theoretical_speedup", "flops")),
        ("Evaluation", ("accuracy", "loss", "correct", "total")),
        ("AccuracyEstimate", ("value", "low", "high", "seen", "exact")),
        ("Pruned", ("model", "plan", "cost_before", "cost_after", "accuracy_before")),
        ("Pruned", ("accuracy_after",)),
        ("FineTuneProgress", ("epoch", "step", "loss", "accuracy")),
        ("Data", ("train", "test", "class_names")),
    ],
)
def test_attributes(owner, names):
    cls = getattr(pv, owner)
    fields = set(getattr(cls, "__dataclass_fields__", ())) | set(getattr(cls, "_fields", ()))
    for name in names:
        assert name in fields or hasattr(cls, name), (owner, name)


def test_registries_and_modules():
    assert {"magnitude", "random", "l1", "l2", "bn-scale", "apoz"} <= set(pv.CRITERIA)
    assert {"mean-activation"} <= set(pv.CRITERIA)
    assert list(pv.MODELS) == ["lenet-300-100", "lenet5", "resnet8", "mobile"]
    assert list(pv.DATASETS) == ["fashion-mnist"]
    inspect.signature(pv.testing.check_criterion).bind("l1")


@pytest.mark.parametrize(
    "name",
    [
        "weight_histogram", "neuron_activity", "similarity_matrix", "tradeoff", "sensitivity",
        "layer_costs",
    ],
)  # fmt: skip
def test_plots_draw_on_an_ax_or_make_their_own(name):
    parameters = inspect.signature(getattr(pv.plots, name)).parameters
    assert parameters["ax"].default is None
    assert parameters["theme"].default == "light"


def test_every_name_is_listed_is_there_and_is_documented():
    assert set(pv.__all__) <= set(dir(pv))
    for name in pv.__all__:
        value = getattr(pv, name)
        if callable(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pv.nonsense


def test_functions_win_over_modules_of_the_same_name():
    code = (
        "import prunevis, prunevis.evaluation.sensitivity, prunevis.evaluation.tradeoff, "
        "prunevis.graph.cost, prunevis.graph.trace\n"
        "for n in ('sensitivity', 'tradeoff', 'cost', 'trace'):\n"
        "    assert callable(getattr(prunevis, n)), n\n"
        "assert callable(prunevis.plots.sensitivity)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)


@pytest.mark.skipif(not README.exists(), reason="the README is not in the wheel")
def test_the_readme_s_code_uses_names_that_exist():
    assert blocks()
    for block in blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "pv":
                    places = [ast.dump(arg) for arg in node.args]
                    names = {k.arg: 0 for k in node.keywords if k.arg}
                    inspect.signature(getattr(pv, node.func.attr)).bind(*places, **names)
    for name in re.findall(r"`pv\.([A-Za-z_]+)", README.read_text("utf-8")):
        assert hasattr(pv, name), name


def test_the_parts_fit_together(mlp, mlp_data, untouched_model):
    """The lines of the design, one after the other, on a network nobody has seen."""
    check = untouched_model(mlp)
    graph = pv.trace(mlp, mlp_data.test.inputs[:1])
    statistics = pv.collect_statistics(mlp, mlp_data, graph=graph)
    spec = pv.PruningSpec(criterion="apoz", granularity="unit", scope="layer", sparsity=0.5)
    plan = pv.rank(mlp, spec, graph=graph, statistics=statistics).plan(0.25)
    smaller = pv.remove(mlp, plan)
    with pv.masked(mlp, plan):
        masked = pv.evaluate(mlp, mlp_data)
    assert pv.evaluate(smaller, mlp_data).accuracy == masked.accuracy
    assert pv.cost(graph, plan).num_params == sum(p.numel() for p in smaller.parameters())
    baseline = pv.evaluate(mlp, mlp_data)
    *_, last = pv.estimate_accuracy(smaller, mlp_data, baseline=baseline)
    assert last.exact
    assert last.value == masked.accuracy
    tuned = pv.fine_tune(mlp, mlp_data, plan=plan, epochs=1)
    assert tuned.before.accuracy == masked.accuracy
    assert pv.tradeoff(mlp, mlp_data, sparsities=[0.0, 0.5]) is not None
    assert pv.sensitivity(mlp, mlp_data, sparsities=[0.5]).estimates.keys() == {"fc1", "fc2"}
    result = pv.prune(mlp, mlp_data, criterion="magnitude", scope="global", sparsity=0.5)
    assert torch.equal(result.model.fc3.weight, mlp.fc3.weight)
    check()
