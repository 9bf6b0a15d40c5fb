"""Molchanov et al. 2016: criteria against the oracle, and pruning with updates between."""

from __future__ import annotations

from typing import Any

from torch import nn

from prunevis.evaluation import agreement
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, trained
from prunevis.reproduce.pictures import lines
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.training import FineTuneSettings, Scheduled, make_schedule, run_schedule
from prunevis.zoo.architectures import LeNet5

#: Table 1 of the paper's first version, VGG-16 on Birds-200: ρ per layer, over all layers as
#: scores are, and divided by their layer's L2 norm.
PAPER = {
    "mutual-information": (0.28, 0.35, 0.47),
    "l2": (0.27, 0.34, 0.33),
    "mean-activation": (0.56, 0.35, 0.64),
    "std-activation": (0.57, 0.30, 0.66),
    "taylor-2016": (0.73, 0.14, 0.73),
}
VIEWS = ("mean", "raw", "normalised")
TITLES = ("per layer", "all layers, raw", "all layers, L2")
#: What prunes with updates between, and how many updates (the paper: 10 to 1,000).
PRUNERS = ("taylor-2016", "mean-activation", "l2", "random")
UPDATES = (5, 30)
#: Feature maps at a time, the share of them that goes in the end, and the place of the table.
UNITS, SPARSITY, AT = 4, 0.9, 0.8
#: Epochs of the first training; training images of the oracle and of criteria.
EPOCHS, IMAGES = 1, 512


