"""Block-sparse layers with int8 values for inference: a quarter of float32's file and memory, a scale for each output.

Only weights are quantised: the kernel widens them in registers and multiplies in float32. There are no gradients.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse import ops
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear

LARGEST = 127
"""Of int8 without -128, so that the range is symmetric and needs no zero point."""


class Int8BlockSparseLinear(nn.Module):
    """A `BlockSparseLinear` whose values are int8, each output's times its scale; made by `quantise`.

    The state dict holds `crow_indices`, `col_indices`, `values` int8 [blocks, block, block], `scales` float32
    [out_features] and `bias`.
    """

    values: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, layer: BlockSparseLinear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.block = layer.in_features, layer.out_features, layer.block
        values, scales = _quantised(layer)
        self.register_buffer("values", values)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float())
        for name, tensor in layer.layout.named():
            self.register_buffer(name, tensor, persistent=name in BlockLayout.STORED)

    @property
    def layout(self) -> BlockLayout:
        """The kept blocks."""
        return BlockLayout.of_buffers(self, self.out_features, self.in_features, self.block)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in_features], float32, to [..., out_features]. Raises InputError where a gradient is asked for."""
        if x.shape[-1] != self.in_features or x.dtype != torch.float32:
            raise InputError(
                "the input does not fit the layer", value=f"{x.dtype} of shape {tuple(x.shape)}",
                rule=f"float32 of shape [..., {self.in_features}]",
            )  # fmt: skip
        if torch.is_grad_enabled() and x.requires_grad:
            raise InputError(
                "int8 values have no gradients", rule="they are for inference",
                next_step="run under torch.no_grad(), or train the float layer and quantise it afterwards",
            )  # fmt: skip
        rows = x.reshape(-1, self.in_features)
        y: Tensor = torch.ops.assay.block_sparse_mm_int8(
            rows, self.values, self.scales, list(self.layout.tensors), self.out_features, self.bias
        )
        return y.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """What repr shows."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, block={self.block}"
        return f"{sizes}, density={self.layout.density:.3f}, int8"


def quantise(model: nn.Module) -> Any:
    """A copy of a model, in evaluation mode, with int8 values in all its `BlockSparseLinear` layers.

    Each value errs by at most half its output's scale, the largest magnitude of that output's values / 127. Raises
    InputError where there is no such layer, and for NaN and infinity.
    """
    quantised = copy.deepcopy(model).eval()
    if isinstance(quantised, BlockSparseLinear):
        return Int8BlockSparseLinear(quantised).eval()
    found = [(parent, name) for parent in quantised.modules() for name, child in parent.named_children()
             if isinstance(child, BlockSparseLinear)]  # fmt: skip
    if not found:
        raise InputError(
            "there is nothing to quantise", value=type(model).__name__, rule="a model with BlockSparseLinear layers",
        )  # fmt: skip
    for parent, name in found:
        setattr(parent, name, Int8BlockSparseLinear(getattr(parent, name)))
    return quantised


def check_finite(weight: Tensor) -> None:
    """Raises InputError for NaN and infinity, which have no place in int8."""
    if not bool(weight.isfinite().all()):
        raise InputError("a weight to quantise holds NaN or infinity", rule="every element is finite")


def rounded(weight: Tensor, scales: Tensor) -> Tensor:
    """weight [..., out, in] in units of scales [..., out], as int8 of its shape; in float32 at least."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    units = weight.to(wide) / scales.unsqueeze(-1).to(wide)
    return units.round().clamp(-LARGEST, LARGEST).to(torch.int8)


def _quantised(layer: BlockSparseLinear) -> tuple[Tensor, Tensor]:
    """int8 values in the kernels' order of memory, and scales [out_features]."""
    values, layout = layer.values.detach().float(), layer.layout
    check_finite(values)
    rows = layout.block_rows()
    largest = values.new_zeros(layout.shape[0], layout.block)
    largest.index_reduce_(0, rows, values.abs().amax(2), "amax")
    scales = (largest / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return ops.packed(rounded(values, scales[rows])), scales.flatten()[: layout.out_features].contiguous()
