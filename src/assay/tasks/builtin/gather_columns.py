"""One element picked from every row per column of an index matrix, along the last dimension."""

import torch
from torch import nn

TASK = {
    "family": "gather",
    "axes": {"rows": 1024, "cols": 1024, "picks": 512},
    "limits": {"rows": {"max": 1536}, "cols": {"max": 1536}, "picks": {"max": 768}},
}


class Model(nn.Module):
    def forward(self, x, index):
        return torch.gather(x, 1, index)


def get_inputs(rows, cols, picks):
    return [torch.randn(rows, cols), torch.randint(cols, (rows, picks))]
