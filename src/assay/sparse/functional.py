"""Products with a block-sparse matrix as functions of tensors; `linear` has them as a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.errors import InputError
from assay.sparse import ops
from assay.sparse.layout import BlockLayout
from assay.sparse.operators import HALVES, KINDS


def block_sparse_mm(x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None = None) -> Tensor:
    """x [..., in_features] times the block-sparse matrix transposed, plus bias [out_features]: [..., out_features].

    `values` [blocks, block, block] are in PyTorch's BSR order; `ops.packed` puts them where no call copies them. All
    three have one element type: float32 or float64, or a half precision, which is computed in float32 and rounded once
    at the end. Differentiable any number of times in x, values and bias; values' gradient is computed at the kept
    blocks only. Under autocast x takes the values' type. Raises InputError for what does not fit together.
    """
    if x.dtype != values.dtype and torch.is_autocast_enabled(x.device.type):
        x = x.to(values.dtype)
    check_operands(x, values, layout, bias)
    rows = x.reshape(-1, layout.in_features)
    y = product(rows, values, list(layout.tensors), layout.out_features, bias)
    return y.reshape(*x.shape[:-1], layout.out_features)


def product(x: Tensor, values: Tensor, tensors: list[Tensor], out_features: int, bias: Tensor | None) -> Tensor:
    """The same of x [rows, in_features], unchecked."""
    if x.dtype in HALVES and x.device.type == "cpu":
        return product(x.float(), values.float(), tensors, out_features, None if bias is None else bias.float()).to(x)
    y: Tensor = ops.block_sparse_mm(x, values, tensors, out_features, bias)
    return y


def check_operands(x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> None:
    """Raises InputError where the operands do not fit each other."""
    expected = (layout.blocks, layout.block, layout.block)
    if values.shape != expected:
        raise InputError(
            "the values do not fit the layout", value=f"values of shape {tuple(values.shape)}",
            rule=f"a layout of {layout.blocks} blocks of {layout.block} has values of shape {expected}",
            next_step="take both from the same matrix, or carry values over with BlockLayout.carry",
        )  # fmt: skip
    if x.dim() == 0 or x.shape[-1] != layout.in_features:
        raise InputError(
            "the input does not fit the layer", value=f"an input of shape {tuple(x.shape)}",
            rule=f"its last dimension is {layout.in_features}",
        )  # fmt: skip
    if bias is not None and bias.shape != (layout.out_features,):
        raise InputError(
            "the bias does not fit the layer", value=f"a bias of shape {tuple(bias.shape)}",
            rule=f"one element for each of {layout.out_features} outputs",
        )  # fmt: skip
    _check_types(x, values, bias)


def _check_types(x: Tensor, values: Tensor, bias: Tensor | None) -> None:
    if x.dtype != values.dtype or (bias is not None and bias.dtype != x.dtype):
        types = {tensor.dtype for tensor in (x, values, bias) if tensor is not None}
        raise InputError(
            "the operands are of several types", value=", ".join(sorted(map(str, types))),
            rule="x, values and bias share one type", next_step="convert with .to(dtype), or use torch.autocast",
        )  # fmt: skip
    if x.dtype not in KINDS and x.dtype not in HALVES:
        raise InputError(
            "there is no block-sparse product of this type", value=str(x.dtype),
            rule="float32, float64, float16 or bfloat16",
        )  # fmt: skip
    if x.device != values.device or (bias is not None and bias.device != x.device):
        devices = {tensor.device for tensor in (x, values, bias) if tensor is not None}
        raise InputError(
            "the operands are on several devices", value=", ".join(sorted(map(str, devices))), rule="one device",
        )  # fmt: skip
