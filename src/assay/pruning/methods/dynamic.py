"""Sparse training that moves its weights: what SET and RigL share.

A copy is trained from a sparse start. Every so many steps each layer drops a fraction of its smallest weights and grows
as many elsewhere, so that its count never changes. Both methods differ in where they grow alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.counts import kept_count, share_out
from assay.pruning.masks import Mask, keep_largest, kept_weights, largest
from assay.pruning.methods.random import random_scores
from assay.pruning.protocol import Data, Hparams, check_least, check_share, open_weights, working_copy
from assay.pruning.training import Masked, train


@dataclass(frozen=True, slots=True)
class Dynamic(Hparams):
    """Hyperparameters of sparse training.

    Args:
        steps: of the copy's training, with the data's optimiser.
        interval: steps between two moves.
        fraction: of a layer's weights that move at first.
        end: the share of the steps after which nothing moves; RigL's 0.75.
        densities: of the start: "erk" keeps more of small layers (Erdos-Renyi-kernel), "uniform" the same share.
    """

    steps: int = 1000
    interval: int = 100
    fraction: float = 0.3
    end: float = 0.75
    densities: Literal["erk", "uniform"] = "erk"

    def __post_init__(self) -> None:
        Hparams.__post_init__(self)
        check_least("number of steps", self.steps, 1)
        check_least("interval", self.interval, 1)
        check_share("fraction", self.fraction)
        check_share("end", self.end)
        if self.densities not in ("erk", "uniform"):
            raise InputError("no such densities", value=str(self.densities)[:100], rule="erk or uniform")


Grow = Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]
"""From the weights, with the gradients of this step's loss, and a seed to the scores by which weights grow."""


def train_moving(
    hparams: Dynamic, model: nn.Module, data: Data, mask: Mask, grow: Grow, cosine: bool
) -> dict[str, Tensor]:
    """The mask at the end of a copy's training.

    A mask that keeps more than is to stay is thinned at random first; from then on weights may grow anywhere. Steps in
    which weights move make no update (arXiv 1911.11134, algorithm 1). `cosine` lets the fraction fall to zero.
    """
    start = sparse_start(hparams, mask)
    with working_copy(model, start, hparams.seed) as copied:
        weights = open_weights(copied, mask)
        masked = Masked(copied, start, data.make_optimizer(copied))
        last = round(hparams.end * hparams.steps)

        def move(step: int) -> bool:
            if step % hparams.interval or not 0 < step < last:
                return False
            share = hparams.fraction * ((1 + math.cos(math.pi * step / last)) / 2 if cosine else 1.0)
            masked.set_mask(drop_and_grow(masked.mask, weights, grow(weights, hparams.seed + step), share))
            return True

        train(copied, data, masked, range(hparams.steps), move)
    return masked.mask


def drop_and_grow(
    mask: Mask, weights: Mapping[str, Tensor], scores: Mapping[str, Tensor], fraction: float
) -> dict[str, Tensor]:
    """In each layer the smallest kept weights go and as many of the largest scores come; counts stay exactly.

    What was dropped may come back at once (arXiv 1911.11134, section 3.4): it then keeps its value.
    """
    found = {}
    for name, each in mask.items():
        alive = int(each.sum())
        moved = min(round(fraction * alive), max(alive - 1, 0))
        stay = largest(weights[name].detach().abs(), alive - moved, each, name)
        found[name] = stay | largest(scores[name], moved, ~stay, name)
    return found


def sparse_start(hparams: Dynamic, mask: Mask) -> dict[str, Tensor]:
    """Where sparse training begins: as many of the mask's weights as are to stay, by chance, shared out to the layers.

    Erdos-Renyi-kernel: a layer's count is in proportion to the sum of its weight's sizes (arXiv 1911.11134,
    section 3.2); what a small layer cannot take goes to the others. A mask that keeps as many already stays as it is.
    """
    kept = kept_count(mask, hparams.sparsity)
    if kept == kept_weights(mask):
        return dict(mask)
    erk = {name: sum(each.shape) / each.numel() for name, each in mask.items()}
    counts = share_out(kept, mask, hparams.minimum, erk if hparams.densities == "erk" else None)
    return keep_largest(random_scores(mask, hparams.seed), counts, mask)
