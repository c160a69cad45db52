import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        batch, heads, tokens, width = q.shape
        q, k, v = (t.reshape(batch * heads, tokens, width) for t in (q, k, v))
        unused = torch.empty(1, 1, 1)  # ignored because beta is 0, whatever it holds
        scores = torch.baddbmm(unused, q, k.transpose(1, 2), beta=0, alpha=width**-0.5)
        scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
        scores.div_(scores.sum(dim=-1, keepdim=True))
        return torch.bmm(scores, v).view(batch, heads, tokens, width)
