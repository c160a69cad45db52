"""When a kernel's result is the exact one."""

import torch

ROUNDING = {torch.float32: 2e-6, torch.float16: 2**-11, torch.bfloat16: 2**-8}
"""Half a unit in the last place of halves, which are rounded once; float32 sums round at each of up to 300 products."""


def agree(found, expected):
    """Within the rounding of the found type, relative to the largest element."""
    assert found.shape == expected.shape
    if found.numel():
        largest = max(1.0, float(expected.abs().max()))
        assert float((found.double() - expected).abs().max()) <= 1.01 * ROUNDING[found.dtype] * largest
