"""The smallest weights go, over all layers or in each: the method that others have to beat."""

from __future__ import annotations

from torch import Tensor, nn

from assay.pruning.masks import Mask, check_mask
from assay.pruning.protocol import Data, Ranked, keep_ranked


def magnitude(hparams: Ranked, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep the weights of largest absolute value; data is not used."""
    scores = {name: weight.detach().abs() for name, weight in check_mask(model, mask).items()}
    return keep_ranked(scores, hparams, mask)
