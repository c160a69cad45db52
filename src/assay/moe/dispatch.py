"""From a choice of experts to rows sorted by expert, and from the experts' rows back to tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Rows(NamedTuple):
    """R assignments of a token to an expert, sorted by expert, for T tokens and E experts.

    Rows that no expert computes stand last.
    """

    token_of_row: Tensor
    """int64 [R]."""
    ends: Tensor
    """integers [E]: where each expert's rows end."""
    wanted_ends: Tensor
    """integers [E]: where they would end without a capacity."""

    @property
    def expert_of_row(self) -> Tensor:
        """int64 [R], ascending; E for rows that no expert computes."""
        numbers = torch.arange(self.token_of_row.shape[0], device=self.ends.device)
        return torch.searchsorted(self.ends.to(torch.int64), numbers, right=True)


def rows_of_experts(expert_index: Tensor, num_experts: int, capacity: int | None = None) -> tuple[Rows, Tensor]:
    """The rows of each token's experts, int64 [T, k], and the assignment that each row is, numbered as in [T, k].

    With a capacity an expert keeps the first of its rows in the order of tokens (and a token's experts in the order
    given); the others come last. An expert of E or more is nobody, as with transformers' expert parallelism.
    """
    expert_of_row, order = expert_index.flatten().sort(stable=True)
    ends = wanted_ends = _row_ends(expert_of_row, num_experts)
    if capacity is not None:
        numbers = torch.arange(order.shape[0], device=order.device)
        starts = ends - counts_of(ends)
        kept = numbers - starts[expert_of_row] < capacity
        expert_of_row, kept_first = torch.where(kept, expert_of_row, num_experts).sort(stable=True)
        order = order[kept_first]
        ends = _row_ends(expert_of_row, num_experts)
    return Rows(order // expert_index.shape[1], ends, wanted_ends), order


def rows_of_tokens(token_index: Tensor) -> Rows:
    """The rows of each expert's tokens, int64 [E, C]; a token may stand in any number of them."""
    num_experts, capacity = token_index.shape
    ends = capacity * torch.arange(1, num_experts + 1, device=token_index.device)
    return Rows(token_index.flatten(), ends, ends)


def combine(values: Tensor, rows: Rows, gates: Tensor, tokens: int) -> Tensor:
    """Each token's sum of its rows' values [R, H] times their gates [R]: [T, H] of `tokens` tokens.

    As a weighted embedding bag this is one pass: 0.23 ms forward and 2.2 ms with gradients for 4,096 rows of 512,
    where `index_add` of the products takes 1.1 and 5.0 ms (one thread, Zen 4). First derivatives only.
    """
    tokens_in_order, by_token = rows.token_of_row.sort(stable=True)
    starts = torch.searchsorted(tokens_in_order, torch.arange(tokens, device=values.device))
    weights = gates.to(values.dtype)[by_token]
    return functional.embedding_bag(by_token, values, starts, mode="sum", per_sample_weights=weights)


def _row_ends(expert_of_row: Tensor, num_experts: int) -> Tensor:
    """int32 [E]: where each expert's rows end in ascending expert_of_row [R]."""
    # bincount's output has a size that depends on data, which breaks graphs; in sorted rows the ends are a search.
    numbers = torch.arange(num_experts, device=expert_of_row.device)
    return torch.searchsorted(expert_of_row, numbers, right=True, out_int32=True)


def counts_of(ends: Tensor) -> Tensor:
    """int64 [E]: the rows between one end and the next."""
    return ends.to(torch.int64).diff(prepend=ends.new_zeros(1, dtype=torch.int64))
