"""Attention of which only some blocks of the score matrix are computed: `block_sparse_attention`.

Query blocks that keep equally many key blocks form a group; a group's keys and values are gathered and go through
F.scaled_dot_product_attention in one call, so the cost follows the kept blocks, and gradients are autograd's. Only
groups with a diagonal block of a causal mask, or with an end that does not fill its block, need a mask of elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from assay.errors import InputError

GATHERED_BYTES = 4 << 20
"""Keys and values that are gathered at once. More do not stay in a cache and cost page faults: 64 MB take 1.8 times as
long as 4 MB on Zen 4 with 2,048 positions and 8 heads; fewer cost calls."""
RUN = 4
"""Adjoining key blocks from which a row is read where it stands, one call for each row; gathering takes a fifth of the
time, and with fewer blocks a call's own time is more than that."""


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Rows (query blocks, of every head where heads differ) that keep equally many key blocks."""

    rows: Tensor
    """int64 [rows]."""
    keys: Tensor
    """int64 [rows * kept]: each row's key blocks in order."""
    mask: Tensor | None
    """Boolean [block, kept * block], the same for every row; None where all elements count."""
    runs: tuple[tuple[int, int], ...]
    """Of rows whose key blocks adjoin: each row's number and its first key block. Empty where they are gathered."""


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """A mask of blocks for one length of queries and keys, sorted into groups.

    Made once by `from_mask`, it can be used for any number of calls, and torch.compile takes it as a constant.
    """

    queries: int
    keys: int
    block: int
    is_causal: bool
    heads: int | None
    """None where the mask is the same for all."""
    groups: tuple[AttentionGroup, ...]
    order: Tensor
    """int64: where every row's result is among those of the groups; rows that keep nothing are one after the last."""

    @classmethod
    def from_mask(
        cls, mask: Tensor, *, queries: int, keys: int, block: int, is_causal: bool = False
    ) -> AttentionLayout:
        """Of a boolean [query blocks, key blocks] mask, or [heads, query blocks, key blocks].

        Raises InputError for a mask of another form or type, or a block that is not positive.
        """
        if block < 1:
            raise InputError("a block has no elements", value=str(block), rule="1 or more", next_step="64 is usual")
        rows, columns = -(-queries // block), -(-keys // block)
        if mask.dtype != torch.bool or mask.dim() not in (2, 3) or tuple(mask.shape[-2:]) != (rows, columns):
            raise InputError(
                "the mask does not fit the sequences",
                value=f"{mask.dtype} of shape {tuple(mask.shape)}",
                rule=f"{queries} queries and {keys} keys in blocks of {block} are a boolean mask of {rows} x {columns}",
                next_step="make one entry for each block, with heads before them where they differ",
            )
        heads = mask.shape[0] if mask.dim() == 3 else None
        number = torch.arange(max(rows, columns), device=mask.device)
        if is_causal:
            mask = mask & (number[:rows, None] >= number[:columns])
        groups = _groups(mask.reshape((heads or 1) * rows, columns), rows, keys, block, is_causal)
        every = torch.cat([each.rows for each in groups]) if groups else number[:0]
        order = torch.full((rows * (heads or 1),), every.numel(), device=mask.device)
        order[every] = torch.arange(every.numel(), device=mask.device)
        return cls(queries, keys, block, is_causal, heads, groups, order)


def block_sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: AttentionLayout | Tensor,
    *,
    block: int,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale q k') v over the kept blocks of the scores; the rest count as minus infinity.

    Args:
        q: [batch, heads, queries, dim], any type that F.scaled_dot_product_attention takes.
        k: [batch, heads, keys, dim].
        v: [batch, heads, keys, value dim].
        layout: a mask as `AttentionLayout.from_mask` takes it, or such a layout, which saves its making.
        block: side of the blocks; lengths need not be divisible.
        is_causal: also leave out keys after the query's own position, as F.scaled_dot_product_attention does.
        scale: factor of the scores; None means 1 / sqrt(dim).

    Returns:
        [batch, heads, queries, value dim]. A query that keeps no key gives zeros, where
        F.scaled_dot_product_attention gives NaN.

    Raises InputError for shapes that do not belong together or a layout that was made for others.
    """
    _check(q, k, v)
    if isinstance(layout, Tensor):
        made = AttentionLayout.from_mask(layout, queries=q.shape[2], keys=k.shape[2], block=block, is_causal=is_causal)
    else:
        made = layout
    _check_layout(made, q, k, block, is_causal)
    queries, keys, values = (_in_blocks(each, block, made.heads is not None) for each in (q, k, v))
    found = [part for each in made.groups for part in _attend(each, queries, keys, values, scale)]
    nothing = values.new_zeros(queries.shape[0], 1, block, v.shape[3])
    # An empty part of the values keeps the result in the graph where no block is kept at all.
    rows = torch.cat([*found, values[:, :0], nothing], 1).index_select(1, made.order)
    return rows.reshape(*q.shape[:2], -1, v.shape[3])[:, :, : q.shape[2]]


def _attend(
    group: AttentionGroup, queries: Tensor, keys: Tensor, values: Tensor, scale: float | None
) -> Iterator[Tensor]:
    """One group's results in parts, [leading, rows of the part, block, value dim] each."""
    total = group.rows.shape[0]
    kept = group.keys.shape[0] // total

    def attend(some: Tensor, of_keys: Tensor, of_values: Tensor) -> Tensor:
        key, value = (
            each.view(some.shape[0], some.shape[1], kept * some.shape[2], each.shape[3])
            for each in (of_keys, of_values)
        )
        return functional.scaled_dot_product_attention(some, key, value, attn_mask=group.mask, scale=scale)

    for row, first in group.runs:
        yield attend(queries[:, row : row + 1], keys[:, first : first + kept], values[:, first : first + kept])
    if group.runs:
        return
    bytes_of_row = keys.shape[0] * kept * (keys[0, 0].nbytes + values[0, 0].nbytes)
    part = max(1, GATHERED_BYTES // max(1, bytes_of_row))
    for start in range(0, total, part):
        which = group.keys[start * kept : (start + part) * kept]
        some = queries.index_select(1, group.rows[start : start + part])
        yield attend(some, keys.index_select(1, which), values.index_select(1, which))


def _in_blocks(x: Tensor, block: int, by_head: bool) -> Tensor:
    """[batch, heads, length, dim] as [leading, rows, block, dim]; heads are rows where their masks differ."""
    batch, heads, length, dim = x.shape
    rows = -(-length // block)
    padded = functional.pad(x, (0, 0, 0, rows * block - length)) if length % block else x
    return padded.reshape((batch, heads * rows, block, dim) if by_head else (batch * heads, rows, block, dim))


def _groups(mask: Tensor, rows: int, keys: int, block: int, is_causal: bool) -> tuple[AttentionGroup, ...]:
    """Of a [heads * rows, key blocks] mask: by count, and whether the last kept block is diagonal or ragged."""
    if not bool(mask.any()):
        return ()
    columns, every = mask.shape[1], torch.arange(mask.shape[0], device=mask.device)
    counts, number = mask.sum(1), every % rows
    diagonal = mask.gather(1, number.clamp(max=columns - 1)[:, None])[:, 0] & (number < columns) & is_causal
    ragged = mask[:, -1] & (keys % block != 0)
    adjoin = ((mask[:, 1:] & ~mask[:, :-1]).sum(1) + mask[:, 0] == 1) & (counts >= RUN)
    kinds = torch.stack([counts, diagonal.long(), ragged.long(), adjoin.long()], 1)
    groups = []
    for kind in kinds[counts > 0].unique(dim=0):  # type: ignore[no-untyped-call]
        chosen = (kinds == kind).all(1).nonzero()[:, 0]
        row, column = mask[chosen].nonzero().T
        count, on_diagonal, at_end, together = kind.tolist()
        elements = _elements(count, block, bool(on_diagonal), keys % block if at_end else block, mask.device)
        wanted = chosen[row] // rows * columns + column
        runs = tuple(zip(chosen.tolist(), wanted[::count].tolist(), strict=True)) if together else ()
        groups.append(AttentionGroup(chosen, wanted, elements, runs))
    return tuple(groups)


def _elements(count: int, block: int, on_diagonal: bool, end: int, device: torch.device) -> Tensor | None:
    """The mask of a row of kept blocks, the last of which is on the diagonal or has `end` keys."""
    if not on_diagonal and end == block:
        return None
    mask = torch.ones(block, count * block, dtype=torch.bool, device=device)
    last = torch.ones(block, block, dtype=torch.bool, device=device)
    mask[:, -block:] = last.tril() if on_diagonal else last
    mask[:, mask.shape[1] - block + end :] = False
    return mask


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    alike = q.dim() == k.dim() == v.dim() == 4 and q.shape[:2] == k.shape[:2] == v.shape[:2]
    if not alike or q.shape[3] != k.shape[3] or k.shape[2] != v.shape[2]:
        raise InputError(
            "queries, keys and values do not belong together",
            value=", ".join(str(tuple(each.shape)) for each in (q, k, v)),
            rule="[batch, heads, length, dim] each, one batch and heads, dim of q and k, length of k and v",
            next_step="repeat keys and values where several query heads share them",
        )


def _check_layout(layout: AttentionLayout, q: Tensor, k: Tensor, block: int, is_causal: bool) -> None:
    made_for = (layout.queries, layout.keys, layout.block, layout.is_causal, layout.heads)
    wanted = (q.shape[2], k.shape[2], block, is_causal, layout.heads and q.shape[1])
    if made_for != wanted:
        raise InputError(
            "the layout was made for other sequences",
            value=f"{wanted}",
            rule=f"queries, keys, block, is_causal and heads of {made_for}",
            next_step="make a layout for these with AttentionLayout.from_mask",
        )
