"""Blocks go in steps while the model trains: in each layer those of smallest Frobenius norm, never to come back."""

from __future__ import annotations

import torch
from torch import nn

from assay.checkpoints import Conversion
from assay.checkpoints.conversions import block_sparse
from assay.checkpoints.conversions.replacing import find_linear, replace_module
from assay.compress.choosing import Choice
from assay.compress.method import Converter
from assay.compress.schedule import Schedule
from assay.compress.settings import Sparse
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear


class BlockPruner(Converter):
    """What is done to a model on the way to a block-sparse one.

    Args:
        method: how sparse, and the block.
        choice: the layers.
        steps: of the phase.
    """

    def __init__(self, method: Sparse, choice: Choice, steps: int) -> None:
        self._block, self._names = method.block, choice.names
        self._schedule = Schedule(method.sparsity, steps)
        self.conversion = Conversion(block_sparse.NAME, {"block": method.block, "modules": choice.names})

    def convert(self, model: nn.Module) -> nn.Module:
        """The dense model's layers with all blocks kept."""
        for name in self._names:
            linear = find_linear(model, name)
            model = replace_module(model, name, BlockSparseLinear.from_linear(linear, self._block, sparsity=0.0))
        return model

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Take away the blocks that the schedule takes before this step."""
        if not self._schedule.changes_at(step):
            return
        sparsity = self._schedule.sparsity(step)
        for name in self._names:
            layer = model.get_submodule(name)
            assert isinstance(layer, BlockSparseLinear)
            layout = BlockLayout.from_largest(layer.to_dense().detach(), self._block, sparsity)
            layer.set_layout(layout, optimizer)
