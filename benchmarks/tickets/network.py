"""LeNet-300-100 (LeCun et al., Proceedings of the IEEE 1998), and which of its weights go."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from assay.core.identity import identity
from assay.pruning.masks import Mask, keep_largest
from benchmarks.tickets.settings import Settings


def seed_for(*what: int | str) -> int:
    """A seed for one purpose: no two purposes share random numbers, whichever runs before."""
    return int(identity(what)[:15], 16)


def make_network(settings: Settings, seed: int) -> nn.Sequential:
    """Linear layers with ReLU between, Glorot's normal weights (AISTATS 2010) and biases of zero, as in the paper."""
    drawing = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(settings.layers):
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_normal_(layer.weight, generator=drawing)
        nn.init.zeros_(layer.bias)
        modules += [layer, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def prune_round(network: nn.Module, mask: Mask, settings: Settings, round_: int) -> dict[str, Tensor]:
    """The mask after so many rounds: of what is left in each layer the largest weights stay."""
    kept = dict(zip(mask, settings.kept(round_), strict=True))
    return keep_largest(_sizes(network, mask), kept, mask)


def thin_gradually(network: nn.Module, mask: Mask, step: int, settings: Settings) -> Mask:
    """The mask before a step of one training in which weights go along a cubic (Zhu and Gupta, arXiv
    1710.01878, equation 1).

    The smallest weights go, over all layers together, until as many stay as after the target's round.
    """
    course = settings.gradual
    through = (step - course.begin) / (course.end - course.begin)
    if step % course.every or not 0 <= through <= 1:
        return mask
    every, last = sum(settings.kept(0)), sum(settings.kept(settings.target_round))
    kept = last + round((every - last) * (1 - through) ** 3)
    return keep_largest(_sizes(network, mask), kept, mask)


def _sizes(network: nn.Module, mask: Mask) -> dict[str, Tensor]:
    return {name: network.get_parameter(name).detach().abs() for name in mask}
