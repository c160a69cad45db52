"""`SparseConv2d`: nn.Conv2d with zeros anywhere, where a weight that is not kept costs nothing.

Every kept weight adds a shifted plane of x to a plane of y, for one image as for many. On Zen 4, one thread, that is
1.9 to 3.6 times as fast as oneDNN in its better order of memory with 90 % zeros, 1.4 to 2.3 times with 80 %, and 0.7 to
1.2 times with 50 % (docs/sparse-results.md). A ReLU and a max pooling can be part of the layer: they cost little while
the sums are in the first cache. The state dict is that of `SparseLinear`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.sparse.convolution_ops import sparse_conv2d
from assay.sparse.library import instruction_set
from assay.sparse.unstructured_layer import UnstructuredLayer, chosen

Pair = tuple[int, int]


class SparseConv2d(UnstructuredLayer):
    """y = conv2d(x, W) + b for x [n, in_channels, height, width], where W has zeros that are not multiplied.

    With `relu` y is max(0, that), and with `pool` the largest of each pool x pool window of it.

    Args:
        in_channels: of x.
        out_channels: of y.
        kernel_size: height and width of the kernels, or both.
        stride: one for both dimensions.
        padding: zeros above and below, and at both sides, or both.
        dilation: one for both dimensions.
        bias: whether there is one.
        relu: whether y is cut off at 0.
        pool: width, height and stride of the windows; 1 leaves y as it is.
        mask: boolean [out_channels, in_channels, height, width], true where W has a value; None keeps all.
        device: as nn.Conv2d's.
        dtype: as nn.Conv2d's; on a CPU float32 and float64 compute, others raise InputError when called.

    `load_state_dict` takes this layer's arrays or a dense layer's `weight`; either brings its own zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int = 1,
        padding: int | Pair = 0,
        dilation: int = 1,
        bias: bool = True,
        *,
        relu: bool = False,
        pool: int = 1,
        mask: Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        kernel = both(kernel_size)
        if min(*kernel, stride, dilation, pool) < 1 or min(both(padding)) < 0:
            raise InputError(
                "there is no such convolution", value=f"kernel {kernel}, stride {stride}, padding {padding}, dilation "
                f"{dilation}, pool {pool}", rule="padding from 0, all others from 1",
            )  # fmt: skip
        super().__init__((out_channels, in_channels, *kernel), bias, mask, device, dtype)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel
        self.stride, self.padding, self.dilation = stride, both(padding), dilation
        self.relu, self.pool = relu, pool

    @classmethod
    def from_conv2d(cls, conv: nn.Conv2d, sparsity: float | None = None, mask: Tensor | None = None) -> SparseConv2d:
        """The layer of a dense one's weights, with `mask`, or all but a share `sparsity` of the largest magnitudes.

        With neither the weights that are zero already are left out. Raises InputError for both, a wrong one, and a
        convolution that this layer cannot stand for (see `why_not`).
        """
        if reason := why_not(conv):
            raise InputError("there is no sparse layer for this convolution", value=reason, rule="one group, zeros "
                             "around the image, the same stride and dilation in both dimensions",
                             next_step="keep it dense")  # fmt: skip
        weight = conv.weight.detach()
        mask = chosen(weight, sparsity, mask)
        padding: Any = conv.padding
        made = cls(
            conv.in_channels, conv.out_channels, (weight.shape[2], weight.shape[3]), conv.stride[0], padding,
            conv.dilation[0], conv.bias is not None, mask=mask, device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        made.take(weight, mask, conv.bias)
        return made.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] or [in_channels, h, w]. Raises InputError for other shapes and types."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise InputError(
                "the input does not fit the layer", value=f"shape {tuple(x.shape)}",
                rule=f"[n, {self.in_channels}, height, width], or without n",
                next_step="give it what the dense layer was given",
            )  # fmt: skip
        images = x if x.dim() == 4 else x.unsqueeze(0)
        y: Tensor = sparse_conv2d(
            images, self.values, self.layout(), self.bias, self.kernel_size, self.stride, self.padding, self.dilation,
            self.relu, self.pool,
        )  # fmt: skip
        return y if x.dim() == 4 else y.squeeze(0)

    def to_conv2d(self) -> nn.Module:
        """Dense layers that compute the same: an nn.Conv2d, or one with its ReLU and pooling in an nn.Sequential."""
        made = nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding, self.dilation,
            bias=self.bias is not None, device=self.values.device, dtype=self.values.dtype,
        )  # fmt: skip
        with torch.no_grad():
            made.weight.copy_(self.to_dense())
            if self.bias is not None and made.bias is not None:
                made.bias.copy_(self.bias)
        epilogue: list[nn.Module] = [nn.ReLU()] if self.relu else []
        epilogue += [nn.MaxPool2d(self.pool)] if self.pool > 1 else []
        return (nn.Sequential(made, *epilogue) if epilogue else made).train(self.training)

    def explain(self) -> str:
        """One sentence: how a call is computed here."""
        if self.values.device.type != "cpu" or self.columns is None:
            return "a dense convolution over kernels made for the call"
        everything = self.values.numel() / max(self.density, 1e-9)
        return f"shifted planes ({instruction_set()}), {self.values.numel()} of {everything:.0f} weights"

    def extra_repr(self) -> str:
        """As nn.Conv2d's, with the share of zeros and the epilogue."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, bias={self.bias is not None}, relu={self.relu}, "
            f"pool={self.pool}, zeros={1 - self.density:.3f}"
        )


def why_not(conv: nn.Conv2d) -> str:
    """Why a convolution has no sparse layer; empty where it has one."""
    if conv.groups != 1:
        return f"{conv.groups} groups"
    if isinstance(conv.padding, str):
        return f'padding "{conv.padding}"'
    if conv.padding_mode != "zeros":
        return f'padding mode "{conv.padding_mode}"'
    if len(set(conv.stride)) > 1 or len(set(conv.dilation)) > 1:
        return f"stride {conv.stride}, dilation {conv.dilation}"
    return ""


def both(size: int | tuple[int, ...]) -> Pair:
    """Height and width, which may be given as one number."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
