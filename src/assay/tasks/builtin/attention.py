"""Scaled dot-product attention over all tokens."""

import torch
from torch import nn

HEAD = 64

TASK = {
    "family": "attention",
    "axes": {"batch": 1, "heads": 8, "tokens": 256},
    "limits": {"batch": {"max": 3}, "heads": {"max": 9}, "tokens": {"max": 320}},
    "flops": lambda batch, heads, tokens: 2 * batch * heads * tokens * tokens * HEAD,
}


class Model(nn.Module):
    def forward(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v)


def get_inputs(batch, heads, tokens):
    return [torch.randn(batch, heads, tokens, HEAD) for _ in range(3)]
