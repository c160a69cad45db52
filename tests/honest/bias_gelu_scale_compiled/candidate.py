import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1024))
        self.scale = nn.Parameter(torch.ones(1024))
        self._chain = torch.compile(self._written_out)

    def _written_out(self, x, residual):
        x = x + self.bias
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        return torch.addcmul(residual, self.scale, 0.5 * x * (1.0 + torch.tanh(inner)))

    def forward(self, x, residual):
        return self._chain(x, residual)
