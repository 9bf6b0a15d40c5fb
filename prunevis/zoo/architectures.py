"""The architectures that come along: four plain modules.

All take images of shape (N, 1, 28, 28), normalised as their dataset says, and give (N, 10) logits.
They are written the way a textbook would, so that what is shown about them is about networks and
not about this code. `prunevis.zoo.models` finds them by name and gives them trained weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LeNet300100(nn.Module):
    """A classifier of three linear layers, 784-300-100-10, with ReLU between them.

    The smallest network of the pruning literature (LeCun et al. 1998; Han et al. 2015).
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28) or flat vectors (N, 784)."""
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class LeNet5(nn.Module):
    """Caffe's LeNet-5: two valid 5×5 convolutions (20, 50), each pooled, then 500 and 10.

    Caffe's has a ReLU after `fc1` alone; here one also follows each convolution, so that every
    layer has activations to look at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm and a residual add (He et al. 2016).

    The shortcut is the identity, or a strided 1×1 convolution where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNet8(nn.Module):
    """A residual network of eight weighted layers on the main path: 1 + 3 × 2 + 1.

    The stem halves the sides at once (as in the ImageNet ResNets), so the blocks work at 14, 7
    and 4 pixels a side: enough for 28 × 28 images, and quick on one core.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.block1 = BasicBlock(width, width)
        self.block2 = BasicBlock(width, 2 * width, stride=2)
        self.block3 = BasicBlock(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.block3(self.block2(self.block1(x)))
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return self.fc(x)


class SeparableBlock(nn.Module):
    """A depthwise 3×3 and a pointwise 1×1 convolution, each with BatchNorm and ReLU.

    The building block of MobileNet (Howard et al. 2017).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


class Mobile(nn.Module):
    """A small MobileNet: a strided stem, five depthwise separable blocks, a mean, a classifier."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            SeparableBlock(width, 2 * width),
            SeparableBlock(2 * width, 2 * width),
            SeparableBlock(2 * width, 4 * width, stride=2),
            SeparableBlock(4 * width, 4 * width),
            SeparableBlock(4 * width, 4 * width, stride=2),
        )
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = F.relu(self.bn(self.stem(x)))
        x = self.blocks(x).mean((2, 3))
        return self.fc(x)
