"""`SparseLinear`: nn.Linear with zeros anywhere, for small batches, where a layer costs what its bytes cost.

A row keeps one bit for each column and its values packed: 2.1 + 33.6 MB instead of 67 at 4096 x 4096 and 50 % zeros.
From 1 - `NUMBERED` zeros on it also keeps 16-bit column numbers (2.1 + 13.4 + 6.7 MB at 80 %), and is faster than a
dense layer at any batch; with fewer zeros it is up to about 16 rows, and from `MASK_ROWS` on it falls back to a dense
product over a matrix made for the call. `explain` says what a call does.

The state dict holds `mask` (int64 [out, ceil(in / 64)], see bits.py), `values` ([kept], row after row) and `bias`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse.bits import column_numbers, pack_bits, row_starts, unpack_bits, words_in
from assay.sparse.library import instruction_set
from assay.sparse.state import VERSION, is_readable
from assay.sparse.unstructured_ops import MASK_ROWS

NUMBERED = 0.4
"""Share of values up to which column numbers are kept: at 60 % zeros and 64 rows they still beat the dense product."""
FEW = 1 / 8
"""Share up to which one to eight rows read them as well, as unstructured.cpp decides: at 90 % zeros they are 1.3 times
as fast as the mask for one row on Zen 4, at 95 % 1.9 times, at 80 % slower."""
_NAMED = 1 << 16
"""Columns that 16 bits can name."""


class SparseLinear(nn.Module):
    """y = x W' + b for x [..., in_features], where W has zeros that are neither stored nor multiplied.

    Args:
        in_features: columns of W; any number.
        out_features: rows of W; any number.
        bias: whether there is one.
        mask: boolean [out_features, in_features], true where W has a value; None keeps all.
        device: as nn.Linear's.
        dtype: as nn.Linear's; on a CPU float32 and float64 compute, others raise InputError when called.

    `load_state_dict` takes this layer's arrays or a dense layer's `weight`; either brings its own zeros: the mask that
    the layer had is replaced, and `values` gets another length, so load before an optimiser is made.
    """

    _version = VERSION
    mask: Tensor
    row_starts: Tensor
    columns: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        mask: Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        if mask is None:
            mask = torch.ones(out_features, in_features, dtype=torch.bool, device=device)
        _check_mask(mask, out_features, in_features)
        bits = pack_bits(mask.to(device or mask.device))
        self.register_buffer("mask", bits)
        self.register_buffer("row_starts", row_starts(bits), persistent=False)
        self.register_buffer("columns", None, persistent=False)
        self.values = nn.Parameter(torch.empty(int(mask.sum()), device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()
        self._derive()

    def reset_parameters(self) -> None:
        """Draws values and bias as nn.Linear does: uniform, up to 1 / sqrt(in_features)."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        for each in self.parameters():
            nn.init.uniform_(each, -bound, bound)

    @classmethod
    def from_linear(cls, linear: nn.Linear, sparsity: float | None = None, mask: Tensor | None = None) -> SparseLinear:
        """The layer of a dense one's weights, with `mask`, or all but a share `sparsity` of the largest magnitudes.

        Exactly round(sparsity * weights) are pruned; of equal magnitudes the ones with lower indices stay. With neither
        argument the weights that are zero already are left out. Raises InputError for both, or a wrong one.
        """
        weight = linear.weight.detach()
        if mask is not None and sparsity is not None:
            raise InputError(
                "the zeros are given twice",
                value=f"sparsity {sparsity} and a mask",
                rule="a sparsity or a mask",
                next_step="leave one of them out",
            )
        if mask is None:
            mask = weight != 0 if sparsity is None else largest(weight, sparsity)
        _check_mask(mask, *weight.shape)
        made = cls(
            linear.in_features, linear.out_features, linear.bias is not None,
            mask=mask, device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            made.values.copy_(weight[mask])
            if made.bias is not None:
                made.bias.copy_(linear.bias)
        return made.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]. Raises InputError for another width or type."""
        if x.shape[-1] != self.in_features:
            raise InputError(
                "the input does not fit the layer",
                value=f"shape {tuple(x.shape)}",
                rule=f"a last dimension of {self.in_features}",
                next_step="give it what the dense layer was given",
            )
        flat = x if x.dim() == 2 else x.reshape(-1, self.in_features)
        y = torch.ops.assay.unstructured_mm(flat, self.values, self.layout(), self.bias)
        return y if x.dim() == 2 else y.view(*x.shape[:-1], self.out_features)  # type: ignore[no-any-return]

    def layout(self) -> list[Tensor]:
        """What the operators of unstructured_ops.py take beside the values."""
        return [self.mask, self.row_starts] if self.columns is None else [self.mask, self.row_starts, self.columns]

    def to_dense(self) -> Tensor:
        """W with its zeros, [out_features, in_features]; differentiable."""
        return torch.ops.assay.unstructured_dense(self.values, self.layout(), self.in_features)  # type: ignore[no-any-return]

    def to_linear(self) -> nn.Linear:
        """A dense layer that computes the same."""
        made = nn.Linear(
            self.in_features, self.out_features, self.bias is not None,
            device=self.values.device, dtype=self.values.dtype,
        )  # fmt: skip
        with torch.no_grad():
            made.weight.copy_(self.to_dense())
            if self.bias is not None:
                made.bias.copy_(self.bias)
        return made.train(self.training)

    @property
    def density(self) -> float:
        """The share of weights that is kept, 0 to 1."""
        everything = self.in_features * self.out_features
        return self.values.numel() / everything if everything else 0.0

    def explain(self, rows: int = 1) -> str:
        """One sentence: how a call with so many rows of x is computed here, and the bytes of weights it reads."""
        dense = self.in_features * self.out_features * self.values.element_size()
        bits, values = self.mask.nbytes, self.values.nbytes
        if self.values.device.type != "cpu":
            return f"{rows} rows: a dense product over a matrix of {dense} bytes made for the call, as on any GPU"
        if self.columns is not None and (rows > 8 or self.density <= FEW):
            way, read = f"column numbers ({instruction_set()})", values + self.columns.nbytes
        elif rows <= MASK_ROWS:
            way, read = f"bit mask ({instruction_set()}), eight rows at a time", bits + values
        else:
            return (
                f"{rows} rows: a dense product over a matrix of {dense} bytes made for the call: over {MASK_ROWS} rows"
            )
        return f"{rows} rows: {way}, reads {read} bytes instead of {dense}: {dense / max(read, 1):.2f} times fewer"

    def extra_repr(self) -> str:
        """As nn.Linear's, with the share of zeros."""
        shape = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{shape}, bias={self.bias is not None}, zeros={1 - self.density:.3f}"

    def _derive(self) -> None:
        """What follows from the mask."""
        self.row_starts = row_starts(self.mask)
        numbered = self.density <= NUMBERED and self.in_features <= _NAMED
        self.columns = column_numbers(self.mask, self.in_features) if numbered else None

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        if not is_readable(prefix, local_metadata, error_msgs):
            return
        weight = state_dict.pop(prefix + "weight", None)
        if weight is not None and tuple(weight.shape) == (self.out_features, self.in_features):
            kept = weight != 0
            state_dict[prefix + "mask"], state_dict[prefix + "values"] = pack_bits(kept), weight[kept]
        elif weight is not None:
            error_msgs.append(f"{prefix}weight is {tuple(weight.shape)}, not {(self.out_features, self.in_features)}")
        bits, values = state_dict.get(prefix + "mask"), state_dict.get(prefix + "values")
        if bits is not None and values is not None:
            if not _belong(bits, values, self.mask, self.in_features):
                error_msgs.append(
                    f"{prefix}mask and {prefix}values do not belong together: {values.numel()} values, mask of "
                    f"{bits.dtype} {tuple(bits.shape)} for {self.out_features} x {self.in_features} features"
                )
                return
            self.values.data = self.values.data.new_empty(values.shape)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if bits is not None and values is not None:
            self._derive()


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


def _belong(bits: Tensor, values: Tensor, present: Tensor, in_features: int) -> bool:
    if bits.dtype != torch.int64 or bits.shape != present.shape or values.dim() != 1:
        return False
    kept = unpack_bits(bits, words_in(in_features) * 64)
    return int(kept.sum()) == values.numel() and not bool(kept[:, in_features:].any())


def _check_mask(mask: Tensor, out_features: int, in_features: int) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != (out_features, in_features):
        raise InputError(
            "the mask does not fit the layer",
            value=f"{mask.dtype} of shape {tuple(mask.shape)}",
            rule=f"a boolean mask of {out_features} x {in_features}, true where a weight is kept",
            next_step="make it from the weight, as `weight != 0` does",
        )
