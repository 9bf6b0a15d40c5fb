"""Tanaka et al. 2020: where a ranking of untrained weights empties a whole layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunevis.evaluation import evaluate
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, ranked, trained
from prunevis.reproduce.report import Report, mean_and_spread

#: By the paper's names.
CRITERIA = {
    "Random": "random",
    "Magnitude": "magnitude",
    "SNIP": "snip",
    "GraSP": "grasp",
    "SynFlow": "synflow",
}
#: Filters of each convolution, "M" for a pooling by two.
PLAN = (8, "M", 16, 16, "M", 32, 32, 32, "M", 64, 64)
#: Compressions at which networks are trained, epochs of it, training images behind a score.
COMPRESSIONS, EPOCHS, EXAMPLES = (10, 100, 1000), 0.2, 256


class SmallVgg(nn.Sequential):
    """Eight 3×3 convolutions with BatchNorm and ReLU, pooled thrice, and a linear layer.

    For images (N, 1, 28, 28). Filters are drawn as He et al. 2015 do, the linear layer as PyTorch
    does.
    """

    def __init__(self) -> None:
        parts: list[nn.Module] = []
        width = 1
        for item in PLAN:
            if isinstance(item, str):
                parts.append(nn.MaxPool2d(2))
                continue
            conv = nn.Conv2d(width, item, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            parts += [conv, nn.BatchNorm2d(item), nn.ReLU()]
            width = item
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


@REPRODUCTIONS.register("synflow2020")
class SynFlow2020(Reproduction):
    """Pruning neural networks without any data by iteratively conserving synaptic flow."""

    title = "Tanaka et al. 2020: SynFlow, and layer collapse"
    citation = "H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli, NeurIPS 2020."
    url = "https://arxiv.org/abs/2006.05467"
    summary = (
        "A small VGG on MNIST, never trained: how many times smaller each criterion makes it "
        "before a whole layer is empty, and what the networks that are left can learn."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        report = Report()
        found = {
            name: [_collapse(context, name, seed) for seed in context.seeds] for name in CRITERIA
        }
        ratios = COMPRESSIONS[1:2] if context.short else COMPRESSIONS
        learned = {
            name: {
                str(ratio): [_learned(context, name, ratio, seed) for seed in context.seeds]
                for ratio in ratios
            }
            for name in CRITERIA
        }
        report.results.update(collapse=found, accuracy=learned)
        _compare(report, found)
        _tables(report, found, learned)
        _figure(report, found)
        _differences(report)
        return report


def scores_of(context: Context, name: str, seed: int) -> dict[str, Tensor]:
    """Return raw scores by layer, all of them ranked together, high = keep."""
    model = new(SmallVgg, seed).eval()
    layers = [n for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    ranking = ranked(
        model, context.data(), CRITERIA[name], layers=layers, examples=EXAMPLES, seed=seed
    )
    return {layer: ranking.importance[layer].detach().cpu().double() for layer in layers}


def kept_of(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the `count` highest scores of all layers as masks by layer, True = keep.

    Nothing holds a last weight of each layer here, as `prunevis.prune` does: that is what is
    looked at. Of equal scores the first stays.
    """
    flat = torch.cat([part.flatten() for part in scores.values()])
    stays = torch.zeros(len(flat), dtype=torch.bool)
    stays[flat.argsort(descending=True, stable=True)[:count]] = True
    parts = stays.split([part.numel() for part in scores.values()])
    pairs = zip(scores.items(), parts, strict=True)
    return {name: part.reshape(score.shape) for (name, score), part in pairs}


def needed_for_layers(scores: Mapping[str, Tensor]) -> tuple[int, str]:
    """Return how many weights must stay so that no layer is empty, and which one is the first.

    A layer is empty as soon as fewer stay than the place of its best weight in the order of all,
    from the top: so it is exact, without trying any sparsity.
    """
    flat = torch.cat([part.flatten() for part in scores.values()])
    place = torch.empty(len(flat), dtype=torch.int64)
    place[flat.argsort(descending=True, stable=True)] = torch.arange(1, len(flat) + 1)
    sizes = [part.numel() for part in scores.values()]
    best = {name: int(part.min()) for name, part in zip(scores, place.split(sizes), strict=True)}
    first = max(best, key=best.__getitem__)
    return best[first], first


