"""Many networks of one shape trained at once: a leading axis of instances makes every layer one batched product.

Instances share the data of a step and nothing else; each has the gradient that it would have alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.life.network import LifeNetwork, convolutions

Batch = Tensor
"""[1 or instances, channels, positions]"""


class Instances:
    """Parameters as `weights[layer]` [instances, out, in] and `biases[layer]` [instances, out, 1], as convolutions
    hold them, `in` being channels times positions of the 3x3.

    Args:
        n, m: the networks' steps and width.
        seeds: one each; an instance does not depend on which others stand beside it.
    """

    def __init__(self, n: int, m: int, seeds: Sequence[int]) -> None:
        self.n, self.m, self.count = n, m, len(seeds)
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        drawn = [_draw(n, m, seed) for seed in seeds]
        for layer in range(2 * n + 1):
            self.weights.append(torch.stack([each[layer][0] for each in drawn]))
            self.biases.append(torch.stack([each[layer][1] for each in drawn]))

    @property
    def parameters(self) -> list[Tensor]:
        """All of them, weight and bias in turn."""
        return [each for pair in zip(self.weights, self.biases, strict=True) for each in pair]

    def only(self, places: Tensor) -> None:
        """Leave all others out."""
        self.count = len(places)
        self.weights = [each.detach()[places] for each in self.weights]
        self.biases = [each.detach()[places] for each in self.biases]

    def require_gradients(self) -> None:
        """Before training."""
        for each in self.parameters:
            each.requires_grad_(True)

    def step(self, number: int, x: Batch) -> Batch:
        """The channels after step `number`, from what its 3x3 sees: [.., 9 channels, positions]."""
        return torch.relu(self.before_last_relu(number, x))

    def before_last_relu(self, number: int, x: Batch) -> Batch:
        """The same, but for the ReLU after the 1x1."""
        hidden = torch.relu(product(self.weights[2 * number], x) + self.biases[2 * number])
        return product(self.weights[2 * number + 1], hidden) + self.biases[2 * number + 1]

    def last(self, x: Batch) -> Tensor:
        """Logits [instances, positions] from the channels after the last step."""
        return (product(self.weights[-1], x) + self.biases[-1])[:, 0]

    def logits(self, cells: Tensor) -> Tensor:
        """[h, w] of zeros and ones to [instances, (h-2n)(w-2n)]."""
        side_by_side, (height, width) = cells[None], cells.shape
        for number in range(self.n):
            seen = F.unfold(side_by_side.view(-1, side_by_side.shape[1] if number else 1, height, width), 3)
            height, width = height - 2, width - 2
            side_by_side = self.step(number, seen)
        return self.last(side_by_side)

    def network(self, instance: int) -> LifeNetwork:
        """One of them as a module of its own."""
        network = LifeNetwork(self.n, self.m)
        with torch.no_grad():
            for layer, weight, bias in zip(convolutions(network), self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[instance].view_as(layer.weight))
                layer.bias.copy_(bias[instance, :, 0])  # type: ignore[union-attr]
        return network


def product(weight: Tensor, x: Batch) -> Batch:
    """[instances, out, in] times [1 or instances, in, positions]."""
    if x.shape[0] == 1:
        return (weight.flatten(0, 1) @ x[0]).view(weight.shape[0], weight.shape[1], -1)
    return weight @ x


def _draw(n: int, m: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """A network's first parameters: uniform within 1/sqrt(inputs), as PyTorch's convolutions begin."""
    rng, drawn = torch.Generator().manual_seed(seed), []
    for layer in convolutions(LifeNetwork(n, m)):
        bound = 1 / math.sqrt(layer.weight[0].numel())
        weight, bias = (torch.empty(layer.out_channels, size) for size in (layer.weight[0].numel(), 1))
        drawn.append((weight.uniform_(-bound, bound, generator=rng), bias.uniform_(-bound, bound, generator=rng)))
    return drawn
