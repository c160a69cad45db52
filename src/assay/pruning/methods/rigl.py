"""RigL: sparse training that grows where the gradient is largest (Evci and others, arXiv 1911.11134).

The fraction that moves falls as half a cosine. Gradients of absent weights are there because layers stay dense, with
zeros: moving costs nothing beside the step that it replaces. New weights start at zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from assay.pruning.gradients import unreached
from assay.pruning.masks import Mask
from assay.pruning.methods.dynamic import Dynamic, train_moving
from assay.pruning.protocol import Data, needed


def rigl(hparams: Dynamic, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """The mask at the end of sparse training whose weights come back where |dL/dw| is largest."""
    return train_moving(hparams, model, needed(data, "rigl"), mask, _slopes, cosine=True)


def _slopes(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    found = {}
    for name, weight in weights.items():
        if weight.grad is None:
            raise unreached(name)
        found[name] = torch.abs(weight.grad)
    return found
