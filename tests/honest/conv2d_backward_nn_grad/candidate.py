import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x, grad):
        weight = self.conv.weight.detach()
        bias = grad.sum(dim=(0, 2, 3))
        of_weight = torch.nn.grad.conv2d_weight(x, weight.shape, grad, padding=1)
        of_input = torch.nn.grad.conv2d_input(x.shape, weight, grad, padding=1)
        return of_input, of_weight, bias
