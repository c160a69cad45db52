import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(768)

    def forward(self, x, grad):
        weight, bias = self.norm.weight.detach(), self.norm.bias.detach()
        _, mean, rstd = torch.ops.aten.native_layer_norm(x, [768], weight, bias, self.norm.eps)
        return torch.ops.aten.native_layer_norm_backward(grad, x, [768], mean, rstd, weight, bias, [True, True, True])
