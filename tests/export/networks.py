"""Networks for the tests: random ones of every operator, and the modules that users have."""

import numpy as np
import torch
from torch import nn

from assay.export.network import Activation, Add, Conv, Kind, Layer, Network, Pool, PoolKind, Softmax, Window


def random_network(seed):
    """A small network drawn from a seed: some weights zero, some rows all zero, paddings of both kinds, branches."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9)))
    layers = []
    source, takes = 0, shape
    for _ in range(int(rng.integers(1, 4))):
        layers.append(Layer(random_conv(rng, takes), (source,), takes, random_activation(rng)))
        source, takes = len(layers), layers[-1].shape
        if rng.random() < 0.3:
            other = Conv(sparse(rng, (takes[0], takes[0], 1, 1)), sparse(rng, takes[:1]))
            layers.append(Layer(other, (source,), takes, random_activation(rng)))
            layers.append(Layer(Add(), (source, len(layers)), takes, random_activation(rng)))
            source = len(layers)
        if rng.random() < 0.4 and min(takes[1:]) >= 2:
            kind = PoolKind.MAX if rng.random() < 0.5 else PoolKind.AVERAGE
            padding = (1, 1) if kind is PoolKind.MAX and rng.random() < 0.5 and min(takes[1:]) > 2 else (0, 0)
            size = (2, 2) if padding == (0, 0) else (3, 3)
            layers.append(Layer(Pool(kind, Window(size, (2, 1), padding)), (source,), takes, random_activation(rng)))
            source, takes = len(layers), layers[-1].shape
    flat = (int(np.prod(takes)), 1, 1)
    outputs = int(rng.integers(1, 6))
    layers.append(Layer(Conv(sparse(rng, (outputs, flat[0], 1, 1)), sparse(rng, (outputs,))), (source,), flat,
                        random_activation(rng)))  # fmt: skip
    if rng.random() < 0.3:
        layers.append(Layer(Softmax(), (len(layers),), layers[-1].shape))
    return Network(shape, tuple(layers)), rng


def random_conv(rng, takes):
    size = tuple(int(min(rng.integers(1, 4), side)) for side in takes[1:])
    padding = tuple(int(rng.integers(0, side + 1)) for side in size)
    window = Window(size, (int(rng.integers(1, 3)), 1), padding, circular=bool(rng.random() < 0.4))
    groups = takes[0] if rng.random() < 0.2 else 1
    out = groups * int(rng.integers(1, 3)) if groups > 1 else int(rng.integers(1, 5))
    return Conv(sparse(rng, (out, takes[0] // groups, *size)), sparse(rng, (out,)), window, groups)


def sparse(rng, shape):
    """Normal numbers, of which a share from nothing to all is zero; some whole rows are."""
    numbers = rng.normal(0, 0.7, shape).astype(np.float32)
    numbers[rng.random(shape) < rng.choice([0.0, 0.5, 0.9, 1.0], p=[0.4, 0.3, 0.25, 0.05])] = 0
    if numbers.ndim > 1:
        numbers[rng.random(len(numbers)) < 0.2] = 0
    return numbers


def random_activation(rng):
    kind = rng.choice([None, *Kind])
    return None if kind is None else Activation(kind, 0.1 if kind is Kind.LEAKY_RELU else 0.0)


def life(width=2, seed=0, board=0):
    """The network that learns Conway's Game of Life, for a patch of 3 x 3 or a whole board that wraps around."""
    torch.manual_seed(seed)
    edges = {"padding": 1, "padding_mode": "circular"} if board else {}
    return nn.Sequential(
        nn.Conv2d(1, 2 * width, 3, **edges), nn.ReLU(), nn.Conv2d(2 * width, width, 1), nn.ReLU(),
        nn.Conv2d(width, 1, 1), nn.Sigmoid(),
    ).eval()  # fmt: skip


def exact_life(board=0):
    """The same with weights that are right, by hand: it counts neighbours (n) and itself (s).

    Alive after a step where n + s / 2 is 2.5, 3 or 3.5; |n + s/2 - 3| <= 1/2 by two ReLUs.
    """
    model = life(1, board=board)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].weight[:, 0, 1, 1] = 0.5
        model[0].weight[1] *= -1
        model[0].bias.copy_(torch.tensor([-3.0, 3.0]))
        model[2].weight.fill_(-1.0)
        model[2].bias.fill_(0.75)
        model[4].weight.fill_(40.0)
        model[4].bias.fill_(-5.0)
    return model


def life_step(board):
    """The rule itself on boards [n, h, w] of 0 and 1."""
    around = sum(np.roll(board, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
    return ((around == 3) | ((board == 1) & (around == 2))).astype(np.int64)
