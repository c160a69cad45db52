"""The network of Springer and Kenyon (arXiv 2009.01398, section 3) for n steps, m times as wide as a minimal one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
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


def parameters(network: LifeNetwork) -> Sequence[NDArray[np.float64]]:
    """Weight and bias of each layer in turn, in float64. Raises InputError where one is not finite."""
    found: list[NDArray[np.float64]] = []
    for number, layer in enumerate(convolutions(network)):
        assert layer.bias is not None
        for each in (layer.weight, layer.bias):
            values = np.ascontiguousarray(each.detach().cpu().numpy(), dtype=np.float64)
            if not np.isfinite(values).all():
                raise InputError("a parameter is not finite", value=f"layer {number}", rule="all parameters are finite")
            found.append(values)
    return found


def with_parameters(n: int, m: int, values: Sequence[NDArray[np.float64]]) -> LifeNetwork:
    """A network with these weights and biases, as `parameters` gives them, rounded to float32."""
    network = LifeNetwork(n, m)
    with torch.no_grad():
        for layer, weight, bias in zip(convolutions(network), values[::2], values[1::2], strict=True):
            assert layer.bias is not None
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    return network
