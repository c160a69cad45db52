"""Weights go by chance: the control that tells what a method's choice is worth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from assay.pruning.masks import Mask, check_mask
from assay.pruning.protocol import Data, Ranked, keep_ranked


def random(hparams: Ranked, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep weights drawn with the seed; data is not used."""
    scores = random_scores(check_mask(model, mask), hparams.seed)
    return keep_ranked(scores, hparams, mask)


def random_scores(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Uniform float64 scores of the weights' shapes, the same on every device."""
    drawing = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=drawing, dtype=torch.float64).to(weight.device)
        for name, weight in weights.items()
    }
