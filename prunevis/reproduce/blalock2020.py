"""Blalock et al. 2020: the baselines of ShrinkBench under one protocol, and its report card."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import prunevis
from prunevis.evaluation import evaluate, report_card
from prunevis.graph import CostModel
from prunevis.pruning import Ranking, tensor_masks
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, ranked, trained
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.zoo.architectures import LeNet5

#: ShrinkBench's names: our criterion and scope.
METHODS = {
    "Global Magnitude": ("magnitude", "global"),
    "Layerwise Magnitude": ("magnitude", "layer"),
    "Global Gradient Magnitude": ("snip", "global"),
    "Layerwise Gradient Magnitude": ("snip", "layer"),
    "Random": ("random", "global"),
}
#: Compression ratios of the paper, the dense control first.
COMPRESSIONS = (1, 2, 4, 8, 16, 32)
#: Epochs of the first training and after pruning; learning rate of each.
DENSE_EPOCHS, EPOCHS = 2.0, 0.2
DENSE_RATE, RATE = 0.05, 0.01
#: Images of the one batch that gradients are taken of.
BATCH = 128
#: Compression from which methods are told apart; below, all are as good as the dense network.
FAR = 8


@REPRODUCTIONS.register("blalock2020")
class Blalock2020(Reproduction):
    """What is the State of Neural Network Pruning?"""

    title = "Blalock et al. 2020: What is the State of Neural Network Pruning?"
    citation = "D. Blalock, J. J. Gonzalez Ortiz, J. Frankle, J. Guttag, MLSys 2020."
    url = "https://arxiv.org/abs/2003.03033"
    summary = (
        "ShrinkBench's five baselines on LeNet-5 and MNIST under one protocol: pruned once, "
        "fine-tuned alike, judged against size and against multiply-adds, with mean and spread."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        report = Report()
        rows = [row for seed in context.seeds for row in self._rows(context, seed)]
        report.results["rows"] = rows
        data = context.data().name
        _compare(report, rows)
        _figures(report, rows, data)
        report.heading("Report card")
        report.text(
            "The paper's checklist, held against this very experiment. MNIST and LeNet-5 are no "
            "modern pair, and the paper says that they do not count: the card says so too."
        )
        report.text(report_card([_named(row, data) for row in rows if row["sparsity"]]).markdown)
        _differences(report)
        return report

    def _rows(self, context: Context, seed: int) -> list[dict[str, Any]]:
        """Return all of one seed: its dense network, and that pruned in every way."""
        data = context.data()
        ratios = (1, 16) if context.short else COMPRESSIONS

        def train(model: nn.Module) -> nn.Module:
            epochs = context.epochs(DENSE_EPOCHS)
            return trained(model, data, epochs, lr=DENSE_RATE, weight_decay=1e-4, seed=seed)

        dense = context.network(f"dense-{seed}", lambda: new(LeNet5, seed), train)
        before = context.piece(
            f"before-{seed}", lambda: {"accuracy": evaluate(dense, data.test).accuracy}
        )["accuracy"]
        rankings: dict[str, Ranking] = {}

        def pruned(method: str, ratio: int) -> dict[str, Any]:
            if method not in rankings:
                criterion, scope = METHODS[method]
                # the classifier is left out unless it is asked for, as in ShrinkBench
                rankings[method] = ranked(
                    dense, data, criterion, scope=scope, examples=BATCH, seed=seed
                )
            return _pruned(context, dense, rankings[method], ratio, seed)

        # nothing is pruned at 1: one control for all methods
        control = context.piece(f"control-{seed}", lambda: pruned("Random", 1))
        rows = []
        for method in METHODS:
            for ratio in ratios:
                found = control
                if ratio > 1:
                    found = context.piece(
                        f"{method.lower().replace(' ', '-')}-{ratio}-{seed}",
                        lambda method=method, ratio=ratio: pruned(method, ratio),
                    )
                rows.append({"method": method, "seed": seed, "compression": ratio,
                             "accuracy_dense": before, **found})  # fmt: skip
        return rows


def share_kept(total: int, prunable: int, compression: float) -> float:
    """Return the share of the prunable weights that stays: ShrinkBench's ``f``.

    ``f = (total / compression - nonprunable) / prunable``: what is not pruned counts as size, and
    the rest pays for it.

    Raises
    ------
    ValueError
        If what cannot be pruned is too large already.

    Examples
    --------
    >>> share_kept(1000, 900, 5)  # 200 stay, 100 of them anyway: 100 of 900
    0.1111111111111111
    """
    share = (total / compression - (total - prunable)) / prunable
    if not 0 < share <= 1:
        raise ValueError(f"{prunable:,} of {total:,} cannot make it {compression:g}× smaller.")
    return share


def _pruned(
    context: Context, dense: nn.Module, ranking: Ranking, ratio: int, seed: int
) -> dict[str, Any]:
    """Prune a copy of a network, fine-tune it, and say what came out."""
    data = context.data()
    costs = CostModel(ranking.graph)
    prunable = sum(ranking.total.values())
    plan = ranking.plan(1 - share_kept(costs.base_params, prunable, ratio))
    cost = costs.cost(plan)
    model = LeNet5()
    model.load_state_dict(dense.state_dict())
    trained(
        model,
        data,
        EPOCHS,
        tensor_masks(plan),
        lr=RATE,
        weight_decay=1e-4,
        seed=seed,
    )
    return {
        "sparsity": plan.achieved_sparsity,
        "accuracy": evaluate(model, data.test).accuracy,
        "compression_ratio": cost.compression_ratio,
        "theoretical_speedup": cost.theoretical_speedup,
    }


def _named(row: dict[str, Any], data: str) -> dict[str, Any]:
    """Return a row as report cards and figures read it."""
    criterion, scope = METHODS[row["method"]]
    return {
        **row,
        "model": "LeNet-5",
        "data": data,
        "criterion": criterion,
        "granularity": "weight",
        "scope": scope,
        "schedule": "one-shot",
        "epochs": EPOCHS,
        "lr": RATE,
        "prunevis": prunevis.__version__,
        "torch": torch.__version__,
    }


def means(rows: list[dict[str, Any]], method: str, field: str) -> dict[int, float]:
    """Return means over seeds of one field, by compression."""
    mine = [row for row in rows if row["method"] == method]
    ratios = sorted({row["compression"] for row in mine})
    return {r: float(np.mean([m[field] for m in mine if m["compression"] == r])) for r in ratios}


def at_equal_speedup(rows: list[dict[str, Any]], first: str, second: str) -> tuple[float, float]:
    """Return the mean accuracy of two methods where both save as many multiply-adds.

    Accuracy is read off each curve, a straight line between points over the logarithm of the
    speedup, at 20 places from twice the multiply-adds saved to as far as both curves go.
    """
    curves = []
    for method in (first, second):
        speedup, accuracy = (
            np.array(list(means(rows, method, field).values()))
            for field in ("theoretical_speedup", "accuracy")
        )
        order = np.argsort(speedup)
        curves.append((np.log2(speedup[order]), accuracy[order]))
    most = min(float(x[-1]) for x, _ in curves)
    places = np.linspace(min(1.0, most), most, 20)
    a, b = (float(np.interp(places, x, y).mean()) for x, y in curves)
    return a, b


def _compare(report: Report, rows: list[dict[str, Any]]) -> None:
    far = [r for r in means(rows, "Random", "accuracy") if r >= FAR]
    accuracy = {method: means(rows, method, "accuracy") for method in METHODS}
    overall = {method: float(np.mean([accuracy[method][r] for r in far])) for method in METHODS}
    before = list({row["seed"]: 100 * row["accuracy_dense"] for row in rows}.values())
    report.compare("LeNet-5, accuracy of the dense network, %", "-", mean_and_spread(before))

    def holds(better: str, worse: str, a: float, b: float, what: str, paper: str) -> None:
        report.compare(
            f"{what}: accuracy of {better} against {worse}, %",
            paper,
            f"{100 * a:.2f} against {100 * b:.2f}",
            "ordering holds" if a > b else "differs",
        )

    size = f"At equal size, {FAR}× and beyond"
    for magnitude in ("Global Magnitude", "Layerwise Magnitude"):
        holds(magnitude, "Random", overall[magnitude], overall["Random"], size, "above")
    glob, layer = "Global Magnitude", "Layerwise Magnitude"
    holds(glob, layer, overall[glob], overall[layer], size, "above (ResNet-18)")
    b, a = at_equal_speedup(rows, glob, layer)
    what = "At equal multiply-adds"
    holds(layer, glob, a, b, what, "above (ResNet-18)")


def _figures(report: Report, rows: list[dict[str, Any]], data: str) -> None:
    from prunevis import plots

    report.heading("Accuracy by compression")
    ratios = sorted({row["compression"] for row in rows})
    table = []
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        cells = [
            mean_and_spread([100 * m["accuracy"] for m in mine if m["compression"] == r])
            for r in ratios
        ]
        table.append([method, *cells])
    report.text("Mean ± sample standard deviation over seeds, in percent; 1 is the control.")
    report.table(["", *(f"{ratio}×" for ratio in ratios)], table)
    speed = [
        [
            method,
            *(f"{value:.1f}×" for value in means(rows, method, "theoretical_speedup").values()),
        ]
        for method in METHODS
    ]
    report.text("The same networks: how many times fewer multiply-adds.")
    report.table(["", *(f"{ratio}×" for ratio in ratios)], speed)
    named = [_named(row, data) for row in rows]
    for x, words in (("compression", "size"), ("speedup", "multiply-adds")):
        ax = plots.tradeoff_judged(named, x=x, title=f"LeNet-5 on MNIST, against {words}")
        report.figure(x, ax, f"Accuracy of five baselines against {words}, mean and spread")


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "The paper ran CIFAR-VGG, ResNet-20, -56 and -110 on CIFAR-10 and ResNet-18 on ImageNet; "
        "none of these fits a quarter of an hour on one core. The protocol is theirs (one trained "
        "network a seed, five baselines, one shot, the classifier not pruned, sizes with all "
        "parameters in them), the network is that of ShrinkBench's tutorial, for which we know no "
        "printed numbers. What is set against the paper are therefore orderings, as they are "
        "quoted from its figures; on another network they need not hold, which is the paper's own "
        "point: results vary with the network."
    )
    report.text(
        f"Fine-tuning is short: {EPOCHS:g} of an epoch at a learning rate of {RATE:g} falling to "
        f"0, after {DENSE_EPOCHS:g} epochs of training; the paper's is 20 to 30 epochs (that from "
        "memory). Differences between methods are larger for it, since there is less time to mend "
        "what was torn. Random takes weights by one order over all layers, where ShrinkBench draws "
        "each by itself, and is exact in number. Gradients are of one batch, in evaluation mode."
    )
