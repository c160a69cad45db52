"""All three gradients of layer normalisation: of its input, its weight and its bias."""

import torch
from torch import nn

WIDTH = 768

TASK = {
    "family": "backward",
    "axes": {"tokens": 512},
    "limits": {"tokens": {"max": 1024}},
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.bias)

    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.norm(x), [x, self.norm.weight, self.norm.bias], grad)


def get_inputs(tokens):
    x = torch.randn(tokens, WIDTH) * (torch.rand(tokens, 1) + 0.5) + torch.randn(tokens, 1)
    return [x, torch.randn(tokens, WIDTH)]
