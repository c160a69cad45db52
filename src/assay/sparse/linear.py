"""`BlockSparseLinear`: a linear layer whose weight keeps some of its blocks, in place of torch.nn.Linear."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse import dispatch, functional, ops, reference
from assay.sparse.layout import BlockLayout, check_block, split_blocks
from assay.sparse.operators import is_watched
from assay.sparse.state import VERSION, is_readable


class BlockSparseLinear(nn.Module):
    """y = x W^T + b, where of W [out_features, in_features] only the blocks of a layout are kept.

    The state dict holds W as PyTorch's BSR has it: `crow_indices`, `col_indices` and `values` [blocks, block, block].
    Loading adopts the checkpoint's layout; a dense checkpoint (`weight`) is cut to this layer's layout, with a warning
    where that drops anything but zeros. Features need not be divisible by the block: the edge is padded with zeros.

    On a CPU each call takes the faster of the sparse and the dense product, as measured on this machine (`dispatch`);
    `explain()` says which, and why. Raises InputError for a block other than 8, 16, 32, 64 and a layout of other sizes.
    """

    _version = VERSION
    values: nn.Parameter

    def __init__(
        self, in_features: int, out_features: int, block: int = 32, bias: bool = True, *,
        layout: BlockLayout | None = None, device: Any = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        check_block(block)
        self.in_features, self.out_features, self.block = in_features, out_features, block
        if layout is None:
            shape = -(-out_features // block), -(-in_features // block)
            layout = BlockLayout.from_mask(torch.ones(shape, dtype=torch.bool), out_features, in_features, block)
        self._check_layout(layout)
        self._layout: BlockLayout | None = None
        self._adopt(layout.to(device or "cpu"))
        empty = torch.empty(layout.blocks, block, block, device=device, dtype=dtype or torch.get_default_dtype())
        self.values = nn.Parameter(ops.packed(empty))
        self.bias = nn.Parameter(empty.new_empty(out_features)) if bias else None
        self.choice = dispatch.Chooser()
        self.reset_parameters()

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, block: int = 32, *, sparsity: float | None = None, layout: BlockLayout | None = None
    ) -> BlockSparseLinear:
        """The layer of a dense one: with `layout`'s blocks, or the blocks of largest norm, or all that are not zero.

        `sparsity` is the share of blocks that goes, 0 to 1; of blocks with equal norms the first stay, so that exactly
        that many go. Type, device and bias are the dense layer's.
        """
        weight = linear.weight.detach()
        if layout is None and sparsity is None:
            layout = BlockLayout.from_dense(weight, block)
        elif layout is None:
            layout = BlockLayout.from_largest(weight, block, sparsity or 0.0)
        made = cls(
            linear.in_features, linear.out_features, layout.block, linear.bias is not None, layout=layout,
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            made.values.copy_(made._kept(weight))
            if linear.bias is not None and made.bias is not None:
                made.bias.copy_(linear.bias)
        return made.train(linear.training)

    @property
    def layout(self) -> BlockLayout:
        """The kept blocks."""
        known = self._layout
        if known is None or known.tensors[0] is not self._buffers["crow_indices"]:  # .to() makes new buffers
            known = self._layout = BlockLayout.of_buffers(self, self.out_features, self.in_features, self.block)
        return known

    def reset_parameters(self) -> None:
        """As torch.nn.Linear does, with the inputs that a layer of this density has on average for its fan-in."""
        bound = 1 / math.sqrt(max(self.in_features * self.layout.density, 1))
        nn.init.uniform_(self.values, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in_features] to [..., out_features]."""
        layout = self.layout
        if is_watched():
            return functional.block_sparse_mm(x, self.values, layout, self.bias)
        return self.choice.product(x, self.values, layout, self.bias)

    def set_layout(self, layout: BlockLayout, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Keep other blocks from now on, as methods do whose mask changes during training.

        Blocks kept before and after keep their values, new ones start at zero. So do an optimizer's tensors of the
        values' shape (momentum, second moments). The gradient is dropped. The parameter stays the same object.
        """
        self._check_layout(layout)
        old, layout = self.layout, layout.to(self.values.device)
        if optimizer is not None:
            state = optimizer.state.get(self.values, {})
            for name, tensor in state.items():
                if isinstance(tensor, Tensor) and tensor.shape == self.values.shape:
                    state[name] = ops.packed(old.carry(tensor, layout))
        self._replace(layout, old.carry(self.values.detach(), layout))

    def to_dense(self) -> Tensor:
        """W [out_features, in_features]; differentiable."""
        return reference.dense(self.values, list(self.layout.tensors), self.out_features, self.in_features)

    def to_linear(self) -> nn.Linear:
        """The dense layer with the same outputs."""
        weight = self.to_dense().detach()
        made = nn.Linear(
            self.in_features, self.out_features, self.bias is not None, device=weight.device, dtype=weight.dtype
        )
        with torch.no_grad():
            made.weight.copy_(weight)
            if self.bias is not None:
                made.bias.copy_(self.bias)
        return made.train(self.training)

    def active_operations(self, rows: int) -> int:
        """Floating-point operations of a forward pass over `rows` rows, the padding's included."""
        return 2 * rows * self.layout.blocks * self.block**2

    def explain(self) -> str:
        """Which product the calls so far took, and why, a line for each number of rows."""
        return f"{self.layout}{_padding_words(self.layout)}\n{self.choice.explain()}"

    def extra_repr(self) -> str:
        """What repr shows."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, block={self.block}"
        kept = f"density={self.layout.density:.3f}, bias={self.bias is not None}"
        return f"{sizes}, {kept}{_padding_words(self.layout)}"

    def _kept(self, weight: Tensor) -> Tensor:
        layout = self.layout
        return split_blocks(weight, self.block)[layout.block_rows(), layout.columns]

    def _check_layout(self, layout: BlockLayout) -> None:
        found = layout.out_features, layout.in_features, layout.block
        if found != (self.out_features, self.in_features, self.block):
            raise InputError(
                "the layout does not fit the layer", value=str(layout),
                rule=f"{self.out_features} x {self.in_features} in blocks of {self.block}",
            )  # fmt: skip

    def _adopt(self, layout: BlockLayout) -> None:
        for name, tensor in layout.named():
            self.register_buffer(name, tensor, persistent=name in BlockLayout.STORED)

    def _replace(self, layout: BlockLayout, values: Tensor) -> None:
        """Other blocks in the same Parameter, so that an optimizer that holds it goes on with it."""
        self.values.grad = None
        fresh = nn.Parameter(ops.packed(values), self.values.requires_grad)
        try:
            torch.utils.swap_tensors(self.values, fresh)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise InputError(
                "the layout cannot change now", value=str(error)[:200],
                rule="no output of an earlier forward pass with a gradient is alive",
                next_step="delete outputs and losses, or run backward, before changing the layout",
            ) from error  # fmt: skip
        self._adopt(layout)
        self.choice.layout_changed()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """What load_state_dict calls for each module; `state_dict` is its own copy."""
        if not is_readable(prefix, local_metadata, error_msgs):
            return
        try:
            self._take_layout(state_dict, prefix)
        except InputError as error:
            error_msgs.append(f"{prefix}: {error}")
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _take_layout(self, state_dict: dict[str, Any], prefix: str) -> None:
        starts, columns = (state_dict.get(prefix + name) for name in BlockLayout.STORED)
        weight = state_dict.get(prefix + "weight")
        if weight is not None and prefix + "values" not in state_dict:
            state_dict[prefix + "values"] = self._cut(state_dict.pop(prefix + "weight"), prefix)
            state_dict.update({prefix + name: getattr(self, name) for name in BlockLayout.STORED})
        elif starts is not None and columns is not None:
            layout = BlockLayout.from_bsr(starts, columns, self.out_features, self.in_features, self.block)
            layout = layout.to(self.values.device)
            if not torch.equal(layout.columns, self.layout.columns) or not torch.equal(
                layout.row_starts, self.layout.row_starts
            ):
                self._replace(layout, self.values.new_zeros(layout.blocks, self.block, self.block))

    def _cut(self, weight: Tensor, prefix: str) -> Tensor:
        if tuple(weight.shape) != (self.out_features, self.in_features):
            raise InputError(
                "the dense weight does not fit", value=str(tuple(weight.shape)),
                rule=f"{(self.out_features, self.in_features)}",
            )  # fmt: skip
        kept = self._kept(weight.to(self.values.device))
        whole = float(weight.square().sum())
        lost = max(0.0, 1 - float(kept.square().sum()) / whole) if whole else 0.0
        if lost > 1e-6:  # more than rounding of the sums
            warnings.warn(
                f"{prefix}weight is dense: {lost:.1%} of its squared norm lies outside of this layer's blocks and goes",
                stacklevel=2,
            )
        return kept


def _padding_words(layout: BlockLayout) -> str:
    rows, columns = layout.padding
    return f", padded by {rows} x {columns} to whole blocks" if rows or columns else ""
