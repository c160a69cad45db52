"""What is left of a pruned network when nothing is kept that computes nothing.

A channel without incoming weights is a constant, max(bias, 0), and goes into the biases behind it: nothing is padded,
so it is one at every position. A channel that nothing reads goes with all that leads to it. Both until nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.life.network import LifeNetwork, parameters, with_parameters


@dataclass(frozen=True, slots=True)
class Left:
    """What a network needs.

    Attributes:
        parameters: of the dense network.
        nonzeros: before folding, biases too.
        multiply_adds: weights that stay, each one multiply-add for a cell.
        biases: that stay and are not 0.
        channels: that stay after each layer but the last.
    """

    parameters: int
    nonzeros: int
    multiply_adds: int
    biases: int
    channels: tuple[int, ...]


def fold(network: LifeNetwork) -> LifeNetwork:
    """A network of the same shape and function whose constant and unread channels have no parameters.

    Constants are added in float64 and rounded once, to float32.
    """
    layers = [each.copy() for each in parameters(network)]
    weights, biases = layers[::2], layers[1::2]
    for number in range(len(weights) - 1):
        constant = ~weights[number].any((1, 2, 3))
        values = np.where(constant, np.maximum(biases[number], 0), 0)
        biases[number + 1] += weights[number + 1].sum((2, 3)) @ values
        weights[number + 1][:, constant] = 0
    for number in reversed(range(len(weights) - 1)):
        unread = ~weights[number + 1].any((0, 2, 3))
        weights[number][unread] = 0
        biases[number][unread] = 0
    return with_parameters(network.n, network.m, layers)


def left(network: LifeNetwork) -> Left:
    """Count what a network has and needs."""
    whole, folded = parameters(network), parameters(fold(network))
    return Left(
        parameters=sum(each.size for each in whole),
        nonzeros=sum(int(np.count_nonzero(each)) for each in whole),
        multiply_adds=sum(int(np.count_nonzero(each)) for each in folded[::2]),
        biases=sum(int(np.count_nonzero(each)) for each in folded[1::2]),
        channels=tuple(int(each.any((1, 2, 3)).sum()) for each in folded[:-2:2]),
    )
