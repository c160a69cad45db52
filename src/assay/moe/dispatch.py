"""From a choice of experts to rows sorted by expert, and from the experts' rows back to tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Rows(NamedTuple):
    """R assignments of a token to an expert, sorted by expert, for T tokens and E experts.

    Rows that no expert computes stand last, with expert_of_row >= E.
    """

    token_of_row: Tensor
    """int64 [R]."""
    expert_of_row: Tensor
    """int64 [R], ascending."""
    ends: Tensor
    """int32 [E]: where each expert's rows end."""
    wanted_ends: Tensor
    """int32 [E]: where they would end without a capacity."""
    by_token: Tensor
    """int64 [R]: the rows in the order of tokens."""
    token_starts: Tensor
    """int64 [T]: where each token starts in by_token."""


def rows_of_experts(expert_index: Tensor, num_experts: int, capacity: int | None = None) -> Rows:
    """The rows of each token's experts, int64 [T, k].

    With a capacity an expert keeps the first of its rows in the order of tokens (and a token's experts in the order
    given); the others come last. An expert of E or more is nobody, as with transformers' expert parallelism.
    """
    per_token = expert_index.shape[1]
    expert_of_row, order = expert_index.flatten().sort(stable=True)
    numbers = torch.arange(order.shape[0], device=order.device)
    ends = wanted_ends = _row_ends(expert_of_row, num_experts)
    if capacity is not None:
        starts = ends - counts_of(ends)
        kept = numbers - starts[expert_of_row] < capacity
        expert_of_row, kept_first = torch.where(kept, expert_of_row, num_experts).sort(stable=True)
        order = order[kept_first]
        ends = _row_ends(expert_of_row, num_experts)
    by_token = torch.empty_like(order).scatter(0, order, numbers)
    return Rows(order // per_token, expert_of_row, ends, wanted_ends, by_token, numbers[::per_token].contiguous())


def rows_of_tokens(token_index: Tensor, tokens: int) -> Rows:
    """The rows of each expert's tokens, int64 [E, C]; a token may stand in any number of them."""
    num_experts, capacity = token_index.shape
    token_of_row = token_index.flatten()
    tokens_in_order, by_token = token_of_row.sort(stable=True)
    token_starts = torch.searchsorted(tokens_in_order, torch.arange(tokens, device=token_index.device))
    expert_of_row = torch.arange(num_experts, device=token_index.device).repeat_interleave(capacity)
    ends = _row_ends(expert_of_row, num_experts)
    return Rows(token_of_row, expert_of_row, ends, ends, by_token, token_starts)


def combine(values: Tensor, rows: Rows, gates: Tensor) -> Tensor:
    """Each token's sum of its rows' values [R, H] times their gates [R], which are in the order of tokens: [T, H].

    As a weighted embedding bag this is one pass: 0.23 ms forward and 2.2 ms with gradients for 4,096 rows of 512,
    where `index_add` of the products takes 1.1 and 5.0 ms (one thread, Zen 4). First derivatives only.
    """
    weights = gates.to(values.dtype)
    return functional.embedding_bag(rows.by_token, values, rows.token_starts, mode="sum", per_sample_weights=weights)


def _row_ends(expert_of_row: Tensor, num_experts: int) -> Tensor:
    """int32 [E]: where each expert's rows end in ascending expert_of_row [R]."""
    # bincount's output has a size that depends on data, which breaks graphs; in sorted rows the ends are a search.
    numbers = torch.arange(num_experts, device=expert_of_row.device)
    return torch.searchsorted(expert_of_row, numbers, right=True, out_int32=True)


def counts_of(ends: Tensor) -> Tensor:
    """int64 [E]: the rows between one end and the next."""
    return ends.to(torch.int64).diff(prepend=ends.new_zeros(1, dtype=torch.int64))
