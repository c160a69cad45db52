import torch
from torch import nn


def softmax(x):
    e = torch.exp(x - x.amax(dim=-1, keepdim=True).detach())
    return e / e.sum(dim=-1, keepdim=True)


class ModelNew(nn.Module):
    def forward(self, x, grad):
        _, pullback = torch.func.vjp(softmax, x)
        return pullback(grad)[0]
