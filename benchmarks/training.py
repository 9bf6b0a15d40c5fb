"""Fine-tuning against a plain PyTorch loop of the same steps, and what holding masks costs.

The plain loop is the one of any tutorial: a shuffle, batches of 128, SGD with Nesterov's momentum
and weight decay, the loss read after each step; it measures no accuracy, shows no progress and
keeps no weights to go back to. Ours does all of that within its time. The first measurement before
a step and the last on all test data stand outside of both. Runs alternate, on one thread.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunevis as pv
from benchmarks.record import Figure, Report
from prunevis.data import Data
from prunevis.evaluation.pace import threads
from prunevis.training import FineTuneSettings, training_run

TITLE = "Fine-tuning against a plain loop, and what holding masks costs"
#: Time of ours over the plain loop's (0.9 of its throughput), and with masks over without.
BEHIND, OVERHEAD = 1 / 0.9, 1.05
#: Runs by network, each an epoch of the zoo's training images.
MODELS = {"lenet-300-100": 15, "lenet5": 7, "resnet8": 5}
SETTINGS = FineTuneSettings(epochs=1)


def plain(model: nn.Module, data: Data) -> float:
    """Return the seconds of an epoch written by hand."""
    assert data.train is not None, "the zoo's data have training examples"
    inputs, targets = data.train.inputs, data.train.targets
    net = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    losses = []
    begin = perf_counter()
    for batch in torch.randperm(len(inputs)).split(SETTINGS.batch_size):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(inputs[batch]), targets[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return perf_counter() - begin


def ours(model: nn.Module, data: Data, masks: Mapping[str, Tensor]) -> float:
    """Return the seconds of the same steps by `fine_tune`, measurements on the way included."""
    run = training_run(copy.deepcopy(model), data, masks=masks, settings=SETTINGS)
    begin = perf_counter()
    for progress in run.steps():
        if not progress.step:
            begin = perf_counter()
        elif progress.step == progress.steps:
            return perf_counter() - begin
    raise AssertionError("training reports its last step")


def measure(*, quick: bool = False) -> Report:
    """Return throughput and overhead for each network."""
    figures: list[Figure] = []
    data = pv.load_data()
    with threads(1):
        for name in ("lenet-300-100",) if quick else MODELS:
            model = pv.load_model(name)
            generator = torch.Generator().manual_seed(0)
            masks = {
                key: torch.rand(value.shape, generator=generator) > 0.9
                for key, value in model.named_parameters()
                if value.ndim > 1
            }
            plain(model, data), ours(model, data, masks)
            rounds = [
                (plain(model, data), ours(model, data, {}), ours(model, data, masks))
                for _ in range(1 if quick else MODELS[name])
            ]
            behind = tuple(b / a for a, b, _ in rounds)
            held = tuple(c / b for _, b, c in rounds)
            figures += [
                Figure(f"{name}: plain loop, an epoch", "s", tuple(a for a, _, _ in rounds)),
                Figure(f"{name}: ours over plain", "×", behind, BEHIND, "median"),
                Figure(f"{name}: masks held over none", "×", held, OVERHEAD, "median"),
            ]
    return Report(tuple(figures), notes=("Masks keep a tenth of each weight tensor.",))
