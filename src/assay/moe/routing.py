"""What a router decides, and what can be asked about it afterwards."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from assay.moe.dispatch import Rows, counts_of


class Routing(NamedTuple):
    """One decision for tokens [T] and experts [E]. What is only reported is worked out when it is asked for."""

    logits: Tensor
    """[T, E], at least float32."""
    probabilities: Tensor
    """[T, E]: the scores, each row summing to 1."""
    gates: Tensor
    """[R], in the logits' dtype: the weights of the experts' outputs, in the order of `rows.row_of_pair`."""
    rows: Rows
    """Which token is computed by which expert."""
    wanted_ends: Tensor
    """int32 [E]: where each expert's rows would end without a capacity."""

    @property
    def expert_counts(self) -> Tensor:
        """int64 [E]: the rows that each expert computes."""
        return counts_of(self.rows.ends)

    @property
    def expert_load(self) -> Tensor:
        """int64 [E]: the rows that were wanted from each expert."""
        return counts_of(self.wanted_ends)

    @property
    def dropped_tokens(self) -> Tensor:
        """int64 scalar: tokens that no expert computes."""
        served = (self.rows.expert_of_row < self.rows.ends.shape[0]).to(torch.int64)
        times = served.new_zeros(self.logits.shape[0]).index_add(0, self.rows.token_of_row, served)
        return (times == 0).sum()

    @property
    def dropped_assignments(self) -> Tensor:
        """int64 scalar: pairs of a token and an expert that a capacity refused."""
        return (self.wanted_ends[-1] - self.rows.ends[-1]).to(torch.int64)


def expert_capacity(tokens: int, num_experts: int, num_experts_per_tok: int, capacity_factor: float) -> int:
    """Rows that one expert takes at most: the balanced share times the factor, rounded up (so never 0)."""
    return min(tokens, math.ceil(tokens * num_experts_per_tok * capacity_factor / num_experts))
