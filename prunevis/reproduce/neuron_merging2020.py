"""Kim et al. 2020, Neuron Merging: units that go are merged into those that stay."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from prunevis.data import Data
from prunevis.evaluation import evaluate
from prunevis.graph import trace
from prunevis.pruning import PruningSpec, mending_of, rank, remove
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, trained
from prunevis.reproduce.pictures import lines
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.statistics import collect_statistics
from prunevis.zoo.architectures import LeNet300100

#: Accuracy of the paper in percent by share removed: only pruned, and merged. L1, no fine-tuning.
PAPER = {0.5: (88.40, 88.69), 0.6: (85.17, 86.92), 0.7: (71.26, 82.75), 0.8: (66.76, 80.02)}
PAPER_DENSE = 89.80
#: What is held against each other: criterion and repair, by the name in the report.
WAYS = {
    "pruned": ("l1", "none"),
    "merged": ("l1", "merge"),
    "least squares": ("l1", "least-squares"),
    "reconstruction, least squares": ("reconstruction", "least-squares"),
}
EPOCHS = 20
TRAINING: dict[str, Any] = {"lr": 0.05, "batch_size": 32, "weight_decay": 5e-4}
#: Training examples that least squares are fitted on.
EXAMPLES = 4096


@REPRODUCTIONS.register("neuron-merging2020")
class NeuronMerging2020(Reproduction):
    """Neuron Merging: Compensating for Pruned Neurons."""

    title = "Kim et al. 2020: Neuron Merging, compensating for pruned neurons"
    citation = "W. Kim, S. Kim, M. Park, G. Jeon, NeurIPS 2020."
    url = "https://arxiv.org/abs/2010.13160"
    summary = (
        "LeNet-300-100 on Fashion-MNIST loses 50 to 80 % of its hidden units by their L1 norm, and "
        "nothing is trained: units are only deleted, merged without data, or rebuilt by least "
        "squares."
    )
    data: ClassVar[str] = "fashion-mnist"

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        runs = [self._one(context, seed) for seed in context.seeds]
        report = Report(results={"runs": runs})
        _compare(report, runs)
        _table(report, runs)
        _differences(report, runs)
        return report

    def _one(self, context: Context, seed: int) -> dict[str, Any]:
        data = context.data("fashion-mnist")
        model = context.network(
            f"dense-{seed}",
            lambda: new(LeNet300100, seed),
            lambda model: trained(model, data, context.epochs(EPOCHS), seed=seed, **TRAINING),
        )
        found = context.piece(f"accuracy-{seed}", lambda: _measured(model, data))
        return {"seed": seed, **found}


def _measured(model: nn.Module, data: Data) -> dict[str, Any]:
    """Return test accuracies in percent, of the whole network and by way and share removed."""
    graph = trace(model, data.test.inputs[:1])
    statistics = collect_statistics(
        model, data, graph=graph, max_examples=EXAMPLES, activations=False, inputs=True
    )
    found: dict[str, dict[str, float]] = {}
    for way, (criterion, repair) in WAYS.items():
        spec = PruningSpec.make(criterion, "unit", "layer")
        ranking = rank(model, spec, graph=graph, statistics=statistics)
        ranking = ranking.mended(mending_of(repair, model, graph, statistics=statistics, data=data))
        found[way] = {
            str(share): 100 * evaluate(remove(model, ranking.plan(share)), data).accuracy
            for share in PAPER
        }
    return {"dense": 100 * evaluate(model, data).accuracy, "accuracy": found}


def _of(runs: list[dict[str, Any]], way: str, share: float) -> list[float]:
    return [run["accuracy"][way][str(share)] for run in runs]


def _compare(report: Report, runs: list[dict[str, Any]]) -> None:
    report.compare(
        "accuracy of the whole network, %",
        f"{PAPER_DENSE:.2f}",
        mean_and_spread([run["dense"] for run in runs]),
    )
    for share, (pruned, merged) in PAPER.items():
        plain, ours = _of(runs, "pruned", share), _of(runs, "merged", share)
        gains = [b - a for a, b in zip(plain, ours, strict=True)]
        what = f"{share:.0%} removed".replace("%", " %")
        report.compare(f"{what}: pruned, %", f"{pruned:.2f}", mean_and_spread(plain))
        report.compare(f"{what}: merged, %", f"{merged:.2f}", mean_and_spread(ours))
        report.compare(
            f"{what}: gained by merging, points",
            f"{merged - pruned:+.2f}",
            mean_and_spread(gains),
            "merging helps in every run" if min(gains) > 0 else "merging does not always help",
        )


def _table(report: Report, runs: list[dict[str, Any]]) -> None:
    report.heading("Beyond merging")
    report.text(
        f"Mean accuracy in percent. Merging reads no data; least squares fit what the next layer "
        f"reads on {EXAMPLES:,} training images without labels. In the last row the units that go "
        "are those that the rest can rebuild, in the others those of least L1 norm."
    )
    rows, curves = [], {}
    shares = list(PAPER)
    for place, name in enumerate(("the paper, pruned", "the paper, merged")):
        values = [PAPER[share][place] for share in shares]
        rows.append([name, *(f"{value:.2f}" for value in values)])
        curves[name] = (shares, [value / 100 for value in values])
    for way in WAYS:
        rows.append([way, *(mean_and_spread(_of(runs, way, share)) for share in shares)])
        means = [sum(_of(runs, way, share)) / len(runs) / 100 for share in shares]
        curves[way] = (shares, means)
    report.table(["way", *(f"{100 * share:.0f} % removed" for share in shares)], rows)
    ax = lines(
        curves,
        title="Accuracy without any training",
        across="share of hidden units removed",
        up="test accuracy",
        x_text="{:.0%}".format,
        y_text="{:.0%}".format,
    )
    report.figure("accuracy", ax, "Accuracy by share removed: pruned, merged, least squares")


def _differences(report: Report, runs: list[dict[str, Any]]) -> None:
    dense = sum(run["dense"] for run in runs) / len(runs)
    report.heading("Where and why ours differs")
    report.text(
        f"The paper's network has {PAPER_DENSE:.2f} %, ours {dense:.2f} % on average: it was "
        "trained on all 60,000 images, ours on the 12,000 that come along, and inputs are "
        "normalised by mean and spread instead of (0.5, 0.5). How much deletion alone costs "
        "depends on how a network was trained (of three recipes tried, this one gave the best "
        "network), so the gain by merging is what compares, more than the accuracies. The paper "
        "merges where the cosine is at least 0.45 in this network, ours from 0.1 on; both take the "
        "bias of a linear layer as one more weight. The paper has no spread; least squares are not "
        "in it."
    )