def connected(model: nn.Module, masks: Mapping[str, Tensor], inputs: Tensor) -> bool:
    """Return whether a path of weights that stay leads from an input to an output.

    The network is run on ones, kept weights 1 and the others 0, normalisations and biases left
    out: what comes out counts paths. `model` is changed.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.copy_(masks[name])
                if module.bias is not None:
                    module.bias.zero_()
        found = model.double().eval()(torch.ones_like(inputs, dtype=torch.float64))
    return bool((found > 0).any())


def needed_for_paths(model: nn.Module, scores: Mapping[str, Tensor], inputs: Tensor) -> int:
    """Return how many of the highest scores must stay so that a path is left.

    Fewer weights never have more paths, so the place is found by halving.
    """
    low, high = 0, sum(part.numel() for part in scores.values())
    while high - low > 1:
        middle = (low + high) // 2
        if connected(model, kept_of(scores, middle), inputs):
            high = middle
        else:
            low = middle
    return high


def _collapse(context: Context, name: str, seed: int) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        scores = scores_of(context, name, seed)
        count, layer = needed_for_layers(scores)
        inputs = context.data().test.inputs[:1]
        return {
            "weights": sum(part.numel() for part in scores.values()),
            "layers": len(scores),
            "needed": count,
            "first": layer,
            "needed_for_paths": needed_for_paths(new(SmallVgg, seed), scores, inputs),
        }

    return context.piece(f"collapse-{name.lower()}-{seed}", compute)


def _learned(context: Context, name: str, ratio: int, seed: int) -> float:
    def compute() -> dict[str, Any]:
        scores = scores_of(context, name, seed)
        total = sum(part.numel() for part in scores.values())
        kept = kept_of(scores, round(total / ratio))
        model = new(SmallVgg, seed)
        masks = {f"{layer}.weight": mask for layer, mask in kept.items()}
        trained(model, context.data(), EPOCHS, masks, lr=0.1, seed=seed)
        return {"accuracy": evaluate(model, context.data().test).accuracy}

    return context.piece(f"learned-{name.lower()}-{ratio}-{seed}", compute)["accuracy"]


def _times(runs: list[dict[str, Any]], field: str) -> list[float]:
    return [run["weights"] / run[field] for run in runs]


def _compare(report: Report, found: dict[str, list[dict[str, Any]]]) -> None:
    mean = {name: float(np.mean(_times(runs, "needed"))) for name, runs in found.items()}
    for name in CRITERIA:
        if name == "SynFlow":
            continue
        report.compare(
            f"times smaller before a layer is empty: SynFlow against {name}",
            "SynFlow further",
            f"{mean['SynFlow']:,.0f} against {mean[name]:,.1f}",
            "ordering holds" if mean["SynFlow"] > mean[name] else "differs",
        )
    one = found["SynFlow"][0]
    most = one["weights"] / one["layers"]
    report.compare(
        "SynFlow: share of the largest compression possible that it reaches",
        "all of it",
        f"{mean['SynFlow'] / most:.0%} of {most:,.0f}×",
        "reached" if mean["SynFlow"] >= 0.9 * most else "missed",
    )


def _tables(
    report: Report,
    found: dict[str, list[dict[str, Any]]],
    learned: dict[str, dict[str, list[float]]],
) -> None:
    one = found["SynFlow"][0]
    report.heading("Layer collapse")
    report.text(
        f"The network has {one['weights']:,} weights in {one['layers']} layers. With one weight "
        f"in each it would be {one['weights'] / one['layers']:,.0f} times smaller: the most that "
        "is possible. Counted on the raw scores, all layers in one order: how many times smaller "
        "the network is when the first layer is empty, and when no path is left from an input to "
        "an output. `prunevis.prune` keeps one weight of each layer whatever a criterion says, so "
        "that the first cannot happen there; the second can. Mean ± sample standard deviation."
    )
    rows = [
        [
            name,
            mean_and_spread(_times(runs, "needed"), 1, "×"),
            mean_and_spread(_times(runs, "needed_for_paths"), 1, "×"),
            f"{100 * (1 - np.mean([run['needed'] / run['weights'] for run in runs])):.2f} %",
            ", ".join(sorted({f"`{run['first']}`" for run in runs})),
        ]
        for name, runs in found.items()
    ]
    head = ["", "a layer is empty", "no path is left", "sparsity at the first", "first empty layer"]
    report.table(head, rows)
    report.heading("What is left can learn")
    report.text(
        f"Test accuracy in percent after {EPOCHS:g} of an epoch; chance is about 10. An emptied "
        "layer stays empty here."
    )
    ratios = list(learned["SynFlow"])
    rows = [
        [name, *(mean_and_spread([100 * a for a in by[ratio]], 1) for ratio in ratios)]
        for name, by in learned.items()
    ]
    report.table(["", *(f"{ratio}×" for ratio in ratios)], rows)


def _figure(report: Report, found: dict[str, list[dict[str, Any]]]) -> None:
    from prunevis.plots.style import head, prepare, write

    ax, colours = prepare(
        None, "light", figsize=(4.6, 2.5), margins=(0.9, 0.5, 0.36, 0.5), spines=("bottom",)
    )
    one = found["SynFlow"][0]
    most = one["weights"] / one["layers"]
    for place, (name, runs) in enumerate(found.items()):
        at = float(np.mean(_times(runs, "needed")))
        colour = colours.better if name == "SynFlow" else colours.kept
        ax.barh(place, at, color=colour, height=0.6, gid=name)
        write(ax, at * 1.1, place, f"{at:,.0f}×", colours.ink, va="center")
    ax.axvline(most, color=colours.quiet, linewidth=0.9, linestyle=(0, (3, 3)), gid="most")
    ax.set_xscale("log")
    ax.set_xlim(1, most * 3)
    ax.set_yticks(range(len(found)), list(found))
    ax.invert_yaxis()
    head(
        ax,
        "Smaller until a layer is empty",
        colours,
        caption="weights / weights left · dashed: one weight a layer, the most possible",
    )
    report.figure("collapse", ax, "Compression at which each criterion empties a layer")


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "The paper's networks are VGG-11 and -16 and ResNet-18 on CIFAR-10, CIFAR-100 and Tiny "
        "ImageNet (from memory); ours is a narrow VGG of nine layers on MNIST, that fits one core. "
        "So numbers do not compare, orderings do. Scores are of one look at the untrained network "
        f"in evaluation mode ({EXAMPLES} training images where they need data), SynFlow's of 100 "
        "rounds and more. Where magnitude empties a layer depends on how weights are drawn: the "
        "layer with the smallest goes first, whatever it is good for. Our SynFlow does 100 rounds "
        "down to a thousandth of the weights and then takes a tenth of what is left each round, "
        "one order for every sparsity; the paper chooses the rounds for the sparsity that is asked "
        "for, and its proof of reaching the largest compression is for small steps. Training is a "
        "fifth of an epoch."
    )
