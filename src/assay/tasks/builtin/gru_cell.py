"""One step of a gated recurrent unit."""

import torch
from torch import nn

WIDTH = 256

TASK = {
    "family": "block",
    "axes": {"batch": 256},
    "limits": {"batch": {"max": 384}},
    "flops": lambda batch: 6 * batch * WIDTH * WIDTH,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(WIDTH, WIDTH)

    def forward(self, x, state):
        return self.cell(x, state)


def get_inputs(batch):
    return [torch.randn(batch, WIDTH), torch.randn(batch, WIDTH)]
