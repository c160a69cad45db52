"""Which blocks of a matrix are kept: the pattern of a block-sparse matrix, with what its transpose needs.

As in PyTorch's BSR: `row_starts` is `crow_indices`, `columns` is `col_indices`. The transpose's pattern and the order
of its blocks are worked out once, because every backward pass walks the matrix by block columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from assay.errors import InputError

BLOCKS = (8, 16, 32, 64)
"""Sides of blocks that there are kernels for: 8 is a vector of AVX2, 64 the largest that Triton's and ours share."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockLayout:
    """The kept blocks of an `out_features` x `in_features` matrix; features need not be divisible by `block`.

    A matrix that is not divisible is padded with zeros to whole blocks inside the kernels; `padding` says by how much.
    Build one with `from_mask`, `from_dense` or `from_bsr`, which check what they are given.
    """

    out_features: int
    in_features: int
    block: int
    tensors: tuple[Tensor, ...]
    """row_starts, columns; the transpose's row_starts, columns; its blocks' numbers here; and ours there. All int64."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "crow_indices", "col_indices", "turned_crow_indices", "turned_col_indices", "turned_order", "order",
    )  # fmt: skip
    """Of the buffers that hold `tensors` in a layer."""
    STORED: ClassVar[tuple[str, ...]] = NAMES[:2]
    """Those of a state dict: the others follow from them."""

    @classmethod
    def from_mask(cls, mask: Tensor, out_features: int, in_features: int, block: int) -> BlockLayout:
        """Of a boolean [block rows, block columns] mask, true where a block is kept. Raises InputError for its form."""
        check_block(block)
        rows, columns = -(-out_features // block), -(-in_features // block)
        if mask.dtype != torch.bool or tuple(mask.shape) != (rows, columns):
            raise InputError(
                "the mask does not fit the matrix",
                value=f"{mask.dtype} of shape {tuple(mask.shape)}",
                rule=f"{out_features} x {in_features} in blocks of {block} is a boolean mask of {rows} x {columns}",
                next_step="make one entry for each block, counting the padded ones at the right and lower edges",
            )
        numbers = torch.full(mask.shape, -1, dtype=torch.int64, device=mask.device)
        kept = int(mask.sum())
        numbers[mask] = torch.arange(kept, device=mask.device)
        turned = numbers.T[mask.T]
        inverse = torch.empty_like(turned)
        inverse[turned] = torch.arange(kept, device=mask.device)
        tensors = (*_compressed(mask), *_compressed(mask.T), turned, inverse)
        return cls(out_features, in_features, block, tensors)

    @classmethod
    def from_dense(cls, weight: Tensor, block: int) -> BlockLayout:
        """Of a dense [out, in] matrix: the blocks that hold anything but zeros (NaN counts as something)."""
        blocks = split_blocks(weight, block)
        return cls.from_mask((blocks != 0).any(-1).any(-1), weight.shape[0], weight.shape[1], block)

    @classmethod
    def from_largest(cls, weight: Tensor, block: int, sparsity: float) -> BlockLayout:
        """Of a dense [out, in] matrix: a share `sparsity` of its blocks goes, those of smallest Frobenius norm.

        Exactly that many go: of equal norms the later ones. Raises InputError for a share outside of [0, 1).
        """
        if not 0 <= sparsity < 1:
            raise InputError("the sparsity is no share", value=f"{sparsity:g}", rule="at least 0 and less than 1")
        norms = split_blocks(weight.detach().double(), block).square().sum((-1, -2))
        order = norms.flatten().argsort(descending=True, stable=True)
        mask = torch.zeros(norms.numel(), dtype=torch.bool, device=weight.device)
        mask[order[: norms.numel() - round(sparsity * norms.numel())]] = True
        return cls.from_mask(mask.view(norms.shape), weight.shape[0], weight.shape[1], block)

    @classmethod
    def from_bsr(
        cls, row_starts: Tensor, columns: Tensor, out_features: int, in_features: int, block: int
    ) -> BlockLayout:
        """Of PyTorch's `crow_indices` and `col_indices`. Raises InputError for indices that are not sorted BSR."""
        check_block(block)
        rows, wide = -(-out_features // block), -(-in_features // block)
        counts = row_starts.diff()
        sound = (
            row_starts.numel() == rows + 1
            and int(row_starts[0]) == 0
            and bool((counts >= 0).all())
            and int(row_starts[-1]) == columns.numel()
            and (columns.numel() == 0 or (int(columns.min()) >= 0 and int(columns.max()) < wide))
        )
        if sound:
            mask = torch.zeros(rows, wide, dtype=torch.bool, device=columns.device)
            of_row = torch.repeat_interleave(torch.arange(rows, device=columns.device), counts)
            mask[of_row, columns] = True
            layout = cls.from_mask(mask, out_features, in_features, block)
            if torch.equal(layout.columns, columns.to(torch.int64)):
                return layout
        raise InputError(
            "the indices are not a block-sparse layout",
            value=f"{row_starts.numel()} row starts and {columns.numel()} columns",
            rule=f"sorted BSR indices without repetition of {rows} x {wide} blocks of {block}",
            next_step="take them from torch.Tensor.to_sparse_bsr or from BlockLayout",
        )

    @classmethod
    def of_buffers(cls, module: nn.Module, out_features: int, in_features: int, block: int) -> BlockLayout:
        """The layout that a layer keeps in its buffers `NAMES`."""
        tensors = tuple(module.get_buffer(name) for name in cls.NAMES)
        return cls(out_features, in_features, block, tensors)

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """The buffers' names and tensors."""
        return zip(self.NAMES, self.tensors, strict=True)

    @property
    def row_starts(self) -> Tensor:
        """int64 [block rows + 1]: where each block row's blocks start."""
        return self.tensors[0]

    @property
    def columns(self) -> Tensor:
        """int64 [blocks]: each block's block column."""
        return self.tensors[1]

    @property
    def blocks(self) -> int:
        """How many are kept."""
        return self.tensors[1].numel()

    @property
    def shape(self) -> tuple[int, int]:
        """Block rows and block columns."""
        return -(-self.out_features // self.block), -(-self.in_features // self.block)

    @property
    def density(self) -> float:
        """The share of blocks that is kept, 0 to 1."""
        rows, columns = self.shape
        return self.blocks / (rows * columns) if rows * columns else 0.0

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros that complete the last blocks."""
        rows, columns = self.shape
        return rows * self.block - self.out_features, columns * self.block - self.in_features

    def mask(self) -> Tensor:
        """The boolean [block rows, block columns] mask."""
        rows, columns = self.shape
        mask = torch.zeros(rows, columns, dtype=torch.bool, device=self.columns.device)
        mask[self.block_rows(), self.columns] = True
        return mask

    def block_rows(self) -> Tensor:
        """int64 [blocks]: each block's block row."""
        return block_rows(self.row_starts, self.columns)

    def turned(self) -> BlockLayout:
        """The transpose's layout."""
        return BlockLayout(self.in_features, self.out_features, self.block, turn(self.tensors))

    def carry(self, values: Tensor, other: BlockLayout) -> Tensor:
        """`values` [blocks, block, block] of this layout in `other`'s: blocks that only `other` keeps are zero.

        Also for what an optimiser keeps beside the values. Raises InputError where the matrices differ in size.
        """
        if (self.out_features, self.in_features, self.block) != (other.out_features, other.in_features, other.block):
            raise InputError(
                "the layouts are of different matrices",
                value=f"{self} and {other}",
                rule="the same features and block",
            )
        numbers = torch.full(self.shape, -1, dtype=torch.int64, device=values.device)
        numbers[self.block_rows(), self.columns] = torch.arange(self.blocks, device=values.device)
        source = numbers[other.block_rows(), other.columns]
        found = values.new_zeros(other.blocks, self.block, self.block)
        found[source >= 0] = values[source[source >= 0]]
        return found

    def __str__(self) -> str:
        rows, columns = self.shape
        return f"{self.out_features} x {self.in_features}: {self.blocks} of {rows * columns} blocks of {self.block}"

    def to(self, device: torch.device | str) -> BlockLayout:
        """The same on another device."""
        moved = [each.to(device) for each in self.tensors]
        return BlockLayout(self.out_features, self.in_features, self.block, tuple(moved))


def turn(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A layout's tensors, seen from the transpose."""
    starts, columns, turned_starts, turned_columns, order, inverse = tensors
    return turned_starts, turned_columns, starts, columns, inverse, order


def block_rows(row_starts: Tensor, columns: Tensor) -> Tensor:
    """int64 [blocks]: each block's block row."""
    numbers = torch.arange(row_starts.numel() - 1, device=row_starts.device)
    return torch.repeat_interleave(numbers, row_starts.diff(), output_size=columns.numel())


def check_block(block: int) -> None:
    """Raises InputError for a side that there is no kernel for."""
    if block not in BLOCKS:
        raise InputError(
            "there is no kernel for this block",
            value=str(block),
            rule=f"a side of {', '.join(map(str, BLOCKS))}",
            next_step="32 is the fastest in most layers",
        )


def split_blocks(weight: Tensor, block: int) -> Tensor:
    """A dense [out, in] matrix as [block rows, block columns, block, block], padded with zeros to whole blocks."""
    check_block(block)
    out_features, in_features = weight.shape
    rows, columns = -(-out_features // block), -(-in_features // block)
    padded = torch.nn.functional.pad(weight, (0, columns * block - in_features, 0, rows * block - out_features))
    return padded.view(rows, block, columns, block).transpose(1, 2)


def _compressed(mask: Tensor) -> tuple[Tensor, Tensor]:
    starts = torch.zeros(mask.shape[0] + 1, dtype=torch.int64, device=mask.device)
    torch.cumsum(mask.sum(1), 0, out=starts[1:])
    return starts, mask.nonzero()[:, 1].contiguous()
