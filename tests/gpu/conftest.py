"""Where Triton's kernels are tested: on a GPU, or interpreted on the CPU, which knows no bfloat16 products.

Triton has to be told of the interpreter before it is imported, so a run of all tests may come too late for it.
"""

import importlib.util
import os
import sys

import pytest
import torch

from assay.sparse.gpu import blocks, grouped

INSTALLED = importlib.util.find_spec("triton") is not None
if INSTALLED and not torch.cuda.is_available() and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"

OPERATORS = {
    "block_sparse_mm": blocks.multiply,
    "block_sparse_mm_transposed": blocks.multiply_transposed,
    "block_sparse_sampled": blocks.sampled,
    "block_transpose": blocks.transposed,
    "block_sparse_mm_int8": blocks.multiply_int8,
    "gathered_mm": grouped.multiply,
    "scattered_mm": grouped.scattered,
    "grouped_outer": grouped.outer,
}


@pytest.fixture
def device():
    """Where the kernels run."""
    if not INSTALLED:
        pytest.skip("Triton is not installed: pip install assay[gpu]")
    if torch.cuda.is_available():
        return "cuda"
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("no GPU, and Triton was imported before its interpreter was asked for: run tests/gpu alone")
    return "cpu"


@pytest.fixture(params=[torch.float32, torch.float16, torch.bfloat16], ids=str)
def dtype(request, device):
    """Every type that the kernels multiply."""
    if request.param == torch.bfloat16 and device == "cpu":
        pytest.skip("Triton's interpreter multiplies bfloat16 as integers")
    return request.param


@pytest.fixture
def operators(device):
    """PyTorch's operators with these kernels: as registered on a GPU, in the C++ kernels' place on a CPU."""
    if device == "cuda":
        yield
        return
    with torch.library._scoped_library("assay", "IMPL") as library:
        for name, kernel in OPERATORS.items():
            library.impl(name, kernel, "CPU", allow_override=True)
        yield
