"""The gradients of a training step, written out: at this size autograd's own work is a third of a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gradients:
    """Of the mean cross-entropy, for a chain of linear layers with ReLU between; kept in the parameters' `grad`.

    A step of LeNet-300-100 on batches of 60, Adam included, takes 1.5 ms of CPU with these and 2.4 ms with autograd, on
    a busy two-core machine.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [module for module in network.children() if isinstance(module, nn.Linear)]
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def write(self, images: Tensor, labels: Tensor) -> None:
        """In place of those before. Images are float32 [n, pixels], labels int64 [n]."""
        inputs = [images]
        for layer in self._layers:
            inputs.append(torch.addmm(layer.bias, inputs[-1], layer.weight.t()))
            if layer is not self._layers[-1]:
                inputs[-1].relu_()
        slopes = inputs.pop().softmax(1)
        slopes[torch.arange(len(labels)), labels] -= 1
        slopes /= len(labels)
        for layer, before in zip(reversed(self._layers), reversed(inputs), strict=True):
            torch.mm(slopes.t(), before, out=layer.weight.grad)
            torch.sum(slopes, 0, out=layer.bias.grad)
            if before is not images:
                slopes = (slopes @ layer.weight).mul_(before > 0)
