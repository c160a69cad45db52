"""Boolean masks of blocks for `block_sparse_attention`: which blocks of the score matrix are computed.

Every function gives a [blocks, blocks] mask, query blocks before key blocks; masks combine with `|` and `&`. Sliding
windows, strided and fixed patterns are those of the Sparse Transformer (arXiv 1904.10509, section 4.2), with blocks in
place of positions; global and random blocks are BigBird's (arXiv 2007.14062, section 2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from assay.errors import InputError


def sliding_window(blocks: int, window: int, *, causal: bool = False) -> Tensor:
    """Key blocks at most `window` blocks away, and with `causal` none after the query's."""
    distance = _distance(blocks, window, least=0)
    return (distance <= window) & (distance >= (0 if causal else -window))


def strided(blocks: int, stride: int) -> Tensor:
    """The query's block with the stride - 1 before it, and every stride-th one before; causal."""
    distance = _distance(blocks, stride)
    return (distance >= 0) & ((distance < stride) | (distance % stride == 0))


def fixed(blocks: int, stride: int, summaries: int = 1) -> Tensor:
    """The query's own segment of `stride` blocks, and the last `summaries` of every segment before; causal."""
    distance = _distance(blocks, stride)
    if not 0 <= summaries <= stride:
        raise _wrong("summaries", summaries, f"from 0 to the stride, {stride}")
    number = torch.arange(blocks)
    same = number[:, None] // stride == number // stride
    return (distance >= 0) & (same | (number % stride >= stride - summaries))


def global_blocks(blocks: int, count: int) -> Tensor:
    """The first `count` blocks attend to all, and all attend to them."""
    if count < 0:
        raise _wrong("count", count, "zero or more")
    first = torch.arange(blocks) < count
    return first[:, None] | first


def random_blocks(blocks: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` key blocks for each query block, drawn without repetition."""
    if not 0 <= count <= blocks:
        raise _wrong("count", count, f"from 0 to {blocks} blocks")
    order = torch.rand(blocks, blocks, generator=generator).argsort(1)
    return torch.zeros(blocks, blocks, dtype=torch.bool).scatter_(1, order[:, :count], True)


def _distance(blocks: int, size: int, least: int = 1) -> Tensor:
    """How many blocks the key's is before the query's."""
    if blocks < 0 or size < least:
        raise _wrong("size", size, f"{least} or more, of a sequence of zero or more blocks ({blocks} here)")
    number = torch.arange(blocks)
    return number[:, None] - number


def _wrong(what: str, value: int, rule: str) -> InputError:
    return InputError(
        f"the pattern's {what} cannot be used", value=str(value), rule=rule, next_step="count in blocks, not positions"
    )
