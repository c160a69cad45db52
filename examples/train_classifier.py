"""An image classifier to train: separable convolutions with batch normalisation and SiLU, SGD with momentum.

The images are waves in one of ten directions under noise, drawn anew for every batch.
"""

import math

import torch
from torch import nn

CLASSES, BATCH, SIZE = 10, 32, 32


def separable(channels: int, outs: int) -> nn.Sequential:
    """A depthwise convolution and a pointwise one, each with its normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False), nn.BatchNorm2d(channels), nn.SiLU(),
        nn.Conv2d(channels, outs, 1, bias=False), nn.BatchNorm2d(outs), nn.SiLU(),
    )  # fmt: skip


class Classifier(nn.Module):
    """x [batch, 3, 32, 32] to logits [batch, classes]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.SiLU(),
            separable(32, 64), nn.AvgPool2d(2), separable(64, 128), nn.AvgPool2d(2), separable(128, 128),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One pass."""
        return self.head(self.features(x))


def make_model() -> nn.Module:
    """A new model."""
    return Classifier()


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum."""
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)


def loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy."""
    return nn.functional.cross_entropy(model(images), labels)


def get_batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their labels."""
    drawing = torch.Generator().manual_seed(number)
    labels = torch.randint(CLASSES, (BATCH,), generator=drawing)
    angles = labels * math.pi / CLASSES
    phases = torch.rand(BATCH, generator=drawing) * 2 * math.pi
    across = torch.arange(SIZE) / SIZE * 6 * math.pi
    waves = torch.sin(
        angles.cos()[:, None, None] * across + angles.sin()[:, None, None] * across[:, None] + phases[:, None, None]
    )
    return waves[:, None] + torch.randn(BATCH, 3, SIZE, SIZE, generator=drawing), labels
