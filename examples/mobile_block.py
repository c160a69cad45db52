"""A block of a mobile network: depthwise convolution, average pooling, group normalisation and Mish."""

import torch
from torch import nn

CHANNELS = 96


class MobileBlock(nn.Module):
    """x [batch, 96, height, width] to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        self.norm = nn.GroupNorm(8, CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One pass."""
        x = nn.functional.avg_pool2d(self.depthwise(x), 3, stride=1, padding=1)
        return nn.functional.mish(self.norm(x))


def get_inputs() -> list[torch.Tensor]:
    """Images of 56 x 56."""
    return [torch.randn(4, CHANNELS, 56, 56)]
