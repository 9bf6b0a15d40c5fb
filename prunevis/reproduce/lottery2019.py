"""Frankle & Carbin 2019: what is left of a network learns from its own first weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prunevis.data import Data
from prunevis.evaluation import evaluate
from prunevis.pruning import tensor_masks
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import glorot, new, ranked, trained
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.steps import finished
from prunevis.training import FineTuneSettings, TrainingRun
from prunevis.training.schedules import Phase
from prunevis.zoo.architectures import LeNet300100

#: Share removed each round, and of the output layer (appendix of the paper).
SHARES = {"fc1": 0.2, "fc2": 0.2, "fc3": 0.1}
#: Rounds that are looked at; 3, 7 and 15 leave 51.3, 21.1 and 3.6 %.
ROUNDS = (0, 3, 7, 15)
#: Epochs of the trainings that are looked at, and of those that only find the next mask.
EPOCHS, MASK_EPOCHS = 5.0, 1.0
#: Training images that say when to stop; steps between two looks at them.
VALIDATION, EVERY = 5000, 200
#: Adam at the paper's rate, its batch.
RECIPE = {"optimizer": "adam", "lr": 1.2e-3, "batch_size": 60, "weight_decay": 0.0,
          "schedule": "constant"}  # fmt: skip
#: What a network must reach to be said to have learned, to compare how fast: accuracy.
LEARNED = 0.97


@REPRODUCTIONS.register("lottery2019")
class Lottery2019(Reproduction):
    """The Lottery Ticket Hypothesis."""

    title = "Frankle & Carbin 2019: The Lottery Ticket Hypothesis"
    citation = "J. Frankle, M. Carbin, ICLR 2019."
    url = "https://arxiv.org/abs/1803.03635"
    summary = (
        "LeNet-300-100 on MNIST: round after round a fifth of the weights leaves, the others go "
        "back to their first values and learn again; the control learns from new random weights."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        report = Report()
        rounds = ROUNDS[:2] if context.short else ROUNDS
        runs = []
        for seed in context.seeds:
            tickets = _Tickets(context, seed)
            runs.append(
                {
                    "seed": seed,
                    "ticket": {str(k): tickets.learned(k) for k in rounds},
                    "control": {str(k): tickets.learned(k, control=True) for k in rounds if k},
                }
            )
        report.results["runs"] = runs
        _compare(report, runs, rounds)
        _table(report, runs)
        _curves(report, runs, rounds)
        _differences(report)
        return report


def left(rounds: int, layer: str = "fc1") -> float:
    """Return the share of a layer's weights that is left after so many rounds, in (0, 1]."""
    return (1 - SHARES[layer]) ** rounds


class _Tickets:
    """The masks of one seed, one after another, and what learns under them."""

    def __init__(self, context: Context, seed: int) -> None:
        self.context, self.seed = context, seed
        self._masks: dict[int, dict[str, Tensor]] = {0: {}}

    def first(self, seed: int | None = None) -> nn.Module:
        """Return the network as it is before any training."""
        return new(lambda: glorot(LeNet300100()), self.seed if seed is None else seed)

    def after(self, rounds: int) -> nn.Module:
        """Return the network, weights of that round's mask set to zero, trained from the first."""
        # before this piece, not within it: each piece has its own time
        masks = self.masks(rounds)

        def train(model: nn.Module) -> nn.Module:
            epochs = self.context.epochs(MASK_EPOCHS)
            return trained(model, self.context.data(), epochs, masks, seed=self.seed, **RECIPE)

        return self.context.network(f"mask-{rounds}-{self.seed}", self.first, train)

    def masks(self, rounds: int) -> dict[str, Tensor]:
        """Return what stays after so many rounds, by tensor name; empty after none."""
        if rounds in self._masks:
            return self._masks[rounds]
        # what was zero is first in the order, so that masks only shrink
        layers: dict[str, float | None] = {name: 1 - left(rounds, name) for name in SHARES}
        ranking = ranked(
            self.after(rounds - 1), self.context.data(), "magnitude", scope="layer", layers=layers
        )
        self._masks[rounds] = tensor_masks(ranking.plan(1 - left(rounds)))
        return self._masks[rounds]

    def learned(self, rounds: int, *, control: bool = False) -> dict[str, Any]:
        """Return what is said of a training: from the first weights, or from new ones."""
        masks = self.masks(rounds)

        def compute() -> dict[str, Any]:
            # a seed that no run has for its first weights
            model = self.first(1000 + self.seed if control else None)
            epochs = self.context.epochs(EPOCHS)
            found = watched(model, self.context.data(), epochs, masks, seed=self.seed)
            kept = sum(int(mask.sum()) for mask in masks.values())
            total = sum(mask.numel() for mask in masks.values())
            return {**found, "left": kept / total if masks else 1.0}

        kind = "control" if control else "ticket"
        return self.context.piece(f"{kind}-{rounds}-{self.seed}", compute)


