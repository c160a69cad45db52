"""Training on scikit-learn's digits, and pruning by magnitude with exact counts; small, seeded, on one thread."""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from assay.pruning.masks import Mask, full_mask, keep_largest, kept_weights
from assay.pruning.training import Masked

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


def train(model: nn.Module, seed: int, epochs: int = EPOCHS, mask: Mask | None = None) -> nn.Module:
    """Adam with cross-entropy; weights that the mask has gone stay 0. Only training data are seen."""
    x, y, _, _ = digits()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    masked = Masked(model, mask or {}, optimizer)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            masked.before_step()
            optimizer.step()
            masked.after_step()
        schedule.step()
    return model.eval()


def prune(dense: nn.Module, seed: int, keep: int) -> nn.Module:
    """A copy with exactly `keep` weights that are not pruned: the largest of all layers together, in rounds."""
    model = copy.deepcopy(dense)
    mask = full_mask(model)
    while (left := kept_weights(mask)) > keep:
        left = max(int(left * ROUND_SHARE), keep)
        sizes = {name: model.get_parameter(name).detach().abs() for name in mask}
        mask = keep_largest(sizes, left, mask)
        train(model, seed + left, ROUND_EPOCHS, mask)
    return model
