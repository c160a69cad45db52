import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, a, b, bias):
        return torch.addmm(bias, a, b).relu_()
