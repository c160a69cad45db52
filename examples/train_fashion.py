"""A small convolutional network on Fashion-MNIST to make cheaper; the data are Debian's dataset-fashion-mnist.

Of the 60,000 training images 55,000 train; the score is the share of wrong answers on the 10,000 test images.

    assay compress examples/train_fashion.py --prune 0.9 --method structured --margin 0.005 --cost latency
"""

import functools

import torch
from torch import nn

from assay.datasets import fashion_mnist

BATCH, HELD_OUT_BATCH, TRAINING_IMAGES = 64, 64, 55_000
SCORE, UNIT = "share of wrong answers", "share"


def make_model() -> nn.Module:
    """Three convolutions with batch norms, and two linear layers: 28 x 28 pixels to 10 logits."""
    return nn.Sequential(
        *convolution(1, 32), *convolution(32, 64), nn.MaxPool2d(2), *convolution(64, 64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """Over 3 x 3 pixels, its batch norm and ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW."""
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy."""
    return nn.functional.cross_entropy(model(images), labels)


def get_batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images drawn at random."""
    images, labels = data("train")
    chosen = torch.randint(TRAINING_IMAGES, (BATCH,), generator=torch.Generator().manual_seed(number))
    return images[chosen], labels[chosen]


def held_out() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All test images."""
    images, labels = data("test")
    return list(zip(images.split(HELD_OUT_BATCH), labels.split(HELD_OUT_BATCH), strict=True))


def score(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 for a wrong answer, 0 for a right one."""
    return (outputs.argmax(1) != targets).float()


@functools.cache
def data(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All images of a part, and their labels."""
    return fashion_mnist(part)
