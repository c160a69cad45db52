"""Products of a batch of small matrices."""

import torch
from torch import nn

TASK = {
    "family": "gemm",
    "axes": {"batch": 64, "m": 64, "n": 64, "k": 96},
    "limits": {"batch": {"max": 96}, "m": {"max": 80}, "n": {"max": 80}, "k": {"max": 128}},
    "linear": True,
    "flops": lambda batch, m, n, k: batch * m * n * k,
}


class Model(nn.Module):
    def forward(self, a, b):
        return torch.bmm(a, b)


def get_inputs(batch, m, n, k):
    return [torch.randn(batch, m, k), torch.randn(batch, k, n)]
