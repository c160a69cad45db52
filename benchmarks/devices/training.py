"""Training on scikit-learn's digits, and pruning by magnitude with exact counts; small, seeded, on one thread."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

SPLIT_SEED = 20_260
EPOCHS, BATCH, RATE, DECAY = 80, 64, 3e-3, 1e-4
ROUND_SHARE = 0.7
"""Of the weights that a round of pruning keeps; each is followed by training."""
ROUND_EPOCHS = 30


@lru_cache(maxsize=1)
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training inputs [n, 64] of 0 to 16 and targets, then those held out: every class's fifth."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    x, held_x, y, held_y = train_test_split(data.data.astype(np.float32), data.target, test_size=0.2,
                                            random_state=SPLIT_SEED, stratify=data.target)  # fmt: skip
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(held_x), torch.from_numpy(held_y)


def train(model: nn.Module, seed: int, epochs: int = EPOCHS, masks: Sequence[Tensor] | None = None) -> nn.Module:
    """Adam with cross-entropy; weights where a mask is 0 stay 0. Only training data are seen."""
    x, y, _, _ = digits()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            if masks is not None:
                _apply(model, masks)
        schedule.step()
    return model.eval()


def prune(dense: nn.Module, seed: int, keep: int) -> nn.Module:
    """A copy with exactly `keep` weights that are not pruned: the largest of all layers together, in rounds."""
    model = copy.deepcopy(dense)
    left = sum(weight.numel() for weight in weights(model))
    while left > keep:
        left = max(int(left * ROUND_SHARE), keep)
        masks = largest(weights(model), left)
        _apply(model, masks)
        train(model, seed + left, ROUND_EPOCHS, masks)
    return model


def largest(tensors: Sequence[Tensor], keep: int) -> list[Tensor]:
    """Masks of exactly `keep` ones over all tensors together, where magnitudes are largest; ties by place."""
    flat = torch.cat([tensor.detach().abs().flatten() for tensor in tensors])
    chosen = torch.zeros_like(flat)
    chosen[flat.argsort(descending=True, stable=True)[:keep]] = 1
    parts = chosen.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def weights(model: nn.Module) -> list[Tensor]:
    """Of linear and convolutional layers; biases are not pruned."""
    return [each.weight for each in model.modules() if isinstance(each, nn.Linear | nn.Conv2d)]


def _apply(model: nn.Module, masks: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for weight, mask in zip(weights(model), masks, strict=True):
            weight *= mask
