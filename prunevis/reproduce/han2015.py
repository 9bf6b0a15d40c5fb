"""Han et al. 2015: magnitude pruning with retraining, 12 times fewer weights at no loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from prunevis.evaluation import tradeoff
from prunevis.evaluation.exact import Evaluation
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, trained
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.training import Scheduled, make_schedule, run_schedule
from prunevis.zoo.architectures import LeNet5, LeNet300100

#: Kept shares that the paper names, by network and layer, in percent.
KEPT = {
    "lenet-300-100": {"fc1": 8, "fc2": 9, "fc3": 26},
    "lenet5": {"conv1": 66, "conv2": 12, "fc1": 8, "fc2": 19},
}
#: Shares that we ask for. The paper counts no biases; with ours among what is left, the first dense
#: layer gives up a little more to be 12 times smaller in all.
ASKED = {
    "lenet-300-100": {"fc1": 7.6, "fc2": 9, "fc3": 26},
    "lenet5": {"conv1": 66, "conv2": 12, "fc1": 7.4, "fc2": 19},
}
#: Error of the paper in percent, dense and pruned, and its factor of fewer parameters.
PAPER = {"lenet-300-100": (1.64, 1.59, 12), "lenet5": (0.80, 0.77, 12)}
NETWORKS: dict[str, type[nn.Module]] = {"lenet-300-100": LeNet300100, "lenet5": LeNet5}
#: Epochs of the first training, rounds, epochs a round and after the last.
BUDGET = {"lenet-300-100": (20, 6, 8.0, 0.0), "lenet5": (8, 3, 3.0, 8.0)}
#: Learning rate of the first training and of each round; L2 penalty of the first, and of a round.
RATES = {"lenet-300-100": 0.1, "lenet5": 0.05}
DECAY = (1e-4, 5e-4)


@REPRODUCTIONS.register("han2015")
class Han2015(Reproduction):
    """Learning both Weights and Connections."""

    title = "Han et al. 2015: Learning both Weights and Connections for Efficient Neural Networks"
    citation = "S. Han, J. Pool, J. Tran, W. J. Dally, NIPS 2015."
    url = "https://arxiv.org/abs/1506.02626"
    summary = (
        "LeNet-300-100 and LeNet-5 on MNIST: weights below a threshold leave, layer by layer, the "
        "rest is retrained, and again."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        report = Report()
        for name in NETWORKS:
            runs = [self._one(context, name, seed) for seed in context.seeds]
            _compare(report, name, runs)
            report.results[name] = runs
        self._layers(report)
        self._pictures(context, report)
        _differences(report)
        return report

    def _dense(self, context: Context, name: str, seed: int) -> nn.Module:
        epochs = context.epochs(BUDGET[name][0])
        return context.network(
            f"{name}-dense-{seed}",
            lambda: new(NETWORKS[name], seed),
            lambda model: trained(
                model,
                context.data(),
                epochs,
                lr=RATES[name],
                weight_decay=DECAY[0],
                seed=seed,
            ),
        )

    def _pruned(self, context: Context, name: str, seed: int) -> tuple[nn.Module, dict[str, Any]]:
        """Return the pruned network and what is said of it; both are kept."""
        dense = self._dense(context, name, seed)
        said: dict[str, Any] = {}

        def train(model: nn.Module) -> nn.Module:
            _, rounds, epochs, final = BUDGET[name]
            schedule = make_schedule(
                "iterative",
                rounds=2 if context.short else rounds,
                epochs=context.epochs(epochs),
                final_epochs=context.epochs(final),
            )
            done = run_schedule(
                dense,
                context.data(),
                schedule,
                sparsity=1 - 1 / 13,
                criterion="magnitude",
                scope="layer",
                layers={layer: 1 - share / 100 for layer, share in ASKED[name].items()},
                lr=RATES[name],
                weight_decay=DECAY[1],
                seed=seed,
            )
            said.update(_record(done))
            return done.model

        model = context.network(f"{name}-pruned-{seed}", NETWORKS[name], train)
        return model, context.piece(f"{name}-record-{seed}", lambda: said)

    def _one(self, context: Context, name: str, seed: int) -> dict[str, Any]:
        _, record = self._pruned(context, name, seed)
        return {"seed": seed, **record}

    def _layers(self, report: Report) -> None:
        """What stays of each layer."""
        report.heading("Layer by layer")
        for name, runs in report.results.items():
            rows = [
                [layer, f"{paper} %", f"{100 * runs[0]['kept'][layer]:.1f} %"]
                for layer, paper in KEPT[name].items()
            ]
            report.text(f"Weights that stay in {name}, the paper's share and ours (asked for):")
            report.table(["layer", "paper", "ours"], rows)

    def _pictures(self, context: Context, report: Report) -> None:
        from prunevis import plots

        seed = context.seeds[0]
        dense = self._dense(context, "lenet-300-100", seed)
        pruned, record = self._pruned(context, "lenet-300-100", seed)
        weight = pruned.get_parameter("fc1.weight").detach()
        alive = (weight != 0).sum(0).reshape(28, 28)
        report.heading("What the first layer looks at")
        report.text(
            "Figure 4 of the paper shows the mask of the first layer as bands of 28 columns. "
            "Counted by pixel it is a picture: weights that read the border are gone."
        )
        ax = plots.mask_image(alive.numpy())
        middle = float(alive[8:20, 8:20].float().mean() / alive.float().mean().clamp(min=1e-9))
        report.figure("mask", ax, f"Weights left by pixel; the middle has {middle:.1f}× as many")
        report.results["middle_over_mean"] = middle
        report.heading("Weights before and after")
        for stage, model in (("before", dense), ("after", pruned)):
            values = model.get_parameter("fc1.weight").detach().flatten()
            ax = plots.weight_histogram(values[values != 0].numpy(), title=f"fc1 {stage}")
            report.figure(f"histogram-{stage}", ax, f"Histogram of fc1's weights {stage}")
        report.heading("With and without retraining")
        self._curves(context, report, dense, record)

    def _curves(
        self, context: Context, report: Report, dense: nn.Module, record: dict[str, Any]
    ) -> None:
        """Accuracy at the rounds of retraining, and at the same sparsity without."""
        grid = sorted({round(at, 4) for at, _ in record["saw"] if at > 0})

        def measure() -> dict[str, Any]:
            curve = tradeoff(dense, context.data(), scope="layer", sparsities=grid)
            return {"accuracy": [p.estimate.value for p in curve.points]}

        seed = context.seeds[0]
        without = context.piece(f"without-{seed}", measure)["accuracy"]
        after = {round(at, 4): accuracy for at, accuracy in record["saw"]}
        rows = [
            [
                f"{at:.1%}",
                f"{1 / (1 - at):.1f}×",
                f"{100 * (1 - w):.2f} %",
                f"{100 * (1 - after[at]):.2f} %",
            ]
            for at, w in zip(grid, without, strict=True)
        ]
        report.text(
            "Error at equal sparsity, LeNet-300-100, first seed: pruned at once without "
            "retraining, and after each round of it. The accuracy on the way is of 500 test images."
        )
        report.table(["sparsity", "fewer", "without", "with retraining"], rows)


def _record(done: Scheduled) -> dict[str, Any]:
    """Return what is said of a run, as plain JSON."""
    plan = done.plan
    assert plan is not None, "something was pruned"
    saw: dict[float, float] = {}
    for report in done.history:
        if report.accuracy is not None and report.sparsity is not None:
            saw[report.sparsity] = report.accuracy
    return {
        "dense_error": _error(done.before),
        "pruned_error": _error(done.after),
        "ratio": done.cost_before.num_params / done.cost_after.nonzero_params,
        "speedup": done.cost_after.theoretical_speedup,
        "kept": {name: 1 - plan.removed[name] / plan.total[name] for name in plan.total},
        "saw": list(saw.items()),
    }


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _error(evaluation: Evaluation) -> float:
    return 100 * (1 - evaluation.accuracy)


def _compare(report: Report, name: str, runs: list[dict[str, Any]]) -> None:
    dense, pruned, ratio = PAPER[name]
    ours = [run["pruned_error"] for run in runs]
    before = [run["dense_error"] for run in runs]
    factor = min(run["ratio"] for run in runs)
    held = sum(ours) <= sum(before)
    report.compare(
        f"{name}: error of the dense network, %", f"{dense:.2f}", mean_and_spread(before)
    )
    report.compare(
        f"{name}: error when pruned, %",
        f"{pruned:.2f}",
        mean_and_spread(ours),
        "no worse than dense" if held else "worse than dense",
    )
    report.compare(
        f"{name}: times fewer parameters",
        f"{ratio}",
        f"{factor:.1f}",
        "reached" if factor >= ratio else "missed",
    )
    speedup = float(np.mean([run["speedup"] for run in runs]))
    report.compare(f"{name}: times fewer multiply-adds by zero weights", "-", f"{speedup:.1f}")


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "The paper chose a threshold for each layer from sensitivity scans; we ask for the shares "
        "that its tables 2 and 3 report. It trained with Caffe and retrained at a tenth of the "
        "learning rate. We train with Nesterov's SGD and a cosine of the learning rate, and each "
        "round begins at the full one again (Renda et al. 2020) with five times the L2 penalty: "
        "with a tenth of it, the old penalty and 32 epochs our LeNet-300-100 ended at 1.82 % and "
        "our LeNet-5 at 0.73 % (mean of three seeds), with four tenths and 64 epochs LeNet-300-100 "
        "at 1.70 %; without the last 8 epochs LeNet-5 ended at 0.66 %. "
        "Our dense networks err less than the paper's, so that there is more to lose. Its FLOP "
        "columns count activations that are zero as well; ours count zero weights alone. Our "
        "LeNet-5 has a ReLU after each convolution, Caffe's only after the first dense layer."
    )
