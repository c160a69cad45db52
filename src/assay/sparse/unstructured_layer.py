"""What layers with zeros anywhere have in common: a matrix as a bit mask and packed values, and its state.

The state dict holds `mask` (int64 [rows, ceil(columns / 64)], see bits.py), `values` ([kept], row after row) and
`bias`. A dense layer's `weight` loads in their place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse.bits import column_numbers, pack_bits, row_starts, unpack_bits, words_in
from assay.sparse.state import VERSION, is_readable

_NAMED = 1 << 16
"""Columns that 16 bits can name."""


class UnstructuredLayer(nn.Module):
    """Holds a weight of shape `weight_shape` [rows, ...], whose other dimensions are the columns of its matrix.

    Column numbers are kept beside the mask where at most the share `numbered` of the weights is kept.
    """

    _version = VERSION
    numbered = 1.0
    mask: Tensor
    row_starts: Tensor
    columns: Tensor | None

    def __init__(
        self, weight_shape: tuple[int, ...], bias: bool, mask: Tensor | None, device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight_shape = weight_shape
        if mask is None:
            mask = torch.ones(weight_shape, dtype=torch.bool, device=device)
        check_mask(mask, weight_shape)
        bits = pack_bits(mask.flatten(1).to(device or mask.device))
        self.register_buffer("mask", bits)
        self.register_buffer("row_starts", row_starts(bits), persistent=False)
        self.register_buffer("columns", None, persistent=False)
        self.values = nn.Parameter(torch.empty(int(mask.sum()), device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(weight_shape[0], device=device, dtype=dtype)) if bias else None
        self.reset_parameters()
        self._derive()

    def reset_parameters(self) -> None:
        """Draws values and bias as a dense layer does: uniform, up to 1 / sqrt(columns)."""
        bound = 1 / math.sqrt(self._columns) if self._columns else 0.0
        for each in self.parameters():
            nn.init.uniform_(each, -bound, bound)

    def take(self, weight: Tensor, mask: Tensor, bias: Tensor | None) -> None:
        """Copies a dense layer's kept weights and its bias."""
        with torch.no_grad():
            self.values.copy_(weight[mask])
            if self.bias is not None and bias is not None:
                self.bias.copy_(bias)

    def layout(self) -> list[Tensor]:
        """What the operators of unstructured_ops.py take beside the values."""
        own = self._buffers  # a fifth of the time that nn.Module takes for three attributes
        return [each for each in (own["mask"], own["row_starts"], own["columns"]) if each is not None]

    def to_dense(self) -> Tensor:
        """The weight with its zeros, of `weight_shape`; differentiable."""
        dense: Tensor = torch.ops.assay.unstructured_dense(self.values, self.layout(), self._columns)
        return dense.view(self.weight_shape)

    @property
    def density(self) -> float:
        """The share of weights that is kept, 0 to 1."""
        everything = math.prod(self.weight_shape)
        return self.values.numel() / everything if everything else 0.0

    @property
    def _columns(self) -> int:
        return math.prod(self.weight_shape[1:])

    def _derive(self) -> None:
        """What follows from the mask."""
        self.row_starts = row_starts(self.mask)
        numbered = self.density <= self.numbered and self._columns <= _NAMED
        self.columns = column_numbers(self.mask, self._columns) if numbered else None

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        if not is_readable(prefix, local_metadata, error_msgs):
            return
        weight = state_dict.pop(prefix + "weight", None)
        if weight is not None and tuple(weight.shape) == self.weight_shape:
            kept = weight != 0
            state_dict[prefix + "mask"], state_dict[prefix + "values"] = pack_bits(kept.flatten(1)), weight[kept]
        elif weight is not None:
            error_msgs.append(f"{prefix}weight is {tuple(weight.shape)}, not {self.weight_shape}")
        bits, values = state_dict.get(prefix + "mask"), state_dict.get(prefix + "values")
        if bits is not None and values is not None:
            if not _belong(bits, values, self.mask, self._columns):
                error_msgs.append(
                    f"{prefix}mask and {prefix}values do not belong together: {values.numel()} values, mask of "
                    f"{bits.dtype} {tuple(bits.shape)} for a weight of {self.weight_shape}"
                )
                return
            self.values.data = self.values.data.new_empty(values.shape)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if bits is not None and values is not None:
            self._derive()


def chosen(weight: Tensor, sparsity: float | None, mask: Tensor | None) -> Tensor:
    """The mask of a dense layer's weights: that which is given, all but a share of the largest, or what is not zero.

    Raises InputError for both, or a wrong one.
    """
    if mask is not None and sparsity is not None:
        raise InputError(
            "the zeros are given twice",
            value=f"sparsity {sparsity} and a mask",
            rule="a sparsity or a mask",
            next_step="leave one of them out",
        )
    if mask is None:
        mask = weight != 0 if sparsity is None else largest(weight, sparsity)
    check_mask(mask, tuple(weight.shape))
    return mask


def largest(weight: Tensor, sparsity: float) -> Tensor:
    """The boolean mask of all but round(sparsity * weights) elements, the largest magnitudes; ties to lower indices."""
    if not 0 <= sparsity <= 1:
        raise InputError(
            "the sparsity is not a share",
            value=str(sparsity),
            rule="from 0 (keep all) to 1 (keep none)",
            next_step="write 0.8 for 80 % zeros",
        )
    keep = weight.numel() - round(sparsity * weight.numel())
    order = weight.abs().flatten().sort(descending=True, stable=True).indices[:keep]
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order] = True
    return mask.view(weight.shape)


def _belong(bits: Tensor, values: Tensor, present: Tensor, columns: int) -> bool:
    if bits.dtype != torch.int64 or bits.shape != present.shape or values.dim() != 1:
        return False
    kept = unpack_bits(bits, words_in(columns) * 64)
    return int(kept.sum()) == values.numel() and not bool(kept[:, columns:].any())


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raises InputError for a mask that is not boolean and of this shape."""
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise InputError(
            "the mask does not fit the layer",
            value=f"{mask.dtype} of shape {tuple(mask.shape)}",
            rule=f"a boolean mask of {' x '.join(map(str, shape))}, true where a weight is kept",
            next_step="make it from the weight, as `weight != 0` does",
        )
