from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(64)
        self._fused = None

    def forward(self, x):
        if self._fused is None:
            # a tuple, so that the copies do not become part of the state
            self._fused = (fuse_conv_bn_eval(self.conv1, self.norm1), fuse_conv_bn_eval(self.conv2, self.norm2))
        first, second = self._fused
        return second(first(x).relu_()).add_(x).relu_()
