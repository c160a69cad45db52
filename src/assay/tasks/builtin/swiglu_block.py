"""The feed-forward block of Llama-style models: RMS normalisation, gated linear unit with SiLU, residual."""

import torch
from torch import nn

WIDTH = 256
HIDDEN = 688

TASK = {
    "family": "block",
    "axes": {"tokens": 256},
    "limits": {"tokens": {"max": 384}},
    "flops": lambda tokens: 3 * tokens * WIDTH * HIDDEN,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.gate = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)

    def forward(self, x):
        y = self.norm(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


def get_inputs(tokens):
    return [torch.randn(tokens, WIDTH)]
