"""Movement: the weights go that training moves towards zero (Sanh, Wolf and Rush, arXiv 2005.07683).

The score is -w dL/dw, added up over the steps of a fine-tuning (equation 4): large where a weight grows. The paper
masks during this training and lets weights come back through a straight-through gradient; here a copy is trained
unmasked, and scored at its end. Pruning in rounds (assay.pruning.schedule) does it step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.pruning.masks import Mask
from assay.pruning.protocol import Data, Ranked, check_least, keep_ranked, needed, open_weights, working_copy
from assay.pruning.training import Masked, train


@dataclass(frozen=True, slots=True)
class Movement(Ranked):
    """`steps`: how long the copy is trained, with the data's optimiser."""

    steps: int = 100

    def __post_init__(self) -> None:
        Ranked.__post_init__(self)
        check_least("number of steps", self.steps, 1)


def movement(hparams: Movement, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep the weights that moved away from zero most."""
    return keep_ranked(movement_scores(hparams, model, needed(data, "movement"), mask), hparams, mask)


def movement_scores(hparams: Movement, model: nn.Module, data: Data, mask: Mask) -> dict[str, Tensor]:
    """The sum of -w dL/dw over the steps, each before its update."""
    with working_copy(model, mask, hparams.seed) as copied:
        weights = open_weights(copied, mask)
        sums = {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}

        def add(_step: int) -> None:
            for name, weight in weights.items():
                if weight.grad is not None:
                    sums[name] -= weight.detach() * weight.grad

        train(copied, data, Masked(copied, mask, data.make_optimizer(copied)), range(hparams.steps), add)
    return sums