def watched(
    model: nn.Module, data: Data, epochs: float, masks: dict[str, Tensor], seed: int
) -> dict[str, Any]:
    """Train `model` in place and look at examples that are held out every so many steps.

    Returns
    -------
    dict
        "steps", "loss" and "validation", lists: the step of each look, loss in nats and accuracy
        of the examples held out; "accuracy", of the test examples at the same steps; "stop" and
        "stop_accuracy", where the loss was least, and the test accuracy there.
    """
    assert data.train is not None, "reproductions have training examples"
    count = min(VALIDATION, data.train.count // 10)
    order = torch.randperm(data.train.count, generator=torch.Generator().manual_seed(seed))
    train, held = data.train.take(order[count:]), data.train.take(order[:count])
    settings = FineTuneSettings(seed=seed, **RECIPE)
    steps = max(1, round(epochs * -(-train.count // settings.batch_size)))
    # measured here, not by the run: a single example there
    run = TrainingRun(
        model,
        (train, data.test.take(slice(0, 1))),
        masks,
        settings,
        phases=(Phase(0, steps, "Training"),),
    )
    run.masks.apply()
    found: dict[str, Any] = {"steps": [], "loss": [], "validation": [], "accuracy": []}
    for step in [*range(EVERY, steps, EVERY), steps]:
        finished(run.train_until(step))
        inside = evaluate(model, held)
        found["steps"].append(step)
        found["loss"].append(inside.loss)
        found["validation"].append(inside.accuracy)
        found["accuracy"].append(evaluate(model, data.test).accuracy)
    stop = early_stop(found["loss"])
    return {**found, "stop": found["steps"][stop], "stop_accuracy": found["accuracy"][stop]}


def early_stop(losses: list[float]) -> int:
    """Return the index of the least loss, the first of equals."""
    return min(range(len(losses)), key=losses.__getitem__)


def first_at(run: dict[str, Any], accuracy: float) -> int | None:
    """Return the first step at which examples held out are told apart so well; None: never."""
    pairs = zip(run["steps"], run["validation"], strict=True)
    return next((step for step, value in pairs if value >= accuracy), None)


def _mean(runs: list[dict[str, Any]], kind: str, rounds: int, field: str) -> float:
    values = [run[kind][str(rounds)][field] for run in runs]
    return sum(values) / len(values)


def _compare(report: Report, runs: list[dict[str, Any]], rounds: tuple[int, ...]) -> None:
    def judge(what: str, paper: str, ours: str, holds: bool) -> None:
        report.compare(what, paper, ours, "ordering holds" if holds else "differs")

    dense = _mean(runs, "ticket", 0, "stop_accuracy")
    stop = _mean(runs, "ticket", 0, "stop")
    told = {3: "above dense", 7: "above dense, the best", 15: "back to dense"}
    for k in rounds[1:]:
        name = f"{100 * runs[0]['ticket'][str(k)]['left']:.1f} % left"
        ticket = _mean(runs, "ticket", k, "stop_accuracy")
        control = _mean(runs, "control", k, "stop_accuracy")
        # at 15 rounds the paper's ticket is about as good as the dense network: no worse than half
        # a point below counts
        judge(
            f"{name}: accuracy of the ticket against dense, %",
            told[k],
            f"{100 * ticket:.2f} against {100 * dense:.2f}",
            ticket > dense if k < 15 else ticket >= dense - 0.005,
        )
        judge(
            f"{name}: accuracy of the ticket against new random weights, %",
            "above",
            f"{100 * ticket:.2f} against {100 * control:.2f}",
            ticket > control,
        )
        sooner = _mean(runs, "ticket", k, "stop")
        later = _mean(runs, "control", k, "stop")
        if k < 15:
            judge(
                f"{name}: early-stopping step of the ticket against dense",
                "earlier",
                f"{sooner:.0f} against {stop:.0f}",
                sooner < stop,
            )
        judge(
            f"{name}: early-stopping step of the ticket against new random weights",
            "earlier",
            f"{sooner:.0f} against {later:.0f}",
            sooner < later,
        )


def _table(report: Report, runs: list[dict[str, Any]]) -> None:
    report.heading("Tickets and controls")
    report.text(
        "Mean ± sample standard deviation over seeds. Test accuracy, in percent, where the loss of "
        f"held-out images is least and at the end; the step of that least loss; and the first step "
        f"at which {LEARNED:.0%} of the held-out images are recognised."
    )
    rows = []
    for kind in ("ticket", "control"):
        for k in runs[0][kind]:
            found = [run[kind][k] for run in runs]
            speed = [first_at(one, LEARNED) for one in found]
            known = [float(step) for step in speed if step is not None]
            label = "dense" if k == "0" else f"{kind}, {100 * found[0]['left']:.1f} % left"
            rows.append(
                [
                    label,
                    mean_and_spread([100 * one["stop_accuracy"] for one in found]),
                    mean_and_spread([100 * one["accuracy"][-1] for one in found]),
                    mean_and_spread([one["stop"] for one in found], 0),
                    mean_and_spread(known, 0) if len(known) == len(speed) else "not by all",
                ]
            )
    report.table(["", "at early stop", "at the end", "early stop", f"at {LEARNED:.0%}"], rows)


def _curves(report: Report, runs: list[dict[str, Any]], rounds: tuple[int, ...]) -> None:
    from prunevis.plots.style import head, prepare

    ax, colours = prepare(
        None,
        "light",
        figsize=(4.6, 3.0),
        margins=(0.5, 0.2, 0.36, 0.5),
        spines=("bottom", "left"),
    )
    shades = dict(zip(rounds, (0.35, 0.55, 0.8, 1.0), strict=False))
    lowest = 1.0
    for kind, colour in (("ticket", colours.kept), ("control", colours.pruned)):
        for k in runs[0][kind]:
            found = [run[kind][k] for run in runs]
            mean = [sum(v) / len(v) for v in zip(*(o["accuracy"] for o in found), strict=True)]
            dense = k == "0"
            ax.plot(
                found[0]["steps"],
                [100 * value for value in mean],
                color=colours.quiet if dense else colour,
                alpha=shades[int(k)] if not dense else 1.0,
                linewidth=1.3,
                linestyle="-" if kind == "ticket" else (0, (4, 2)),
                label="dense" if dense else f"{kind}, {100 * found[0]['left']:.1f} %",
                gid=f"{kind} {k}",
            )
            lowest = min(lowest, mean[min(1, len(mean) - 1)])
    ax.set_ylim(100 * lowest - 0.5, 100.0)
    ax.legend(loc="lower right", frameon=False, fontsize=7, labelcolor=colours.ink)
    head(
        ax,
        "Tickets (blue) and controls (orange, dashed)",
        colours,
        caption="steps of training · test accuracy, %, mean over seeds",
    )
    report.heading("How fast they learn")
    report.figure(
        "curves", ax, "Test accuracy by step: tickets, controls with new weights, and dense"
    )


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "As the paper: Adam at 1.2e-3, batches of 60, Glorot's normal weights, a fifth of each "
        "hidden layer's weights and a tenth of the output layer's each round, 5,000 training "
        "images held out to say when to stop. Not as the paper: it trains for 50,000 steps and "
        f"repeats five times; we train for {EPOCHS:g} epochs (4,600 steps) where we look, "
        f"{MASK_EPOCHS:g} where only the next mask is wanted, with three seeds, and look every "
        f"{EVERY} steps. The masks of a short training are rougher. Biases are not pruned. The "
        "paper's statements are from descriptions of it, its curves are not at hand as numbers "
        "(repeats from memory): orderings are compared, not values."
    )
