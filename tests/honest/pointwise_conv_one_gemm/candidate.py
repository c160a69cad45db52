import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(128, 64, 1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self._weight = self._bias = None

    def _fold(self):
        scale = self.norm.weight.double() / torch.sqrt(self.norm.running_var.double() + self.norm.eps)
        self._weight = (self.conv.weight.detach()[:, :, 0, 0] * scale[:, None]).float()
        self._bias = (self.norm.bias - self.norm.running_mean * scale).float()[:, None]

    def forward(self, x):
        if self._weight is None:  # frozen weights
            self._fold()
        batch, channels, height, width = x.shape
        pixels = x.reshape(batch, channels, height * width)
        y = torch.baddbmm(self._bias, self._weight.expand(batch, -1, -1), pixels)
        return y.clamp_(min=0).view(batch, -1, height, width)
