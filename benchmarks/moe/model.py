"""The language model over bytes: a pre-norm transformer that is the same in every arm but for its feed-forward.

Without biases in its products, with learned positions and an untied head, a width of 64 and 2 layers gives the dense
model of 1024 hidden units 336,512 parameters, and 16 experts of 128 with their router 600,704, of which 141,952 are
active for a token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.moe import MoE
from benchmarks.moe.layers import BlockSparse, Dense, Mixture, part_of_experts
from benchmarks.moe.settings import Arm, Experiment, Settings, Training

BYTES = 256
_POSITION_STD = 0.02
"""GPT-2's. Embeddings keep PyTorch's 1: a pilot of the dense model ended 0.06 bits higher with 0.02 for both."""


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(seen.transpose(1, 2).reshape(batch, tokens, width))
        return out


class LanguageModel(nn.Module):
    """Bytes [batch, tokens] to logits [batch, tokens, 256] and the sum of the routers' losses (a zero without any).

    Feed-forwards are made last, so that arms of one seed start from the same parameters everywhere else.
    """

    def __init__(self, shape: Experiment, feed_forward: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, shape.width)
        self.position = nn.Parameter(torch.randn(shape.context, shape.width) * _POSITION_STD)
        self.head = nn.Linear(shape.width, BYTES, bias=False)
        self.norm = nn.LayerNorm(shape.width)
        self.norms = nn.ModuleList(nn.LayerNorm(shape.width) for _ in range(2 * shape.layers))
        self.attentions = nn.ModuleList(Attention(shape.width, shape.heads) for _ in range(shape.layers))
        self.feed_forwards = nn.ModuleList(feed_forward() for _ in range(shape.layers))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        router_loss = x.new_zeros(())
        for number, (attention, feed_forward) in enumerate(zip(self.attentions, self.feed_forwards, strict=True)):
            x = x + attention(self.norms[2 * number](x))
            change, loss = feed_forward(self.norms[2 * number + 1](x))
            x, router_loss = x + change, router_loss + loss
        return self.head(self.norm(x)), router_loss


def make_model(arm: Arm, settings: Settings, seed: int, hidden: int | None = None) -> LanguageModel:
    """A model of an arm with a seed's parameters; `hidden` is the measured number of units of a block-sparse arm."""
    torch.manual_seed(seed)
    shape, units = settings.of(arm), arm.hidden or hidden
    if units is None:
        raise InputError(
            "this arm has no hidden units yet", value=arm.name, rule="a block-sparse arm is as wide as its cost allows",
            next_step="run `python -m benchmarks.moe match` first",
        )  # fmt: skip
    return LanguageModel(shape, lambda: _feed_forward(arm, shape.width, units, settings.training))


def _feed_forward(arm: Arm, width: int, hidden: int, training: Training) -> nn.Module:
    if arm.experts:
        moe = MoE(
            width, hidden, arm.experts, arm.chosen, norm_topk_prob=arm.renormalised,
            router_aux_loss_coef=training.router_aux_loss_coef, router_z_loss_coef=training.router_z_loss_coef,
        )  # fmt: skip
        return Mixture(moe)
    if arm.sparsity:
        return BlockSparse(width, hidden, arm.block, arm.sparsity)
    return Dense(width, hidden)


def parameters(model: nn.Module, arm: Arm) -> tuple[int, int]:
    """How many there are, and how many work for one token."""
    total = sum(p.numel() for p in model.parameters())
    idle = 1 - arm.chosen / arm.experts if arm.experts else 0.0
    return total, total - round(idle * part_of_experts(model))
