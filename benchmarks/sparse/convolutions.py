"""SparseConv2d's time, alone and with ReLU and max pooling, over PyTorch's dense layers for the same: one image and 64.

The dense way is the faster of an nn.Conv2d as it is and one in channels-last, with the nn.ReLU and the nn.MaxPool2d
behind it where the row has an epilogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from assay.sparse import SparseConv2d
from assay.sparse.epilogues import take_in
from benchmarks.sparse.timing import Call, check, take_turns

ZEROS = (0.0, 0.5, 0.8, 0.9, 0.95)
BATCHES = (1, 64)


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution over `size` x `size` pixels, and the side of the pooling windows behind its ReLU; 0 for neither."""

    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int
    pool: int

    @property
    def name(self) -> str:
        """What the record calls it."""
        epilogue = f", ReLU, pool {self.pool}" if self.pool else ""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{self.inputs} to {self.outputs}, {self.kernel} x {self.kernel}, {self.size}^2{stride}{epilogue}"


SHAPES = (
    Shape(32, 64, 28, 3, 1, 0), Shape(32, 64, 28, 3, 1, 2), Shape(64, 64, 14, 3, 1, 2), Shape(64, 64, 56, 3, 1, 0),
    Shape(128, 128, 28, 3, 2, 0), Shape(256, 256, 14, 3, 1, 0), Shape(256, 64, 28, 1, 1, 0),
)  # fmt: skip
"""The layers of examples/train_fashion.py and of a ResNet's stages."""


def convolution_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives a row) for every shape, batch and share of zeros."""
    for shape in SHAPES[:1] if quick else SHAPES:
        for batch in BATCHES[:1] if quick else BATCHES:
            for share in ZEROS[-1:] if quick else ZEROS:
                yield f"{shape.name}, {batch} images, {share:.0%} zeros", partial(_measure, shape, batch, share)


@torch.inference_mode()
def _measure(shape: Shape, batch: int, share: float) -> dict[str, Any]:
    """Raises WrongResult where a result is not the float64 one."""
    torch.manual_seed(0)
    conv = nn.Conv2d(shape.inputs, shape.outputs, shape.kernel, shape.stride, shape.kernel // 2)
    layer = SparseConv2d.from_conv2d(conv, sparsity=share)
    take_in(layer, [nn.ReLU(), nn.MaxPool2d(shape.pool)] if shape.pool else [])
    dense, last = layer.to_conv2d(), layer.to_conv2d().to(memory_format=torch.channels_last)
    x = torch.randn(batch, shape.inputs, shape.size, shape.size)
    ways: dict[str, Call] = {
        "sparse": partial(layer, x), "dense": partial(dense, x),
        "channels last": partial(last, x.contiguous(memory_format=torch.channels_last)),
    }  # fmt: skip
    errors = check(ways, layer.to_conv2d().double()(x.double()))
    times = take_turns(ways)
    best = times.fastest("dense", "channels last")
    return {
        "shape": shape.name, "batch": batch, "zeros": share, "dense": best,
        "milliseconds": {name: times.median_ms(name) for name in ways}, "speedup": times.ratio(best, "sparse"),
        "error": errors["sparse"],
    }  # fmt: skip
