"""Whether Triton's kernels run on a device, and which tiles they take: Triton is imported when first needed.

They run on NVIDIA's GPUs from compute capability 8.0 on (the first with bfloat16). Triton comes with PyTorch's CUDA
builds; elsewhere it is `pip install assay[gpu]`. With TRITON_INTERPRET=1 set before Triton is imported, Triton
interprets the kernels on a CPU: slowly, for tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

OLDEST = (8, 0)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""float64 has no fast units on most GPUs, and PyTorch's dense product serves it better."""


def usable(x: Tensor) -> bool:
    """Whether the kernels take this operand; where not, `reference` has the product."""
    if x.dtype not in DTYPES or not _installed():
        return False
    if x.device.type == "cuda":
        return torch.version.cuda is not None and _capability(x.device.index) >= OLDEST
    return x.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


@cache
def kernels(name: str) -> Any:
    """The module `name` of this package, which imports Triton."""
    return importlib.import_module(f"{__package__}.{name}")


def precision(x: Tensor) -> str:
    """What float32 is multiplied in: TF32 where PyTorch's own CUDA products may use it, and else float32."""
    allowed = x.dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return "tf32" if allowed else "ieee"


def on_device(x: Tensor) -> AbstractContextManager[Any]:
    """A context in which Triton launches on x's device."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


@cache
def processors(device: torch.device) -> int:
    """Streaming multiprocessors; 1 for the interpreter, which runs programs in turns."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def power_of_two(number: int, least: int, most: int) -> int:
    """The next one from `number` on, at least `least` and at most `most`."""
    return max(least, min(most, 1 << max(number - 1, 0).bit_length()))


def line(x: Tensor) -> int:
    """Elements of x in 128 bytes, a line of the cache: the inner dimension of every tile."""
    return 128 // x.element_size()


def near(x: Tensor) -> Tensor:
    """x [rows, columns], copied where an offset inside of a row needs more than 32 bits, which is all it has."""
    return x if x.shape[1] * x.stride(1) < 1 << 31 else x.contiguous()


def launch(kernel: Callable[..., Any], programs: int, x: Tensor, *arguments: Any, **choices: Any) -> None:
    """Run a kernel on x's device; nothing where there is nothing to do."""
    if programs:
        with on_device(x):
            kernel[(programs,)](*arguments, **choices)  # type: ignore[index]


@cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _capability(index: int) -> tuple[int, int]:
    return torch.cuda.get_device_capability(index)
