import torch
from torch import nn
from torch.nn import functional as F


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3, padding=1)

    def forward(self, x):
        x = x.to(memory_format=torch.channels_last)
        weight = self.conv.weight.to(memory_format=torch.channels_last)
        y = F.conv2d(x, weight, self.conv.bias, padding=1).relu_()
        # not contiguous(): where a size is 1 it keeps the strides of the layout that it came from
        return torch.empty(y.shape, dtype=y.dtype).copy_(y)
