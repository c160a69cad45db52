"""Mean of a three-dimensional tensor over its middle dimension (average over the tokens of a sequence)."""

import torch
from torch import nn

TASK = {
    "family": "reduction",
    "axes": {"batch": 32, "tokens": 256, "width": 256},
    "limits": {"batch": {"max": 48}, "tokens": {"max": 320}, "width": {"max": 320}},
}


class Model(nn.Module):
    def forward(self, x):
        return x.mean(dim=1)


def get_inputs(batch, tokens, width):
    return [torch.randn(batch, tokens, width) + torch.randn(batch, 1, width)]
