"""What a router decides: which token goes to which expert with what weight, as rows sorted by expert."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Routing(NamedTuple):
    """One decision for tokens [T] and experts [E]; R rows are pairs of a token and an expert.

    Rows are sorted by expert, tokens in their order within an expert. Rows that a capacity refused stand last, with
    expert_of_row == E.
    """

    logits: Tensor
    """[T, E], at least float32."""
    probabilities: Tensor
    """[T, E]: the scores, each row summing to 1."""
    token_of_row: Tensor
    """int64 [R]."""
    expert_of_row: Tensor
    """int64 [R], ascending."""
    gate_of_row: Tensor
    """[R], in the logits' dtype: the weight of the expert's output."""
    expert_load: Tensor
    """int64 [E]: the rows that were wanted from each expert."""
    expert_counts: Tensor
    """int64 [E]: the rows that each expert computes."""
    dropped_tokens: Tensor
    """int64 scalar: tokens that no expert computes."""


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
    (tokens, num_experts), per_token = logits.shape, expert_index.shape[1]
    expert_of_row, order = expert_index.flatten().sort(stable=True)
    # bincount's output has a size that depends on data, which breaks graphs; in sorted rows the counts are a search.
    numbers = torch.arange(num_experts, device=logits.device)
    ends = torch.searchsorted(expert_of_row, numbers, right=True)
    load = counts = ends.diff(prepend=ends.new_zeros(1))
    dropped = counts.new_zeros(())
    if capacity is not None:
        position = torch.arange(order.shape[0], device=order.device) - (ends - load)[expert_of_row]
        expert_of_row, kept_first = torch.where(position < capacity, expert_of_row, num_experts).sort(stable=True)
        order = order[kept_first]
        counts = load.clamp(max=capacity)
        dropped = _unserved(order // per_token, expert_of_row < num_experts, tokens)
    return Routing(
        logits, probabilities, order // per_token, expert_of_row, gates.flatten()[order], load, counts, dropped
    )


def sort_by_choice(logits: Tensor, probabilities: Tensor, token_index: Tensor, gates: Tensor) -> Routing:
    """The routing of each expert's tokens, token_index and gates [E, C]."""
    num_experts, capacity = token_index.shape
    token_of_row = token_index.flatten()
    numbers = torch.arange(num_experts, device=logits.device)
    counts = torch.full_like(numbers, capacity)
    expert_of_row = numbers.repeat_interleave(capacity)
    dropped = _unserved(token_of_row, torch.ones_like(token_of_row, dtype=torch.bool), logits.shape[0])
    return Routing(logits, probabilities, token_of_row, expert_of_row, gates.flatten(), counts, counts, dropped)


def _unserved(token_of_row: Tensor, served: Tensor, tokens: int) -> Tensor:
    """How many tokens have no served row."""
    times = token_of_row.new_zeros(tokens).index_add(0, token_of_row, served.to(torch.int64))
    return (times == 0).sum()
