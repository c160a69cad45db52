"""`block-sparse`: linear layers that keep some blocks of their weights.

Settings: {"block": 32, "modules": ["blocks.0.up", ...]}. Which blocks are kept is in the weights' file, as PyTorch's
BSR has it, so that the layers are made without any and take what is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from assay.checkpoints.conversions.replacing import find_linear, replace_module
from assay.errors import InputError
from assay.sparse.layout import BLOCKS, BlockLayout
from assay.sparse.linear import BlockSparseLinear

NAME = "block-sparse"


def to_block_sparse(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The model with block-sparse layers, which keep no block yet. Raises InputError for settings that do not fit."""
    block, names = settings.get("block"), settings.get("modules")
    if block not in BLOCKS or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"these are no settings of {NAME}", value=str(dict(settings))[:300],
                         rule=f'"block" of {", ".join(map(str, BLOCKS))}, and "modules", a list of names')  # fmt: skip
    for name in names:
        model = replace_module(model, name, _empty(find_linear(model, name), block))
    return model


def _empty(linear: nn.Linear, block: int) -> BlockSparseLinear:
    rows, columns = -(-linear.out_features // block), -(-linear.in_features // block)
    none = torch.zeros(rows, columns, dtype=torch.bool)
    layout = BlockLayout.from_mask(none, linear.out_features, linear.in_features, block)
    return BlockSparseLinear.from_linear(linear, block, layout=layout)
