"""Causal attention written out: scores, mask, softmax, weighted sum of the values."""

import torch
from torch import nn

HEAD = 64

TASK = {
    "family": "attention",
    "axes": {"batch": 1, "heads": 8, "tokens": 256},
    "limits": {"batch": {"max": 3}, "heads": {"max": 9}, "tokens": {"max": 320}},
    # Half of the score matrix is masked, and half of the textbook count for Strassen.
    "flops": lambda batch, heads, tokens: batch * heads * tokens * tokens * HEAD,
}


class Model(nn.Module):
    def forward(self, q, k, v):
        scores = q @ k.transpose(-2, -1) * HEAD**-0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v


def get_inputs(batch, heads, tokens):
    return [torch.randn(batch, heads, tokens, HEAD) for _ in range(3)]
