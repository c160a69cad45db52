"""Row softmax of a 1024 x 2048 matrix."""

import torch
from torch import nn

TASK = {
    "family": "softmax",
    "axes": {"rows": 1024, "cols": 2048},
    "limits": {"rows": {"max": 1536}, "cols": {"max": 3072}},
}


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=-1)


def get_inputs(rows, cols):
    return [torch.randn(rows, cols)]
