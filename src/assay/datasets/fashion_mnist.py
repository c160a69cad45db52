"""Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747), from Debian's dataset-fashion-mnist."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from assay.datasets.packages import file_of_package
from assay.errors import InputError

PACKAGE = "dataset-fashion-mnist"
_FOLDER = "usr/share/datasets/fashion-mnist"
_PREFIXES = {"train": "train", "test": "t10k"}
MEAN, STD = 0.2860, 0.3530
"""Of the training images' pixels in 0..1."""


def fashion_mnist(part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Images float32 [n, 1, 28, 28] with mean 0 and deviation 1, and labels int64 [n] from 0 to 9.

    n is 60,000 for "train" and 10,000 for "test". Raises InputError for another part or a damaged file, MachineError
    where the package is neither installed nor to be had.
    """
    if part not in _PREFIXES:
        raise InputError("there is no such part of Fashion-MNIST", value=str(part)[:100], rule="train or test")
    prefix = _PREFIXES[part]
    images = read_idx(file_of_package(PACKAGE, f"{_FOLDER}/{prefix}-images-idx3-ubyte.gz"))
    labels = read_idx(file_of_package(PACKAGE, f"{_FOLDER}/{prefix}-labels-idx1-ubyte.gz"))
    return (images.unsqueeze(1).float() / 255 - MEAN) / STD, labels.long()


def read_idx(path: Path) -> Tensor:
    """uint8 of a gzipped IDX file: two zeros, the type, the number of dimensions, their big-endian sizes, the bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
        kind, dimensions = struct.unpack_from(">HBB", content)[1:]
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, struct.error) as error:
        raise InputError("the data set's file cannot be read", value=f"{path}: {error}"[:300],
                         next_step=f"install {PACKAGE} again") from error  # fmt: skip
    start = 4 + 4 * dimensions
    if kind != 8 or len(content) - start != math.prod(shape):
        raise InputError(
            "the data set's file is no IDX file of bytes", value=f"{path}: type {kind}, shape {shape}, "
            f"{len(content) - start} bytes", rule="type 8 and as many bytes as the shape says",
            next_step=f"install {PACKAGE} again",
        )  # fmt: skip
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=start).copy()).view(*shape)
