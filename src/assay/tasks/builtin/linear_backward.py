"""All three gradients of a linear layer: of its input, its weight and its bias."""

import torch
from torch import nn

IN_WIDTH = 384
OUT_WIDTH = 512

TASK = {
    "family": "backward",
    "axes": {"tokens": 256},
    "limits": {"tokens": {"max": 384}},
    "flops": lambda tokens: 2 * tokens * IN_WIDTH * OUT_WIDTH,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(IN_WIDTH, OUT_WIDTH)

    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.linear(x), [x, self.linear.weight, self.linear.bias], grad)


def get_inputs(tokens):
    return [torch.randn(tokens, IN_WIDTH), torch.randn(tokens, OUT_WIDTH)]