@REPRODUCTIONS.register("molchanov2016")
class Molchanov2016(Reproduction):
    """Pruning Convolutional Neural Networks for Resource Efficient Inference."""

    title = "Molchanov et al. 2016: Pruning convolutional networks for resource efficient inference"
    citation = "P. Molchanov, S. Tyree, T. Karras, T. Aila, J. Kautz, 2016 (first version)."
    url = "https://arxiv.org/abs/1611.06440"
    summary = (
        "On LeNet-5 criteria are held against the oracle by Spearman's ρ, as in table 1; then "
        "feature maps leave a few at a time, with updates between."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        # networks are trained before the pieces that read them, so that each counts its own time
        dense = {seed: self._dense(context, seed) for seed in context.seeds}
        tables = [
            context.piece(
                f"agreement-{seed}",
                lambda model=model, seed=seed: _agreement(context, model, seed),
            )
            for seed, model in dense.items()
        ]
        seed = context.seeds[0]
        updates = UPDATES[:1] if context.short else UPDATES
        curves = {
            f"{criterion}, {count} updates": context.piece(
                f"pruned-{criterion}-{count}-{seed}",
                lambda criterion=criterion, count=count: _record(
                    _pruned(context, dense[seed], criterion, count, seed)
                ),
            )
            for count in updates
            for criterion in PRUNERS
        }
        report = Report(results={"agreement": tables, "pruning": curves})
        _compare(report, tables)
        _layers(report, tables)
        _pruning(report, curves, updates)
        _differences(report)
        return report

    def _dense(self, context: Context, seed: int) -> nn.Module:
        return context.network(
            f"dense-{seed}",
            lambda: new(LeNet5, seed),
            lambda model: trained(
                model, context.data(), context.epochs(EPOCHS), lr=0.03, seed=seed
            ),
        )


def _agreement(context: Context, model: nn.Module, seed: int) -> dict[str, Any]:
    """Return ρ of each criterion of the table and of chance."""
    images = 64 if context.short else IMAGES
    found = agreement(
        model,
        context.data(),
        [*PAPER, "random"],
        images=images,
        max_examples=images,
        seed=seed,
    )
    return {
        row.criterion: {
            "mean": row.mean,
            "raw": row.raw,
            "normalised": row.normalised,
            "layers": dict(row.layers),
        }
        for row in found.rows
    }


def _pruned(
    context: Context, model: nn.Module, criterion: str, updates: int, seed: int
) -> Scheduled:
    return run_schedule(
        model,
        context.data(),
        make_schedule(
            "unit-by-unit", updates=updates, units=30 if context.short else UNITS, epochs=0.0
        ),
        sparsity=SPARSITY,
        criterion=criterion,
        granularity="unit",
        scope="global",
        layers=["conv1", "conv2"],
        settings=FineTuneSettings(
            lr=1e-3, batch_size=32, weight_decay=1e-4, seed=seed, subset=1000
        ),
    )


def _record(done: Scheduled) -> dict[str, Any]:
    """Return accuracy after the updates that follow each removal, and the cost at the end."""
    curve: dict[float, float] = {}
    for report in done.history:
        if report.sparsity is not None and report.accuracy is not None:
            # the last report at a sparsity is that after its updates
            curve[report.sparsity] = report.accuracy
    return {
        "curve": list(curve.items()),
        "accuracy": done.after.accuracy,
        "macs": done.cost_after.removed_macs / done.cost_before.base_macs,
    }


def _means(tables: list[dict[str, Any]], criterion: str, view: str) -> list[float]:
    return [table[criterion][view] for table in tables]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _compare(report: Report, tables: list[dict[str, Any]]) -> None:
    for place, (view, title) in enumerate(zip(VIEWS, TITLES, strict=True)):
        for criterion, paper in PAPER.items():
            report.compare(
                f"ρ {title}: {criterion}",
                f"{paper[place]:.2f}",
                mean_and_spread(_means(tables, criterion, view)),
            )
    ours = {
        view: {criterion: _mean(_means(tables, criterion, view)) for criterion in PAPER}
        for view in VIEWS
    }
    orders = (
        ("Taylor is the best per layer", _best(ours["mean"]) == "taylor-2016"),
        (
            "activations are better than weights per layer",
            ours["mean"]["mean-activation"] > ours["mean"]["l2"],
        ),
        ("Taylor is the best over all layers, L2", _best(ours["normalised"]) == "taylor-2016"),
        (
            "Taylor needs the L2 norm over all layers",
            ours["normalised"]["taylor-2016"] > ours["raw"]["taylor-2016"],
        ),
        (
            "raw Taylor is the worst over all layers",
            min(ours["raw"], key=ours["raw"].__getitem__) == "taylor-2016",
        ),
    )
    for what, holds in orders:
        answer = "yes" if holds else "no"
        report.compare(what, "yes", answer, "ordering holds" if holds else "differs")


def _best(values: dict[str, float]) -> str:
    return max(values, key=values.__getitem__)


def _layers(report: Report, tables: list[dict[str, Any]]) -> None:
    report.heading("Layer by layer")
    report.text(
        "ρ within each layer, and over all layers; random scores as a control: dividing by the "
        "norm of the layer alone says something, since scores of narrow layers become larger."
    )
    names = list(tables[0]["taylor-2016"]["layers"])
    rows = [
        [
            criterion,
            *(
                mean_and_spread([table[criterion]["layers"][name] for table in tables])
                for name in names
            ),
            mean_and_spread(_means(tables, criterion, "raw")),
            mean_and_spread(_means(tables, criterion, "normalised")),
        ]
        for criterion in tables[0]
    ]
    report.table(["criterion", *names, "all, raw", "all, L2"], rows)


def _pruning(report: Report, curves: dict[str, Any], updates: tuple[int, ...]) -> None:
    report.heading("Pruning with updates between")
    report.text(
        f"{UNITS} of the 70 feature maps leave at a time, by one ranking over both convolutions, "
        "with steps of 32 images between; no fine-tuning at the end. Accuracy on the way is of "
        "1,000 test images, after the updates; that at the end of all. First seed."
    )
    for count in updates:
        chosen = {name: curves[f"{name}, {count} updates"]["curve"] for name in PRUNERS}
        ax = lines(
            {
                name: ([at for at, _ in curve], [accuracy for _, accuracy in curve])
                for name, curve in chosen.items()
            },
            title=f"{count} updates between removals",
            across="share of feature maps removed",
            up="accuracy",
            x_text="{:.0%}".format,
            y_text="{:.0%}".format,
        )
        alt = f"Accuracy by share of maps removed, by criterion, {count} updates between"
        report.figure(f"updates-{count}", ax, alt)
    rows = []
    for name, found in curves.items():
        there = min(found["curve"], key=lambda pair: abs(pair[0] - AT))[1]
        rows.append(
            [
                name,
                f"{100 * there:.1f}",
                f"{100 * found['accuracy']:.2f}",
                f"{100 * found['macs']:.1f} %",
            ]
        )
    report.table(
        ["criterion", f"at {AT:.0%}".replace("%", " %"), "at the end", "multiply-adds left"], rows
    )
    finals = {
        count: [
            _mean([a for _, a in curves[f"{n}, {count} updates"]["curve"]])
            for n in ("taylor-2016", "random")
        ]
        for count in updates
    }
    for count, (taylor, chance) in finals.items():
        report.compare(
            f"{count} updates: mean accuracy on the way, Taylor above random, points",
            "above 0",
            f"{100 * (taylor - chance):+.1f}",
            "ordering holds" if taylor > chance else "differs",
        )
    if len(finals) > 1:
        few, many = (finals[count] for count in updates)
        shrinks = many[0] - many[1] < few[0] - few[1]
        report.compare(
            "more updates shrink the gap between Taylor and random",
            "yes",
            "yes" if shrinks else "no",
            "ordering holds" if shrinks else "differs",
        )


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "The paper's table is of VGG-16 on birds, with 4,224 feature maps in 13 layers; ours of "
        "LeNet-5 on MNIST with 570 units in three, the 500 of the dense layer among them, so its "
        "orderings compare and its numbers do not. The numbers are those of its first version. "
        "Ours is trained for one epoch. Oracle and criteria look at the same "
        f"{IMAGES} training images; the paper at all. It "
        f"removes one map at a time, we {UNITS}, with 10 to 1,000 updates between where we have "
        f"{UPDATES[0]} and {UPDATES[1]}, and one seed. Its variant with a penalty of "
        "multiply-adds (λ = 1e-3) is left out: there is no such criterion here."
    )
