"""Block-sparse attention beside PyTorch's: with the same mask, dense, and without one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assay.sparse.attention import AttentionLayout, block_sparse_attention
from assay.sparse.attention_patterns import random_blocks, sliding_window
from benchmarks.sparse.timing import check, take_turns

HEADS, WIDTH, BLOCK = 8, 64, 64
LENGTHS = (1024, 2048)
SHARES = (0.1, 0.25, 0.5)
OWN, MASKED, FULL = "block_sparse_attention", "SDPA, dense mask", "SDPA, no mask"


def attention_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives a row) for lengths, shares of kept blocks and two patterns."""
    lengths, shares = ((256,), (0.5,)) if quick else (LENGTHS, SHARES)
    for length, share, pattern in itertools.product(lengths, shares, ("window", "random")):
        yield (
            f"{pattern}, {length} positions, {share:.0%} kept",
            lambda n=length, s=share, p=pattern: attention(n, s, p),
        )


def attention(length: int, share: float, pattern: str) -> dict[str, Any]:
    """Forward of 8 heads of 64."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, length, WIDTH) for _ in range(3))
    blocks = length // BLOCK
    kept = max(1, round(share * blocks))
    mask = sliding_window(blocks, (kept + 1) // 2) if pattern == "window" else _some(blocks, kept)
    layout = AttentionLayout.from_mask(mask, queries=length, keys=length, block=BLOCK)
    dense = mask.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    ways = {
        OWN: lambda: block_sparse_attention(q, k, v, layout, block=BLOCK),
        MASKED: lambda: functional.scaled_dot_product_attention(q, k, v, attn_mask=dense),
    }
    with torch.no_grad():
        exact = functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=dense)
        errors = check(ways, exact)
        times = take_turns({**ways, FULL: lambda: functional.scaled_dot_product_attention(q, k, v)})
    return {
        "kept": float(mask.float().mean()), "speedup": times.ratio(MASKED, OWN), "over_full": times.ratio(FULL, OWN),
        "errors": errors, "milliseconds": {name: times.median_ms(name) for name in times.seconds},
    }  # fmt: skip


def _some(blocks: int, kept: int) -> Tensor:
    return random_blocks(blocks, kept, torch.Generator().manual_seed(0))
