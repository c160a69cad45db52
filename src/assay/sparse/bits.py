"""Bit masks of unstructured sparse matrices: one bit for each element, in words of 64 columns, the lowest bit first.

A mask of an [out, in] matrix is int64 [out, ceil(in / 64)]; bits beyond the last column are zero. The values that
belong to it are one vector, row after row. Words are read as bytes here, which takes a little-endian processor.
"""

from __future__ import annotations

import torch
from torch import Tensor

WORD = 64


def words_in(features: int) -> int:
    """Words that a row of so many columns takes."""
    return -(-features // WORD)


def pack_bits(mask: Tensor) -> Tensor:
    """A boolean [out, in] mask as int64 [out, words]."""
    rows, columns = mask.shape
    padded = torch.nn.functional.pad(mask.to(torch.uint8), (0, -columns % WORD)).view(rows, words_in(columns) * 8, 8)
    powers = (2 ** torch.arange(8, device=mask.device)).to(torch.uint8)
    return (padded * powers).sum(-1, dtype=torch.uint8).view(torch.int64)


def unpack_bits(bits: Tensor, in_features: int) -> Tensor:
    """The boolean [out, in] mask of int64 [out, words]."""
    places = torch.arange(8, dtype=torch.uint8, device=bits.device)
    each = bits.contiguous().view(torch.uint8).unsqueeze(-1) >> places & 1
    return each.view(bits.shape[0], bits.shape[1] * WORD)[:, :in_features].bool()


def row_starts(bits: Tensor) -> Tensor:
    """int64 [out + 1]: where every row's values start."""
    starts = torch.zeros(bits.shape[0] + 1, dtype=torch.int64, device=bits.device)
    torch.cumsum(unpack_bits(bits, bits.shape[1] * WORD).sum(1), 0, out=starts[1:])
    return starts


def column_numbers(bits: Tensor, in_features: int) -> Tensor:
    """int16 [kept], to be read as unsigned: every value's column. For up to 65,536 columns."""
    return unpack_bits(bits, in_features).nonzero()[:, 1].to(torch.int16)
