"""Poolings of every kind that the generator writes, in one task, on sizes that are no multiple of a vector."""

from test_generated_kernels import is_right, referee, tracing

from assay.engineer.codegen.generate import Schedule, generate
from assay.tasks.plain import plain_task

__all__ = ["referee", "tracing"]

TASK = """
import torch
from torch import nn
from torch.nn import functional as F

TASK = {
    "axes": {"images": 3, "length": 37},
    "limits": {"images": {"max": 5}, "length": {"min": 30, "max": 61}},
}

class Model(nn.Module):
    def forward(self, line, plane, volume):
        return (F.max_pool1d(line, 4, 2, padding=2, dilation=3), F.max_pool1d(line, 5, 3), F.avg_pool1d(line, 3, 2, 1),
                F.max_pool2d(plane, (3, 2), dilation=(1, 2)), F.max_pool2d(plane, 3, 2, padding=1, ceil_mode=True),
                F.avg_pool2d(plane, 3, 2, padding=1, count_include_pad=False),
                F.avg_pool2d(plane, 3, 2, padding=1, ceil_mode=True), F.avg_pool2d(plane, 2, divisor_override=3),
                F.max_pool3d(volume, 3, 2, padding=1, dilation=(1, 1, 2)), F.avg_pool3d(volume, (2, 3, 2), (2, 1, 2)),
                F.adaptive_avg_pool3d(volume, (2, 3, 4)))

def get_inputs(images, length):
    return [torch.randn(images, 5, length), torch.randn(images, 3, 17, 18), torch.randn(images, 2, 7, 9, 10)]
"""


def test_generated_poolings_are_right(tracing, referee):
    task = plain_task(TASK, "poolings.py")
    assert is_right(referee, task, generate(tracing.trace(task), Schedule(), "poolings"))
