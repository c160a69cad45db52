"""One decoding step: a query per head against a cache of keys and values shared by groups of four heads."""

import torch
from torch import nn

HEAD = 64
GROUP = 4

TASK = {
    "family": "attention",
    "axes": {"batch": 8, "kv_heads": 4, "cached": 512},
    "limits": {"batch": {"max": 10}, "kv_heads": {"max": 5}, "cached": {"max": 640}},
}


class Model(nn.Module):
    def forward(self, q, keys, values, lengths):
        keys, values = (x.repeat_interleave(GROUP, dim=1) for x in (keys, values))
        scores = (keys @ q.unsqueeze(-1)).squeeze(-1) * HEAD**-0.5
        unused = torch.arange(keys.shape[2]) >= lengths[:, None, None]
        weights = torch.softmax(scores.masked_fill(unused, float("-inf")), dim=-1)
        return (weights.unsqueeze(-2) @ values).squeeze(-2)


def get_inputs(batch, kv_heads, cached):
    q = torch.randn(batch, kv_heads * GROUP, HEAD)
    keys, values = (torch.randn(batch, kv_heads, cached, HEAD) for _ in range(2))
    return [q, keys, values, torch.randint(cached // 2, cached, (batch,)) + 1]
