"""What a router decides: which token goes to which expert with what weight, as rows sorted by expert."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Routing(NamedTuple):
    """One decision for tokens [T] and experts [E]; R rows are pairs of a token and an expert.

    Rows are sorted by expert, with a token's order kept inside an expert by the top-k routers. Rows that a capacity
    refused stand last, with expert_of_row == E. What is only reported is worked out when it is asked for.
    """

    logits: Tensor
    """[T, E], at least float32."""
    probabilities: Tensor
    """[T, E]: the scores, each row summing to 1."""
    token_of_row: Tensor
    """int64 [R]."""
    expert_of_row: Tensor
    """int64 [R], ascending."""
    row_of_pair: Tensor
    """int64 [R]: the same rows in the order of tokens, as `combine` adds them up."""
    first_pair: Tensor
    """int64 [T]: where each token's pairs start in row_of_pair."""
    gates: Tensor
    """[R], in the logits' dtype, in the order of row_of_pair: the weights of the experts' outputs."""
    ends: Tensor
    """int32 [E]: where each expert's rows end."""
    wanted_ends: Tensor
    """int32 [E]: where they would end without a capacity."""

    @property
    def expert_counts(self) -> Tensor:
        """int64 [E]: the rows that each expert computes."""
        return _counts(self.ends)

    @property
    def expert_load(self) -> Tensor:
        """int64 [E]: the rows that were wanted from each expert."""
        return _counts(self.wanted_ends)

    @property
    def dropped_tokens(self) -> Tensor:
        """int64 scalar: tokens that no expert computes."""
        served = (self.expert_of_row < self.ends.shape[0]).to(torch.int64)
        times = served.new_zeros(self.logits.shape[0]).index_add(0, self.token_of_row, served)
        return (times == 0).sum()


def expert_capacity(tokens: int, num_experts: int, num_experts_per_tok: int, capacity_factor: float) -> int:
    """Rows that one expert takes at most: the balanced share times the factor, rounded up (so never 0)."""
    return min(tokens, math.ceil(tokens * num_experts_per_tok * capacity_factor / num_experts))


def sort_by_expert(
    logits: Tensor, probabilities: Tensor, expert_index: Tensor, gates: Tensor, capacity: int | None
) -> Routing:
    """The routing of each token's experts, expert_index and gates [T, k].

    With a capacity an expert takes the first tokens in their order (and a token's experts in the order of their
    scores); the rest of its rows are dropped.
    """
    num_experts, per_token = logits.shape[1], expert_index.shape[1]
    expert_of_row, order = expert_index.flatten().sort(stable=True)
    pairs = torch.arange(order.shape[0], device=order.device)
    ends = wanted_ends = _ends(expert_of_row, num_experts)
    if capacity is not None:
        starts = wanted_ends - _counts(wanted_ends)
        kept = pairs - starts[expert_of_row] < capacity
        expert_of_row, kept_first = torch.where(kept, expert_of_row, num_experts).sort(stable=True)
        order = order[kept_first]
        ends = _ends(expert_of_row, num_experts)
    row_of_pair = torch.empty_like(order).scatter(0, order, pairs)
    return Routing(
        logits, probabilities, order // per_token, expert_of_row, row_of_pair, pairs[::per_token].contiguous(),
        gates.flatten(), ends, wanted_ends,
    )  # fmt: skip


def sort_by_choice(logits: Tensor, probabilities: Tensor, token_index: Tensor, gates: Tensor) -> Routing:
    """The routing of each expert's tokens, token_index and gates [E, C]."""
    num_experts, capacity = token_index.shape
    token_of_row = token_index.flatten()
    token_of_pair, row_of_pair = token_of_row.sort(stable=True)
    first_pair = torch.searchsorted(token_of_pair, torch.arange(logits.shape[0], device=logits.device))
    expert_of_row = torch.arange(num_experts, device=logits.device).repeat_interleave(capacity)
    ends = _ends(expert_of_row, num_experts)
    return Routing(
        logits, probabilities, token_of_row, expert_of_row, row_of_pair, first_pair, gates.flatten()[row_of_pair],
        ends, ends,
    )  # fmt: skip


def combine(rows: Tensor, row_of_pair: Tensor, first_pair: Tensor, gates: Tensor) -> Tensor:
    """Each token's sum of its rows [R, H] times their gates, see `Routing`: [T, H].

    As a weighted embedding bag this is one pass: 0.23 ms forward and 2.2 ms with gradients for 4,096 rows of 512,
    where `index_add` of the products takes 1.1 and 5.0 ms (one thread, Zen 4).
    """
    return functional.embedding_bag(row_of_pair, rows, first_pair, mode="sum", per_sample_weights=gates.to(rows.dtype))


def _ends(expert_of_row: Tensor, num_experts: int) -> Tensor:
    # bincount's output has a size that depends on data, which breaks graphs; in sorted rows the ends are a search.
    numbers = torch.arange(num_experts, device=expert_of_row.device)
    return torch.searchsorted(expert_of_row, numbers, right=True, out_int32=True)


def _counts(ends: Tensor) -> Tensor:
    return ends.to(torch.int64).diff(prepend=ends.new_zeros(1, dtype=torch.int64))
