import torch
from torch import nn


class Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * x * torch.erfc(x * -(0.5**0.5))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        density = torch.exp(-0.5 * x * x) * 0.3989422804014327
        return grad * torch.addcmul(0.5 * torch.erfc(x * -(0.5**0.5)), x, density)


class ModelNew(nn.Module):
    def forward(self, x, grad):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(Gelu.apply(x), x, grad)[0]
