import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, a, b):
        y = torch.empty(a.shape[0], a.shape[1], b.shape[2], dtype=a.dtype)
        half = a.shape[0] // 2
        if half:
            torch.bmm(a[:half], b[:half], out=y[:half])
        torch.bmm(a[half:], b[half:], out=y[half:])
        return y
