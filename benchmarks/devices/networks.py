"""The networks that are measured: one function each, from a seed to a subject.

Another one is a function and a line in NETWORKS. Weights that were trained elsewhere come from a file, safetensors or
JSON (names to nested lists), into a module of the same names with `from_file`; those of pruned Game of Life networks
are kept by benchmarks/life.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.devices.training import digits, prune, train
from benchmarks.life import rules
from benchmarks.life.networks import load


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained module, inputs [n, ...] and targets [n, ...] that it never saw, and inputs for calibration.

    `binary`: inputs are 0 and 1. `decides`: the answer is the number of the largest output.
    """

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    calibration: Tensor
    binary: bool = False
    decides: bool = True


class Scaled(nn.Module):
    """x / 16, the digits' largest brightness; exporting folds it into the first layer."""

    def forward(self, x: Tensor) -> Tensor:
        """To 0 to 1."""
        return x / 16


def digits_mlp(seed: int, keep: int | None = None) -> Subject:
    """64-32-10, 2,368 weights."""
    return _digits(_mlp, seed, keep)


def digits_conv(seed: int, keep: int | None = None) -> Subject:
    """8 filters of 3 x 3, pooled to 3 x 3, 10 outputs: 792 weights."""
    return _digits(_conv, seed, keep)


def _mlp() -> nn.Module:
    return nn.Sequential(Scaled(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def _conv() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), Scaled(), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(72, 10))  # fmt: skip


@lru_cache(maxsize=8)
def _trained(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return train(make(), seed)


def _digits(make: Callable[[], nn.Module], seed: int, keep: int | None) -> Subject:
    x, _, held_x, held_y = digits()
    model = _trained(make, seed) if keep is None else prune(_trained(make, seed), seed, keep)
    return Subject(model, held_x, held_y, x)


def life_by_hand(seed: int) -> Subject:
    """Conway's Game of Life with weights set by hand, on all 512 patches of 3 x 3; the seed changes nothing.

    It counts neighbours n and half of the middle, s / 2, and asks whether the sum is within 1/2 of 3.
    """
    return life_patches(_life(0))


def life_patches(model: nn.Module) -> Subject:
    """A network of one step, unpadded, on all 512 patches of 3 x 3 and the rule's answers."""
    patches = torch.from_numpy(rules.all_patches()[:, None]).float()
    return Subject(model, patches, torch.from_numpy(rules.TRUTH).long().view(-1, 1, 1), patches, binary=True)


def life_board(seed: int) -> Subject:
    """The same on whole boards of 32 x 32 that wrap around: 8 random ones, a cell alive with probability 0.38."""
    boards = (torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) < 0.38).float()
    truth = np.stack([rules.torus_step(board) for board in boards[:, 0].numpy().astype(np.uint8)])
    return Subject(_life(1), boards, torch.from_numpy(truth).long(), boards, binary=True, decides=False)


def life_module(width: int = 1, padding: int = 0) -> nn.Module:
    """The architecture of one step (Springer and Kenyon, arXiv 2009.01398), `width` times the minimal one."""
    edges = {"padding": padding, "padding_mode": "circular"} if padding else {}
    return nn.Sequential(nn.Conv2d(1, 2 * width, 3, **edges), nn.ReLU(), nn.Conv2d(2 * width, width, 1), nn.ReLU(),
                         nn.Conv2d(width, 1, 1), nn.Sigmoid()).eval()  # fmt: skip


def _life(padding: int) -> nn.Module:
    model = life_module(1, padding)
    middle = torch.ones(3, 3)
    middle[1, 1] = 0.5
    values = (
        torch.stack([middle, -middle])[:, None],
        [-3.0, 3.0],
        [[[[-1.0]], [[-1.0]]]],
        [0.75],
        [[[[40.0]]]],
        [-5.0],
    )
    state = dict(zip(model.state_dict(), (torch.as_tensor(value) for value in values), strict=True))
    model.load_state_dict(state)
    return model


def from_file(path: Path, model: nn.Module) -> nn.Module:
    """A module with the weights of a safetensors or JSON file, strictly: all names, and no others."""
    if path.suffix == ".json":
        state = {name: torch.tensor(values) for name, values in json.loads(path.read_text()).items()}
    else:
        state = load_file(path)
    model.load_state_dict(state)
    return model.eval()


NETWORKS: dict[str, Callable[[int], Subject]] = {
    "digits, MLP": digits_mlp,
    "digits, MLP, 20 % of weights": lambda seed: digits_mlp(seed, 474),
    "digits, MLP, 10 % of weights": lambda seed: digits_mlp(seed, 237),
    "digits, convolution": digits_conv,
    "digits, convolution, 40 % of weights": lambda seed: digits_conv(seed, 317),
    "life, by hand": life_by_hand,
    "life, by hand, a board": life_board,
    "life, pruned to 9.9 %": lambda seed: life_patches(load("one-step-0-tenth")),
    "life, pruned to 2.3 %": lambda seed: life_patches(load("one-step-1-smallest")),
}
UNSEEDED = frozenset(name for name in NETWORKS if name.startswith("life"))
"""Where other seeds would add nothing."""
