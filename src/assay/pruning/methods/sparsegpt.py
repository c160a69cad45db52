"""SparseGPT: weights go, and the others make up for them (Frantar and Alistarh, arXiv 2301.00774).

For each layer, whose inputs X on calibration batches give the Hessian H = 2 XX^T, columns are pruned from left to
right; the error that a weight leaves is spread over the columns to its right as optimal brain surgery has it
(algorithm 1). Which weights go is decided for a block of columns at a time, by w^2 / [H^-1]_cc^2 of the Cholesky
factor. A small multiple of the mean diagonal is added to H. All of it in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.pruning.counts import apportion, kept_count, share_out
from assay.pruning.inputs import as_matrix, visit_inputs
from assay.pruning.masks import Mask, largest
from assay.pruning.methods.wanda import Calibrated
from assay.pruning.protocol import Data, check_least, needed, working_copy


@dataclass(frozen=True, slots=True)
class Sparsegpt(Calibrated):
    """Hyperparameters.

    Args:
        block: columns for which weights are chosen at a time; the paper's 128.
        dampening: of the Hessian, in its mean diagonal; the paper's 0.01.
    """

    block: int = 128
    dampening: float = 0.01

    def __post_init__(self) -> None:
        Calibrated.__post_init__(self)
        check_least("block", self.block, 1)
        check_least("dampening", self.dampening, 0)


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A mask and the weights that go with it, by the mask's names; pruned ones are zero."""

    mask: dict[str, Tensor]
    weights: dict[str, Tensor]

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Set a model's weights, in place."""
        for name, weight in self.weights.items():
            model.get_parameter(name).copy_(weight)


def sparsegpt(hparams: Sparsegpt, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """The mask alone; `reconstruct` gives the weights too, without which half of the method is lost."""
    return reconstruct(hparams, model, data, mask).mask


def reconstruct(hparams: Sparsegpt, model: nn.Module, data: Data | None, mask: Mask) -> Reconstruction:
    """Mask and updated weights, layer after layer; the model stays as it is. Layers keep the same share."""
    data, kept = needed(data, "sparsegpt"), kept_count(mask, hparams.sparsity)
    counts = share_out(kept, mask, max(hparams.minimum, 1))
    masks, weights = {}, {}
    with working_copy(model, mask, hparams.seed) as copied:
        copied.eval()

        def visit(name: str, layer: nn.Module, inputs: Iterator[Tensor]) -> None:
            weight = copied.get_parameter(name).detach()
            matrix, allowed = as_matrix(weight.double(), layer), as_matrix(mask[name], layer)
            hessians = damped(hessian(inputs), hparams.dampening, name)
            kept_here, found = solve(matrix, hessians, allowed, counts[name], hparams.block)
            masks[name] = kept_here.view_as(weight)
            weights[name] = found.view_as(weight).to(weight.dtype)
            weight.copy_(weights[name])

        visit_inputs(copied, data, mask, hparams.batches, visit)
    return Reconstruction({name: masks[name] for name in mask}, {name: weights[name] for name in mask})


def hessian(inputs: Iterator[Tensor]) -> Tensor:
    """2 XX^T over all samples: [groups, columns, columns] in float64."""
    total = torch.zeros((), dtype=torch.float64)
    for each in inputs:
        samples = each.double()
        total = total.to(each.device) + 2 * samples.transpose(1, 2) @ samples
    return total


def damped(hessians: Tensor, dampening: float, name: str) -> Tensor:
    """The upper Cholesky factor of the inverse. Columns that no sample reached count for themselves alone."""
    diagonal = hessians.diagonal(dim1=1, dim2=2)
    silent = diagonal == 0
    extra = dampening * diagonal.mean(1, keepdim=True) + silent
    lower, failed = torch.linalg.cholesky_ex(hessians + torch.diag_embed(extra))
    if bool(failed.any()):
        raise InputError("the inputs do not determine a layer's weights", value=name,
                         rule="the Hessian of the calibration inputs is positive definite",
                         next_step="raise dampening, or give more batches")  # fmt: skip
    factor: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    return factor


def solve(matrix: Tensor, factor: Tensor, allowed: Tensor, kept: int, block: int) -> tuple[Tensor, Tensor]:
    """Mask and weights [groups, rows, columns] of one layer.

    Args:
        matrix: float64 weights; not changed.
        factor: [groups, columns, columns], of `damped`.
        allowed: bool, what may stay.
        kept: of the whole layer; blocks of columns keep the same share, or all that they have.
        block: columns chosen at a time.
    """
    weights, mask = matrix.clone(), torch.zeros_like(allowed)
    edges = [slice(at, min(at + block, matrix.shape[2])) for at in range(0, matrix.shape[2], block)]
    alive = torch.tensor([int(allowed[..., each].sum()) for each in edges])
    sizes = torch.tensor([allowed[..., each].numel() for each in edges], dtype=torch.float64)
    counts = apportion(kept, sizes, torch.zeros_like(alive), alive).tolist()
    scale = factor.diagonal(dim1=1, dim2=2).unsqueeze(1)
    for edge, count in zip(edges, counts, strict=True):
        mask[..., edge] = largest(
            (weights[..., edge] / scale[..., edge]).square(), count, allowed[..., edge], "a block"
        )
        errors = torch.zeros_like(weights[..., edge])
        for column in range(edge.start, edge.stop):
            error = weights[..., column].masked_fill(mask[..., column], 0.0) / scale[..., column]
            weights[..., column : edge.stop] -= error.unsqueeze(2) * factor[:, None, column, column : edge.stop]
            errors[..., column - edge.start] = error
        weights[..., edge.stop :] -= errors @ factor[:, edge, edge.stop :]
    return mask, weights.masked_fill(~mask, 0.0)
