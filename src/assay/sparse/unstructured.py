"""`SparseLinear`: nn.Linear with zeros anywhere, for small batches, where a layer costs what its bytes cost.

A row keeps one bit for each column and its values packed: 2.1 + 33.6 MB instead of 67 at 4096 x 4096 and 50 % zeros.
From 1 - `NUMBERED` zeros on it also keeps 16-bit column numbers (2.1 + 13.4 + 6.7 MB at 80 %), and is faster than a
dense layer at any batch; with fewer zeros it is up to about 16 rows, and from `MASK_ROWS` on it falls back to a dense
product over a matrix made for the call. `explain` says what a call does.

The state dict holds `mask` (int64 [out, ceil(in / 64)], see bits.py), `values` ([kept], row after row) and `bias`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse.library import instruction_set
from assay.sparse.unstructured_layer import UnstructuredLayer, chosen
from assay.sparse.unstructured_ops import MASK_ROWS, unstructured_mm

NUMBERED = 0.4
"""Share of values up to which column numbers are kept: at 60 % zeros and 64 rows they still beat the dense product."""
FEW = 1 / 8
"""Share up to which one to eight rows read them as well, as unstructured.cpp decides: at 90 % zeros they are 1.3 times
as fast as the mask for one row on Zen 4, at 95 % 1.9 times, at 80 % slower."""


class SparseLinear(UnstructuredLayer):
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

    numbered = NUMBERED

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
        super().__init__((out_features, in_features), bias, mask, device, dtype)
        self.in_features, self.out_features = in_features, out_features

    @classmethod
    def from_linear(cls, linear: nn.Linear, sparsity: float | None = None, mask: Tensor | None = None) -> SparseLinear:
        """The layer of a dense one's weights, with `mask`, or all but a share `sparsity` of the largest magnitudes.

        Exactly round(sparsity * weights) are pruned; of equal magnitudes the ones with lower indices stay. With neither
        argument the weights that are zero already are left out. Raises InputError for both, or a wrong one.
        """
        weight = linear.weight.detach()
        mask = chosen(weight, sparsity, mask)
        made = cls(
            linear.in_features, linear.out_features, linear.bias is not None,
            mask=mask, device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        made.take(weight, mask, linear.bias)
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
        y: Tensor = unstructured_mm(flat, self.values, self.layout(), self.bias)
        return y if x.dim() == 2 else y.view(*x.shape[:-1], self.out_features)

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
