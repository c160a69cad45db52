"""The feed-forwards that are compared: each maps [batch, tokens, width] to the same shape and a loss of its router."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.moe import MoE, MoEOutput
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear


class Dense(nn.Module):
    """down(gelu(up(x)))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.down(functional.gelu(self.up(x))), x.new_zeros(())


class Mixture(nn.Module):
    """Assay's mixture of such experts, dropless. While `counts` is set, forwards add each expert's tokens to it."""

    def __init__(self, moe: MoE) -> None:
        super().__init__()
        self.moe = moe
        self.counts: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output: MoEOutput = self.moe(x)
        if self.counts is not None:
            self.counts += output.expert_counts
        loss = output.router_loss if self.training else x.new_zeros(())
        return output.hidden_states, loss


class BlockSparse(nn.Module):
    """The dense form with both weights block-sparse from the start to the end, in a random pattern that never changes.

    `hidden` has to be divisible by the block. Kept blocks are drawn from PyTorch's generator, as the values are.
    """

    def __init__(self, width: int, hidden: int, block: int, sparsity: float) -> None:
        super().__init__()
        self.up = _block_sparse(width, hidden, block, sparsity)
        self.down = _block_sparse(hidden, width, block, sparsity)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.down(functional.gelu(self.up(x))), x.new_zeros(())


def _block_sparse(inputs: int, outputs: int, block: int, sparsity: float) -> BlockSparseLinear:
    wide, narrow = max(inputs, outputs) // block, -(-min(inputs, outputs) // block)
    mask = balanced_mask(wide, narrow, 1 - sparsity)
    layout = BlockLayout.from_mask(mask if outputs > inputs else mask.T.contiguous(), outputs, inputs, block)
    return BlockSparseLinear(inputs, outputs, block, False, layout=layout)


def part_of_experts(model: nn.Module) -> int:
    """How many of a model's parameters belong to experts."""
    mixtures = [module for module in model.modules() if isinstance(module, Mixture)]
    return sum(p.numel() for mixture in mixtures for p in mixture.moe.experts.parameters())


def balanced_mask(units: int, columns: int, density: float) -> Tensor:
    """A random boolean [units, columns] mask whose rows, and columns, hold as equal numbers of blocks as can be.

    No hidden block is cut off from all inputs while another has several: at 90 % and 12 columns chance alone would cut
    off 28 % of them. Each row in turn takes the columns that were taken least, ties by chance.
    """
    kept = round(density * units * columns)
    mask = torch.zeros(units, columns, dtype=torch.bool)
    taken = torch.zeros(columns)
    for number, row in enumerate(torch.randperm(units).tolist()):
        wanted = kept * (number + 1) // units - kept * number // units
        order = (taken + torch.rand(columns) / 2).argsort()[:wanted]
        mask[row, order] = True
        taken[order] += 1
    return mask
