import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(768)

    def forward(self, x):
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = torch.linalg.vector_norm(centred, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        centred.mul_(variance.add_(self.norm.eps).rsqrt_())
        return torch.addcmul(self.norm.bias, centred, self.norm.weight)
