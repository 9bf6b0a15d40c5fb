"""How the shipped networks were trained: one recipe each, and the loop that follows it.

The networks are trained on all 60,000 images with SGD, Nesterov momentum and one learning-rate
cycle. Where choices for the LeNets were compared (mirroring, moving, dropout, how long), it was
with the last 5,000 training images held out; ResNet-8 and Mobile were trained once, as written
here. The test set was looked at once a network, when it was finished.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunevis.zoo.datasets import normalise


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, apart from the machine it runs on.

    Attributes
    ----------
    epochs, batch_size, seed
        Passes over the data, images a step, and the seed of initialisation, order and changes.
    learning_rate, warm_up
        Highest learning rate, and the share of all steps in which it rises to that; from there it
        falls to zero along half a cosine.
    momentum, weight_decay
        Of SGD with Nesterov momentum; biases and BatchNorm do not decay.
    label_smoothing
        Share of the target spread over all classes, in [0, 1).
    flip, max_shift
        Mirror half of the images left to right; move each by up to so many pixels both ways.
    dropout
        By name of a layer, the share of its outputs dropped in training; the network that is
        shipped knows nothing of it.
    bfloat16
        Multiply in bfloat16; weights and the sums of the optimizer stay float32.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 128
    seed: int = 0
    warm_up: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: bool = True
    max_shift: int = 2
    dropout: Mapping[str, float] = field(default_factory=dict)
    bfloat16: bool = False


#: By name of the network.
RECIPES: dict[str, Recipe] = {
    "lenet-300-100": Recipe(
        epochs=60, learning_rate=0.1, weight_decay=1e-4, flip=False, max_shift=1
    ),
    "lenet5": Recipe(
        epochs=30, learning_rate=0.05, flip=False, dropout={"fc1": 0.2}, bfloat16=True
    ),
    "resnet8": Recipe(epochs=25, learning_rate=0.1, max_shift=1, bfloat16=True),
    # bfloat16 would be slower: depthwise convolutions are not multiplied as matrices.
    "mobile": Recipe(epochs=25, learning_rate=0.1, weight_decay=2e-4, flip=False, max_shift=1),
}


def augment(
    images: Tensor, *, flip: bool, max_shift: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return uint8 images (N, S, S), each mirrored or not and moved, black where uncovered."""
    count, side, _ = images.shape
    padded = F.pad(images, (max_shift,) * 4)
    offsets = torch.randint(0, 2 * max_shift + 1, (2, count, 1), generator=generator)
    grid = torch.arange(side)
    rows, columns = offsets[0] + grid, offsets[1] + grid
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    picture = torch.arange(count)[:, None, None]
    return padded[picture, rows[:, :, None], columns[:, None, :]]


def learning_rate(progress: float, recipe: Recipe) -> float:
    """Return the learning rate when a share `progress` of all steps is done, in [0, 1]."""
    if progress < recipe.warm_up:
        return recipe.learning_rate * progress / recipe.warm_up
    done = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train(
    build: Callable[[], nn.Module],
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    mean: float,
    std: float,
    report: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Train a new network and return it in evaluation mode.

    Parameters
    ----------
    build
        Makes the network.
    images, labels
        uint8, (N, S, S) and (N,).
    recipe
        What to do.
    mean, std
        Inputs are ``(pixel / 255 - mean) / std``.
    report
        Called with a line of text after each epoch.
    """
    torch.manual_seed(recipe.seed)
    # Faster than the default layout for small convolutions on a CPU, by up to a half.
    model = build().to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    hooks = [
        model.get_submodule(name).register_forward_hook(_dropout(share))
        for name, share in recipe.dropout.items()
    ]
    optimizer = torch.optim.SGD(
        _parameter_groups(model, recipe.weight_decay),
        lr=0.0,
        momentum=recipe.momentum,
        nesterov=True,
    )
    pictures, targets = torch.from_numpy(images), torch.from_numpy(labels).to(torch.int64)
    steps = max(1, len(pictures) // recipe.batch_size)
    for epoch in range(recipe.epochs):
        began, total = time.perf_counter(), 0.0
        order = torch.randperm(len(pictures))
        for step in range(steps):
            chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            batch = augment(pictures[chosen], flip=recipe.flip, max_shift=recipe.max_shift)
            inputs = normalise(batch, mean, std).contiguous(memory_format=torch.channels_last)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(
                    (epoch * steps + step + 1) / (recipe.epochs * steps), recipe
                )
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits = model(inputs)
            loss = F.cross_entropy(
                logits.float(), targets[chosen], label_smoothing=recipe.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds = time.perf_counter() - began
        report(f"epoch {epoch + 1}/{recipe.epochs}: loss {total / steps:.4f}, {seconds:.1f} s")
    for hook in hooks:
        hook.remove()
    return model.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]


def _dropout(share: float) -> Callable[[nn.Module, object, Tensor], Tensor]:
    # On a layer's output before its ReLU: dropping and scaling commute with ReLU.
    def hook(module: nn.Module, args: object, output: Tensor) -> Tensor:
        return F.dropout(output, share, training=module.training)

    return hook


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
