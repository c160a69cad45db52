"""The basic block of a ResNet in inference: two 3 x 3 convolutions with folded-ready batch norms, and a residual."""

import torch
from torch import nn

CHANNELS = 64

TASK = {
    "family": "block",
    "axes": {"batch": 1, "height": 56, "width": 56},
    "limits": {"batch": {"max": 3}, "height": {"max": 64}, "width": {"max": 64}},
    "weights": "frozen",
    "flops": lambda batch, height, width: 2 * 2 * 9 * CHANNELS * CHANNELS * batch * height * width // 6,
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(CHANNELS)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(CHANNELS)
        for norm in (self.norm1, self.norm2):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.5)
            nn.init.normal_(norm.running_mean, std=0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(y)))


def get_inputs(batch, height, width):
    return [torch.randn(batch, CHANNELS, height, width)]
