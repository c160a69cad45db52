"""Wanda: the weights go that are small times what they are multiplied with (Sun and others, arXiv 2306.11695).

The score of a weight is |w| times the norm of its input over the calibration samples, compared within each output row.
Every row of a layer keeps as many, to within one where the layer's exact count does not divide. Convolutions, which
the paper does not treat, are rows over their unfolded inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.pruning.counts import apportion, kept_count, share_out
from assay.pruning.inputs import as_matrix, visit_inputs
from assay.pruning.masks import Mask
from assay.pruning.protocol import Data, Hparams, check_least, needed, working_copy


@dataclass(frozen=True, slots=True)
class Calibrated(Hparams):
    """`batches`: of calibration; the first ones."""

    batches: int = 1

    def __post_init__(self) -> None:
        Hparams.__post_init__(self)
        check_least("number of batches", self.batches, 1)


def wanda(hparams: Calibrated, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep in each output row the weights of largest |w| x |input|; layers keep the same share, one after another."""
    data, kept = needed(data, "wanda"), kept_count(mask, hparams.sparsity)
    counts = share_out(kept, mask, max(hparams.minimum, 1))
    found = {}
    with working_copy(model, mask, hparams.seed) as copied:
        copied.eval()

        def visit(name: str, layer: nn.Module, inputs: Iterator[Tensor]) -> None:
            weight = copied.get_parameter(name).detach()
            scores = as_matrix(weight.abs(), layer) * input_norms(inputs).unsqueeze(1)
            found[name] = keep_in_rows(scores.flatten(0, 1), counts[name], mask[name])
            weight.masked_fill_(~found[name], 0.0)

        visit_inputs(copied, data, mask, hparams.batches, visit)
    return {name: found[name] for name in mask}


def input_norms(inputs: Iterator[Tensor]) -> Tensor:
    """[groups, columns]: the Euclidean norm of each column over all samples, in float64."""
    squares = torch.zeros((), dtype=torch.float64)
    for each in inputs:
        squares = squares.to(each.device) + each.double().square().sum(1)
    return squares.sqrt()


def keep_in_rows(scores: Tensor, kept: int, mask: Tensor) -> Tensor:
    """Exactly `kept` of a layer's weights, the same number in every row to within one, or all that a row has.

    Args:
        scores: [rows, columns].
        kept: of the layer.
        mask: what may stay, in the weight's shape; the result has it too.
    """
    allowed = mask.reshape(scores.shape)
    alive = allowed.sum(1).cpu()
    rows = torch.ones(len(alive), dtype=torch.float64)
    counts = apportion(kept, rows, torch.zeros_like(alive), alive).to(scores.device)
    order = scores.masked_fill(~allowed, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return (rank < counts.unsqueeze(1)).view_as(mask)
