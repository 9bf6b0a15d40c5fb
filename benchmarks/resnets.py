"""ResNet-18 and ResNet-50 in plain torch, with random weights: networks of real size to measure on.

The architecture is that of He et al. 2015 as torchvision builds it (the stride in the 3×3
convolution of a bottleneck), so that parameters can be compared: 11,689,512 and 25,557,032.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Parameters of the two, as published.
PARAMETERS = {"resnet18": 11_689_512, "resnet50": 25_557_032}


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class _Block(nn.Module):
    """Two or three convolutions, and the input added to what they give."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        self.conv1 = _conv(inputs, width, 1) if bottleneck else _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride if bottleneck else 1)
        self.bn2 = nn.BatchNorm2d(width)
        if bottleneck:
            self.conv3 = _conv(width, outputs, 1)
            self.bn3 = nn.BatchNorm2d(outputs)
        self.bottleneck = bottleneck
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            shortcut = _conv(inputs, outputs, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, height / stride, width / stride)."""
        same = self.downsample(x)
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + same)


class ResNet(nn.Module):
    """A residual network for 224×224 pictures and 1,000 classes.

    Parameters
    ----------
    depths
        Blocks in each of the four stages.
    bottleneck
        Whether a block is 1×1, 3×3, 1×1 instead of 3×3, 3×3.
    """

    def __init__(self, depths: tuple[int, ...], *, bottleneck: bool) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        wide = 4 if bottleneck else 1
        stages = []
        for stage, depth in enumerate(depths):
            width, first = 64 << stage, 64 if not stage else wide * (32 << stage)
            blocks = [_Block(first, width, 2 if stage else 1, bottleneck=bottleneck)]
            rest = range(depth - 1)
            blocks += [_Block(wide * width, width, 1, bottleneck=bottleneck) for _ in rest]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(wide * 512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 1000) of pictures (N, 3, 224, 224)."""
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def resnet(name: str, seed: int = 0) -> nn.Module:
    """Return "resnet18" or "resnet50" with weights drawn from `seed`, in evaluation mode."""
    build: dict[str, Callable[[], ResNet]] = {
        "resnet18": lambda: ResNet((2, 2, 2, 2), bottleneck=False),
        "resnet50": lambda: ResNet((3, 4, 6, 3), bottleneck=True),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build[name]()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model.eval()


def pictures(count: int = 512, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random pictures (count, 3, 224, 224) and labels; 512 take 308 MB."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3, 224, 224, generator=generator)
    return inputs, torch.randint(1000, (count,), generator=generator)
