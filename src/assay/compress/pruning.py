"""Blocks go in steps while the model trains: the cubic schedule of Zhu and Gupta (arXiv 1710.01878, section 3).

At first all blocks are kept, then the sparsity rises fast, and slower as less is left: in each layer the blocks of
smallest Frobenius norm go, and do not come back. After the first half of the steps the layout stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay.checkpoints import Conversion
from assay.checkpoints.conversions import block_sparse
from assay.checkpoints.conversions.replacing import find_linear, replace_module
from assay.compress.choosing import Choice
from assay.compress.settings import Sparse
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear

_PRUNING_SHARE = 0.5
_MOST_CHANGES = 30
"""Each new layout may have to be timed against the dense product, some milliseconds a layer."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When blocks go: `final` is the sparsity at the end, `steps` are those of the whole phase."""

    final: float
    steps: int

    @property
    def end(self) -> int:
        """The step from which on nothing goes."""
        return max(round(_PRUNING_SHARE * self.steps), 1)

    def sparsity(self, step: int) -> float:
        """From 0 at the first step to `final` at `end`."""
        left = 1 - min(step / self.end, 1.0)
        return self.final * (1 - left**3)

    def changes_at(self, step: int) -> bool:
        """Whether blocks go before this step."""
        return 0 < step <= self.end and (step == self.end or step % -(-self.end // _MOST_CHANGES) == 0)


class Pruner:
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

    def training_loss(self, model: nn.Module, loss: Any) -> Any:
        """The training's loss, and nothing beside it."""
        return loss
