"""A network of 19 parameters that computes the Game of Life: pruned from 865, then rounded to two decimals.

It was found by `python -m benchmarks.life prune` (docs/life-results.md) and takes the 3 x 3 cells around a cell.

    assay export examples/life.py --c99 --onnx --binary-inputs --argmax -o life
"""

import torch
from torch import nn

VALUES = {
    "0.weight": [[[[0.73, 0.73, 0.73], [0.73, 0.72, 0.73], [0.73, 0.73, 0.73]]],
                 [[[0, 0, 0], [0, 1.65, 0], [0, 0, 0]]]],
    "0.bias": [-1.45, 0],
    "2.weight": [[[[3.80]], [[-1.65]]], [[[-4.26]], [[0]]]],
    "2.bias": [-2.86, 3.19],
    "4.weight": [[[[-6.09]], [[-5.11]]]],
    "4.bias": [8.11],
}  # fmt: skip


def make_model() -> nn.Module:
    """Cells [n, 1, 3, 3] of zeros and ones to the probability [n, 1, 1, 1] that the middle one lives next."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1), nn.Sigmoid()
    )
    model.load_state_dict({name: torch.tensor(values, dtype=torch.float32) for name, values in VALUES.items()})
    return model


def example_inputs() -> torch.Tensor:
    """All 512 neighbourhoods."""
    bits = torch.arange(512)[:, None] >> torch.arange(9) & 1
    return bits.float().view(512, 1, 3, 3)
