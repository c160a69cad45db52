"""Rotary position embedding of queries: pairs of channels turned by an angle per position."""

import torch
from torch import nn

HEAD = 64

TASK = {
    "family": "attention",
    "axes": {"batch": 2, "heads": 16, "tokens": 512},
    "limits": {"batch": {"max": 3}, "heads": {"max": 17}, "tokens": {"max": 640}},
    "domains": {"x": "real", "cos": "fixed", "sin": "fixed"},
}


class Model(nn.Module):
    def forward(self, x, cos, sin):
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def get_inputs(batch, heads, tokens):
    rates = 10000.0 ** (-torch.arange(HEAD // 2) / (HEAD // 2))
    angles = (torch.arange(tokens) + torch.randint(1000, (1,)))[:, None] * rates
    return [torch.randn(batch, heads, tokens, HEAD), torch.cos(angles), torch.sin(angles)]
