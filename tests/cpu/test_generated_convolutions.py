"""Convolutions of every kind that the generator writes, all in one task: borders, steps, dilation, groups, turned."""

import pytest
from test_generated_kernels import is_right, referee, tracing

from assay.engineer.codegen.generate import Schedule, generate
from assay.tasks.plain import plain_task

__all__ = ["referee", "tracing"]

TASK = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(6, 5, 3, padding=1, dilation=2)
        self.plain = nn.Conv2d(6, 19, 3, padding=1)
        self.point = nn.Conv2d(6, 8, 1, bias=False)
        self.step = nn.Conv2d(6, 11, (3, 5), stride=(2, 3), padding=(0, 2))
        self.dilated = nn.Conv2d(6, 8, 3, stride=2, dilation=(1, 3), padding=3)
        self.groups = nn.Conv2d(6, 4, 3, groups=2)
        self.volume = nn.Conv3d(3, 9, (2, 3, 3), stride=(1, 2, 1), padding=(1, 0, 1))
        self.long = nn.Conv2d(300, 3, 2)
        self.tiny = nn.Conv2d(6, 7, 15)
        self.rows = nn.Conv2d(2, 9, (3, 9), padding=(1, 4))
        self.layers = nn.Conv3d(2, 5, (2, 3, 9), padding=(0, 1, 4), bias=False)
        self.turned = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1)
        self.sparse = nn.ConvTranspose1d(6, 3, 2, stride=3, bias=False)
        self.mean = nn.AdaptiveAvgPool2d((4, 5))
        self.grown = nn.ConvTranspose3d(3, 2, (1, 2, 3), stride=(1, 2, 1), padding=(0, 0, 2))

    def forward(self, line, plane, volume, many, wide):
        return (self.line(line), self.plain(plane), self.point(plane), self.step(plane), self.dilated(plane),
                self.groups(plane), self.volume(volume), self.long(many), self.tiny(plane).relu(),
                self.turned(plane), self.sparse(line), self.grown(volume), self.mean(plane),
                self.rows(wide[:, :, 1]), self.layers(wide))

def get_inputs():
    return [torch.randn(2, 6, 70), torch.randn(2, 6, 17, 18), torch.randn(2, 3, 5, 9, 10), torch.randn(1, 300, 9, 9),
            torch.randn(2, 2, 3, 7, 32)]
"""


def test_generated_convolutions_are_right(tracing, referee):
    task = plain_task(TASK, "convolutions.py")
    candidate = generate(tracing.trace(task), Schedule(), "convolutions")
    # Of the 2 x 2, 3 and 1 x 2 x 1 phases of the last three, one meets no tap.
    assert candidate.files[0].text.count("convolve(") == 9 + 4 + 2 + 2 + 2
    assert is_right(referee, task, candidate)


FILTERED = """
import torch
from torch import nn

TASK = {"axes": {"height": 14, "width": 35}, "limits": {"height": {"max": 20}, "width": {"max": 60}}}

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.padded = nn.Conv2d(9, 21, 3, padding=1)
        self.plain = nn.Conv2d(9, 5, 3, bias=False)

    def forward(self, x):
        return self.padded(x), self.plain(torch.nn.functional.pad(x, (0, 2, 2, 0)))

def get_inputs(height, width):
    return [torch.randn(2, 9, height, width)]
"""


@pytest.mark.parametrize("tile", [2, 4])
def test_convolutions_of_three_by_three_by_tiles_are_right(tracing, referee, tile):
    task = plain_task(FILTERED, "filtered.py")
    candidate = generate(tracing.trace(task), Schedule(winograd=tile), "filtered")
    assert candidate.files[0].text.count(f"filter<{tile}>(") == 2
    assert is_right(referee, task, candidate)


TURNED = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.apart = nn.ConvTranspose2d(6, 4, (3, 4), stride=(2, 3), padding=1, dilation=(3, 2), output_padding=1)
        self.together = nn.ConvTranspose1d(6, 9, 5, stride=2, groups=3)
        self.wide = nn.ConvTranspose3d(3, 6, 3, stride=2, padding=2, dilation=2, groups=3)
        self.bordered = nn.ConvTranspose2d(6, 8, 5, padding=1, dilation=2, groups=2)
        self.small = nn.ConvTranspose3d(3, 7, (5, 4, 5), padding=(0, 1, 2), bias=False)

    def forward(self, line, plane, volume):
        return (self.apart(plane), self.together(line), self.wide(volume), self.bordered(plane), self.small(volume))

def get_inputs():
    return [torch.randn(2, 6, 70), torch.randn(2, 6, 17, 18), torch.randn(2, 3, 5, 9, 10)]
"""


def test_turned_convolutions_with_groups_and_distances_are_right(tracing, referee):
    task = plain_task(TURNED, "turned.py")
    candidate = generate(tracing.trace(task), Schedule(), "turned")
    # All phases of the first two, and one of eight of the last: taps two apart reach every other place only.
    text = candidate.files[0].text
    assert text.count("convolve(") == 2 * 3 + 2 + 1
    assert text.count("spread(") == 2, "with steps of one, and mostly borders: from the inputs"
    assert is_right(referee, task, candidate)
