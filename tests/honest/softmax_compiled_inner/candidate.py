import torch
from torch import nn


def _softmax(x):
    shifted = torch.exp(x - x.amax(dim=-1, keepdim=True))
    return shifted / shifted.sum(dim=-1, keepdim=True)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self._run = torch.compile(_softmax, dynamic=True)

    def forward(self, x):
        return self._run(x)
