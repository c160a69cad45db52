"""Data sets that Debian carries, for examples and experiments: nothing is taken from anywhere else.

from assay.datasets import fashion_mnist
images, labels = fashion_mnist("train")
"""

from __future__ import annotations

from assay.datasets.fashion_mnist import fashion_mnist
from assay.datasets.packages import file_of_package

__all__ = ["fashion_mnist", "file_of_package"]
