"""Losses of routing, from the router's logits: what keeps experts equally busy and logits small."""

from __future__ import annotations

import torch
from torch import Tensor


def load_balancing_loss(probabilities: Tensor, expert_counts: Tensor) -> Tensor:
    """E * sum of f_i P_i, a float32 scalar: 1 at balance, E where one expert takes everything; 0 without tokens.

    f_i is the share of the assignments that went to expert i (no gradient), P_i its mean probability. Switch
    Transformers, arXiv 2101.03961, section 2.2. transformers' own function does not divide by the experts per token, so
    that its value is `num_experts_per_tok` times this one.

    Args:
        probabilities: [tokens, E], each row summing to 1.
        expert_counts: [E] integers, before any are dropped.
    """
    shares = expert_counts / expert_counts.sum().clamp(min=1)
    mean = probabilities.sum(0) / max(probabilities.shape[0], 1)
    return probabilities.shape[1] * torch.dot(shares.to(mean.dtype), mean)


def router_z_loss(logits: Tensor) -> Tensor:
    """The mean square of each token's log-sum-exp over logits [tokens, E]; 0 without tokens.

    It keeps logits small, so that the softmax stays exact in low precision. ST-MoE, arXiv 2202.08906, equation 5.
    """
    return torch.logsumexp(logits, 1).square().sum() / max(logits.shape[0], 1)
