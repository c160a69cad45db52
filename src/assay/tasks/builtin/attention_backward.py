"""Gradients of causal attention with respect to queries, keys and values."""

import torch
from torch import nn

HEAD = 64

TASK = {
    "family": "backward",
    "axes": {"batch": 1, "heads": 4, "tokens": 192},
    "limits": {"batch": {"max": 3}, "heads": {"max": 5}, "tokens": {"max": 256}},
    # Five products over half of the score matrix; half of that for Strassen.
    "flops": lambda batch, heads, tokens: 5 * batch * heads * tokens * tokens * HEAD // 2,
}


class Model(nn.Module):
    def forward(self, q, k, v, grad):
        with torch.enable_grad():
            q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
            scores = q @ k.transpose(-2, -1) * HEAD**-0.5
            future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            y = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v
            return torch.autograd.grad(y, [q, k, v], grad)


def get_inputs(batch, heads, tokens):
    return [torch.randn(batch, heads, tokens, HEAD) for _ in range(4)]
