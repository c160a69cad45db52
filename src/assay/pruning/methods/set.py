"""SET: sparse training that grows at random (Mocanu and others, arXiv 1707.04780).

The paper drops the smallest positive and the largest negative weights apart, after each epoch; here the smallest by
absolute value, every `interval` steps. New weights start at zero.
"""

from __future__ import annotations

from torch import Tensor, nn

from assay.pruning.masks import Mask
from assay.pruning.methods.dynamic import Dynamic, train_moving
from assay.pruning.methods.random import random_scores
from assay.pruning.protocol import Data, needed


def set_(hparams: Dynamic, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """The mask at the end of sparse training whose weights come back anywhere, by chance."""
    return train_moving(hparams, model, needed(data, "set"), mask, random_scores, cosine=False)
