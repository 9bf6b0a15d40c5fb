"""Networks of a few lines for the tests: modules by name, and a forward as a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

IMAGE = (2, 3, 8, 8)


class Net(nn.Module):
    """A network whose forward is ``forward(self, x)``, or takes as many inputs as it likes."""

    def __init__(self, forward: Callable[..., Any], **modules: Any) -> None:
        super().__init__()
        self._function = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs: Tensor, **named: Any) -> Any:
        return self._function(self, *inputs, **named)


def conv(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


def settle(model: nn.Module) -> nn.Module:
    """Give BatchNorm statistics and scales that are not neutral, so that mistakes show."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            shape = (module.num_features,)
            if module.running_mean is not None:
                module.running_mean.copy_(torch.randn(shape, generator=generator))
                module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            if module.affine:
                module.weight.data.copy_(torch.rand(shape, generator=generator) + 0.5)
                module.bias.data.copy_(torch.randn(shape, generator=generator))
    return model


class LeNet300100(nn.Sequential):
    """LeCun et al. 1998, as in Han et al. 2015: 784-300-100-10."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(784, 300),
            nn.ReLU(),
            nn.Linear(300, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )


class LeNet5(nn.Sequential):
    """Caffe's LeNet-5: conv 20 and 50 of 5×5, pooled, 500, 10."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 500),
            nn.ReLU(),
            nn.Linear(500, 10),
        )


class Residual(nn.Module):
    """A stem and one residual block with a projection, 4 to 6 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = conv(3, 4, bias=False), nn.BatchNorm2d(4)
        self.conv1, self.bn1 = conv(4, 5), nn.BatchNorm2d(5)
        self.conv2, self.bn2 = conv(5, 6), nn.BatchNorm2d(6)
        self.project = nn.Conv2d(4, 6, 1)
        self.fc = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)) + self.project(x))
        return self.fc(y.mean((2, 3)))
