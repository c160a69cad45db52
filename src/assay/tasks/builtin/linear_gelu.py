"""Linear layer with GELU; frozen weights, so that they may be packed once."""

import torch
from torch import nn

IN_WIDTH = 512
OUT_WIDTH = 1024

TASK = {
    "family": "gemm",
    "axes": {"tokens": 256},
    "limits": {"tokens": {"max": 512}},
    "weights": "frozen",
    "flops": lambda tokens: tokens * IN_WIDTH * OUT_WIDTH,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(IN_WIDTH, OUT_WIDTH)

    def forward(self, x):
        return nn.functional.gelu(self.linear(x))


def get_inputs(tokens):
    return [torch.randn(tokens, IN_WIDTH) * 2]
