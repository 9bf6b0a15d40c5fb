"""Keras' pruning guide: a small network on MNIST, pruned while it is fine-tuned, then zipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.data import Data
from prunevis.evaluation import evaluate
from prunevis.evaluation.storage import compressed_bytes
from prunevis.reproduce.base import REPRODUCTIONS, Context, Reproduction
from prunevis.reproduce.networks import new, trained
from prunevis.reproduce.pictures import lines
from prunevis.reproduce.report import Report, mean_and_spread
from prunevis.training import FineTuneSettings, Scheduled, make_schedule, run_schedule

#: Epochs and batch of the first training, as in the guide.
EPOCHS, BATCH = 4, 32
#: Schedules: the guide's, and that of the notebook before it (from step 2,000 of 4,690).
PLANS: dict[str, dict[str, float]] = {
    "50-80": {"initial": 0.5, "final": 0.8, "epochs": 2.0, "begin": 0.0},
    "50-90": {"initial": 0.5, "final": 0.9, "epochs": 4.0, "begin": 2000 / 4690},
}
#: Steps between two prunings, and examples a step while it prunes.
FREQUENCY, PRUNING_BATCH = 100, 128
#: Times smaller, zipped, as the guide says; both from memory.
SMALLER, SMALLER_QUANTISED = 3, 10

#: Keras' Adam as it comes.
ADAM: dict[str, Any] = {
    "optimizer": "adam",
    "lr": 1e-3,
    "schedule": "constant",
    "weight_decay": 0.0,
}


class GuideNetwork(nn.Module):
    """Twelve 3×3 convolutions, a ReLU, a 2×2 pool and a linear layer: 20,410 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3)
        self.dense = nn.Linear(12 * 13 * 13, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        return self.dense(torch.flatten(F.max_pool2d(F.relu(self.conv(x)), 2), 1))


@REPRODUCTIONS.register("keras-guide")
class KerasGuide(Reproduction):
    """Pruning in Keras example."""

    title = "Keras' guide: pruning in Keras, with a polynomial decay"
    citation = "TensorFlow Model Optimization Toolkit, Pruning in Keras example."
    url = "https://www.tensorflow.org/model_optimization/guide/pruning/pruning_with_keras"
    summary = (
        "A small convolutional network on MNIST is trained, fine-tuned while its sparsity rises "
        "from 50 to 80 %, stripped, and zipped."
    )

    def run(self, context: Context) -> Report:
        """Do it; return the report."""
        runs = {plan: [self._one(context, plan, seed) for seed in context.seeds] for plan in PLANS}
        report = Report(results={"runs": runs})
        _compare(report, runs)
        _steps(report, runs)
        _picture(report, runs)
        _differences(report)
        return report

    def _dense(self, context: Context, seed: int) -> nn.Module:
        return context.network(
            f"dense-{seed}",
            lambda: new(GuideNetwork, seed),
            lambda model: trained(
                model, context.data(), context.epochs(EPOCHS), seed=seed, batch_size=BATCH, **ADAM
            ),
        )

    def _one(self, context: Context, plan: str, seed: int) -> dict[str, Any]:
        dense, how = self._dense(context, seed), PLANS[plan]

        def prune() -> dict[str, Any]:
            schedule = make_schedule(
                "cubic",
                initial=how["initial"],
                begin=how["begin"],
                end=1.0,
                frequency=10 if context.short else FREQUENCY,
                epochs=context.epochs(how["epochs"]),
            )
            done = run_schedule(
                dense,
                context.data(),
                schedule,
                sparsity=how["final"],
                criterion="magnitude",
                scope="layer",
                layers=["conv", "dense"],
                settings=FineTuneSettings(batch_size=PRUNING_BATCH, seed=seed, **ADAM),
            )
            return _record(dense, done, context.data())

        return {"seed": seed, **context.piece(f"pruned-{plan}-{seed}", prune)}


def eight_bits(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return weights in 8 bits, as they are stored and as they are computed with.

    ``q = round(w / s)``, ``s = max |w| / 127`` for each tensor of two or more axes; others stay.

    Parameters
    ----------
    tensors
        By name, float.

    Returns
    -------
    dict, dict
        int8 tensors with their scales, and float tensors ``q s`` of the old names.
    """
    stored: dict[str, Tensor] = {}
    used: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() < 2:
            stored[name] = used[name] = tensor
            continue
        scale = tensor.abs().max().clamp(min=1e-12) / 127
        stored[name] = (tensor / scale).round().to(torch.int8)
        stored[f"{name}.scale"] = scale.reshape(1)
        used[name] = stored[name] * scale
    return stored, used


def _record(dense: nn.Module, done: Scheduled, data: Data) -> dict[str, Any]:
    state = {name: tensor.detach() for name, tensor in done.model.state_dict().items()}
    stored, used = eight_bits(state)
    small = GuideNetwork()
    small.load_state_dict(used)
    whole = {name: tensor.detach() for name, tensor in dense.state_dict().items()}
    plan = done.plan
    assert plan is not None, "something was pruned"
    return {
        "dense_accuracy": 100 * done.before.accuracy,
        "pruned_accuracy": 100 * done.after.accuracy,
        "quantised_accuracy": 100 * evaluate(small.eval(), data).accuracy,
        "sparsity": plan.achieved_sparsity,
        "raw_bytes": sum(tensor.nbytes for tensor in whole.values()),
        "dense_bytes": compressed_bytes(whole),
        "pruned_bytes": compressed_bytes(state),
        "quantised_bytes": compressed_bytes(stored),
        "curve": [list(corner) for corner in done.timeline.curve()],
        "steps": [[p.step, p.accuracy] for p in done.history if p.accuracy is not None],
    }


def _compare(report: Report, runs: dict[str, list[dict[str, Any]]]) -> None:
    for plan, found in runs.items():
        text = plan.replace("-", " → ") + " %"
        report.compare(
            f"{text}: accuracy, dense, %",
            "-",
            mean_and_spread([run["dense_accuracy"] for run in found]),
        )
        report.compare(
            f"{text}: accuracy, pruned, %",
            "-",
            mean_and_spread([run["pruned_accuracy"] for run in found]),
        )
        smaller = [run["dense_bytes"] / run["pruned_bytes"] for run in found]
        guide = plan == "50-80"
        report.compare(
            f"{text}: zipped file, times smaller",
            f"{SMALLER} (from memory)" if guide else "-",
            mean_and_spread(smaller, 2),
            ("reached" if min(smaller) >= SMALLER else "missed") if guide else "",
        )
        smaller = [run["dense_bytes"] / run["quantised_bytes"] for run in found]
        report.compare(
            f"{text}: the same in 8 bits, times smaller",
            f"{SMALLER_QUANTISED} (from memory)" if guide else "-",
            mean_and_spread(smaller, 2),
            ("reached" if min(smaller) >= SMALLER_QUANTISED else "missed") if guide else "",
        )


def _steps(report: Report, runs: dict[str, list[dict[str, Any]]]) -> None:
    report.heading("Step by step")
    report.text(
        "| the guide | here |\n| --- | --- |\n"
        "| `model.fit`, Adam, 4 epochs, batches of 32 | `fine_tune(model, data, "
        'optimizer="adam", lr=1e-3, schedule="constant", batch_size=32, epochs=4)` |\n'
        "| `PolynomialDecay(0.5, 0.8, begin_step=0, end_step=...)` | "
        '`make_schedule("cubic", initial=0.5, begin=0, end=1, frequency=100, epochs=2)` |\n'
        "| `prune_low_magnitude(model)`, `UpdatePruningStep`, `fit` | "
        '`run_schedule(model, data, schedule, sparsity=0.8, scope="layer", '
        'layers=["conv", "dense"])` |\n'
        "| `strip_pruning` | the model that comes out has zeros in place and no wrapper |\n"
        "| zip the file, `os.path.getsize` | `compressed_bytes(model.state_dict())` |\n"
        "| 8 bits: `tf.lite.Optimize.DEFAULT` | `eight_bits` in this reproduction |"
    )
    rows = []
    for plan, found in runs.items():
        one = found[0]
        raw = one["raw_bytes"]
        for name, size, accuracy in (
            ("dense", one["dense_bytes"], one["dense_accuracy"]),
            (f"{plan.replace('-', ' → ')} %", one["pruned_bytes"], one["pruned_accuracy"]),
            ("and 8 bits", one["quantised_bytes"], one["quantised_accuracy"]),
        ):
            rows.append([name, f"{raw:,}", f"{size:,}", f"{accuracy:.2f}"])
    report.text("The first seed; bytes before zipping are those of all weights in 32 bits.")
    report.table(["network", "bytes", "bytes, zipped", "accuracy, %"], rows)


def _picture(report: Report, runs: dict[str, list[dict[str, Any]]]) -> None:
    curves = {}
    for plan, found in runs.items():
        corners = found[0]["curve"]
        curves[f"sparsity, {plan.replace('-', ' → ')} %"] = tuple(zip(*corners, strict=True))
        steps = found[0]["steps"]
        curves[f"accuracy, {plan.replace('-', ' → ')} %"] = tuple(zip(*steps, strict=True))
    ax = lines(
        curves,
        title="Sparsity rises while training goes on",
        across="steps · accuracy on 500 test images",
        up="share",
        x_text="{:,.0f}".format,
        y_text="{:.0%}".format,
        markers=False,
    )
    ax.set_ylim(0, 1.02)
    report.heading("Sparsity and accuracy over the steps")
    report.figure("steps", ax, "Stairs of sparsity, and accuracy over the steps of training")


def _differences(report: Report) -> None:
    report.heading("Where and why ours differs")
    report.text(
        "The guide's numbers here (3 and 10 times smaller) are from memory, and it gives one run. "
        "It holds out a tenth of the training images; we train on all. It zips a Keras or TFLite "
        "file, we a safetensors file without the state of the optimiser; headers differ by a few "
        "hundred bytes. Keras looks for the mask anew every 100 steps, so that a weight can come "
        "back; here what was pruned stays at zero. Its last pruning falls on the last multiple of "
        "100 steps, ours on the last step. The notebook before the guide raised 50 to 90 % in a "
        "larger network (3.3 million parameters); we use its schedule with the network of today's "
        "guide, from the trained network, over four epochs. That network has less to spare, and "
        "each layer loses the same share: at 90 % eleven of 108 weights of the convolution are "
        "left. Our 8 bits are plain rounding of each "
        "weight tensor, its largest value at 127."
    )
