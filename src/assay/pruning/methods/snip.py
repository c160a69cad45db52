"""SNIP: the weights go whose loss would change least (Lee, Ajanthan and Torr, arXiv 1810.02340).

The connection sensitivity |dL/dc| of a switch c before each weight is |w dL/dw| (equation 5). Its division by the sum
changes no rank and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from assay.pruning.gradients import mean_gradients
from assay.pruning.masks import Mask
from assay.pruning.protocol import Data, Ranked, check_least, keep_ranked, needed, open_weights, working_copy


@dataclass(frozen=True, slots=True)
class Snip(Ranked):
    """`batches`: the mean gradient of the first ones counts."""

    batches: int = 1

    def __post_init__(self) -> None:
        Ranked.__post_init__(self)
        check_least("number of batches", self.batches, 1)


def snip(hparams: Snip, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep the weights of largest |w dL/dw|, in one shot."""
    return keep_ranked(snip_scores(hparams, model, needed(data, "snip"), mask), hparams, mask)


def snip_scores(hparams: Snip, model: nn.Module, data: Data, mask: Mask) -> dict[str, Tensor]:
    """|w dL/dw| with the masked model's weights and gradients."""
    with working_copy(model, mask, hparams.seed) as copied:
        open_weights(copied, mask)
        slopes = mean_gradients(copied, data, list(mask), hparams.batches)
        return {name: (copied.get_parameter(name).detach() * slope).abs() for name, slope in slopes.items()}
