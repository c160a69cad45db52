"""What a router decides, what a layer returns, and what can be asked about them afterwards."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from assay.moe.dispatch import Rows, counts_of
from assay.moe.losses import load_balancing_loss, router_z_loss


class Routing(NamedTuple):
    """One decision for tokens [T] and experts [E]. What is only reported is worked out when it is asked for."""

    logits: Tensor
    """[T, E], at least float32."""
    probabilities: Tensor
    """[T, E]: the scores, each row summing to 1."""
    gates: Tensor
    """[R], in the logits' dtype: the weight of each row's output."""
    rows: Rows
    """Which token is computed by which expert."""

    @property
    def expert_counts(self) -> Tensor:
        """int64 [E]: the rows that each expert computes."""
        return counts_of(self.rows.ends)

    @property
    def expert_load(self) -> Tensor:
        """int64 [E]: the rows that were wanted from each expert."""
        return counts_of(self.rows.wanted_ends)

    @property
    def dropped_tokens(self) -> Tensor:
        """int64 scalar: tokens that no expert computes."""
        served = (self.rows.expert_of_row < self.rows.ends.shape[0]).to(torch.int64)
        times = served.new_zeros(self.logits.shape[0]).index_add(0, self.rows.token_of_row, served)
        return (times == 0).sum()

    @property
    def dropped_assignments(self) -> Tensor:
        """int64 scalar: assignments of a token to an expert that a capacity refused."""
        return (self.rows.wanted_ends[-1] - self.rows.ends[-1]).to(torch.int64)


class MoEOutput(NamedTuple):
    """What a layer returns: the output, and the losses and facts of its routing, worked out when they are asked for."""

    hidden_states: Tensor
    """In the shape and dtype of the input."""
    routing: Routing
    """Every decision of the router, token by token."""
    router_aux_loss_coef: float
    """Weight of `auxiliary_loss` in `router_loss`."""
    router_z_loss_coef: float
    """Weight of `z_loss` in `router_loss`."""

    @property
    def auxiliary_loss(self) -> Tensor:
        """The load balancing loss: 1 at balance, up to the number of experts."""
        return load_balancing_loss(self.routing.probabilities, self.routing.expert_load)

    @property
    def z_loss(self) -> Tensor:
        """The router's z-loss."""
        return router_z_loss(self.routing.logits)

    @property
    def router_loss(self) -> Tensor:
        """What to add to the training loss: both losses, each times its coefficient."""
        return self.router_aux_loss_coef * self.auxiliary_loss + self.router_z_loss_coef * self.z_loss

    @property
    def expert_counts(self) -> Tensor:
        """int64 [num_experts]: the tokens that each expert computed."""
        return self.routing.expert_counts

    @property
    def dropped_tokens(self) -> Tensor:
        """int64 scalar: tokens that no expert computed (0 without a capacity); only a shared expert serves them."""
        return self.routing.dropped_tokens

    @property
    def dropped_assignments(self) -> Tensor:
        """int64 scalar: assignments of a token to an expert that a capacity refused."""
        return self.routing.dropped_assignments


def expert_capacity(tokens: int, num_experts: int, num_experts_per_tok: int, capacity_factor: float) -> int:
    """Rows that one expert takes at most: the balanced share times the factor, rounded up (so never 0)."""
    return min(tokens, math.ceil(tokens * num_experts_per_tok * capacity_factor / num_experts))
