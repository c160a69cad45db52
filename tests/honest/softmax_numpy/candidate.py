import numpy as np
import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        with np.errstate(over="ignore", under="ignore"):
            a = x.numpy()
            y = a - a.max(axis=-1, keepdims=True)
            np.exp(y, out=y)
            y /= y.sum(axis=-1, keepdims=True)
        return torch.from_numpy(y)
