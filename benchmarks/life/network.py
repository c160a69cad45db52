"""The network of Springer and Kenyon (arXiv 2009.01398, section 3) for n steps, m times as wide as a minimal one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assay.errors import InputError


class LifeNetwork(nn.Module):
    """Cells of n steps later: for every step a 3x3 convolution to 2m channels and a 1x1 to m, a ReLU after each; then
    a 1x1 to one channel and a sigmoid. 2n+1 layers, 23n+2 parameters at m=1.

    Nothing is padded: [batch, 1, h, w] of zeros and ones gives [batch, 1, h-2n, w-2n] of probabilities of being alive.
    On a board whose edges adjoin, pad by n with `mode="circular"` first.
    """

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        if n < 1 or m < 1:
            raise InputError("a network predicts at least one step", value=f"n={n}, m={m}", rule="n >= 1 and m >= 1")
        self.n, self.m = n, m
        layers: list[nn.Module] = []
        for number in range(n):
            layers += [nn.Conv2d(1 if number == 0 else m, 2 * m, 3), nn.ReLU(), nn.Conv2d(2 * m, m, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(m, 1, 1))

    def logits(self, cells: Tensor) -> Tensor:
        """What the sigmoid takes: above 0 where a cell will be alive."""
        found: Tensor = self.layers(cells)
        return found

    def forward(self, cells: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(cells))


def convolutions(network: LifeNetwork) -> list[nn.Conv2d]:
    """Its 2n+1 layers in order."""
    return [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]


def parameter_count(n: int, m: int) -> int:
    """How many parameters LifeNetwork(n, m) has."""
    return n * (2 * m + 2 * m * m + m) + 18 * m + (n - 1) * 18 * m * m + m + 1
