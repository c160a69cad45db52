"""The gate of a SwiGLU layer: silu(a) * b, both halves of one tensor."""

import torch
from torch import nn

TASK = {
    "family": "elementwise",
    "axes": {"tokens": 512, "width": 1024},
    "limits": {"tokens": {"max": 1024}, "width": {"max": 2048}},
}


class Model(nn.Module):
    def forward(self, x):
        gate, value = x.chunk(2, dim=-1)
        return nn.functional.silu(gate) * value


def get_inputs(tokens, width):
    return [torch.randn(tokens, 2 * width)]
