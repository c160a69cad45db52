"""GraSP: the weights go that the gradient's flow can miss (Wang, Zhang and Grosse, arXiv 2002.07376).

Without a weight w the squared norm of the gradient g changes by about -w (Hg) (equation 8): weights go where this is
largest. The gradient is that of the weights in the mask. The paper divides logits by a temperature of 200; a loss that
does so is yours to give.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.pruning.gradients import differentiate, gradients, mean_gradients
from assay.pruning.masks import Mask
from assay.pruning.protocol import Data, Ranked, check_least, keep_ranked, needed, open_weights, working_copy


@dataclass(frozen=True, slots=True)
class Grasp(Ranked):
    """`batches`: g is the mean of the first ones, and so is H."""

    batches: int = 1

    def __post_init__(self) -> None:
        Ranked.__post_init__(self)
        check_least("number of batches", self.batches, 1)


def grasp(hparams: Grasp, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep the weights of largest w (Hg)."""
    return keep_ranked(grasp_scores(hparams, model, needed(data, "grasp"), mask), hparams, mask)


def grasp_scores(hparams: Grasp, model: nn.Module, data: Data, mask: Mask) -> dict[str, Tensor]:
    """w (Hg) of every weight; Hg without H, as the gradient of g's product with a constant copy of itself."""
    names = list(mask)
    with working_copy(model, mask, hparams.seed) as copied:
        open_weights(copied, mask)
        mean = mean_gradients(copied, data, names, hparams.batches)
        sums = {name: torch.zeros_like(each) for name, each in mean.items()}
        for number in range(hparams.batches):
            slopes = gradients(copied, data, names, number, create_graph=True)
            flow = torch.stack([(slopes[name] * mean[name] * mask[name]).sum() for name in names]).sum()
            for name, each in differentiate(flow, copied, names).items():
                sums[name] += each / hparams.batches
        return {name: copied.get_parameter(name).detach() * each for name, each in sums.items()}
