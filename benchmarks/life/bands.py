"""A proof for any number of steps, by composition: what a cell's channels can be between steps stays in two boxes.

After a step, all channels that the next one reads depend on 512 patches. Where they lie in one box for cells that will
be dead and in another for cells that will be alive, the next step need only be tried on its 512 patches, each cell
standing for its whole box, by interval arithmetic. If at the end every logit is above 0 where it should be and below 0
elsewhere, no board of any size is predicted wrong. The converse does not hold: an exact network whose channels carry
more than the next generation is not proved so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.life.network import LifeNetwork, parameters
from benchmarks.life.rounding import UNIT_ROUNDOFF
from benchmarks.life.rules import TRUTH, all_patches

Values = NDArray[np.float64]
Interval = tuple[Values, Values]
"""Lower and upper limits, a channel a column."""


@dataclass(frozen=True, slots=True)
class Composition:
    """What interval arithmetic gives.

    Attributes:
        holds: every logit has the right sign, so that the network is exact on every board.
        margin: the smallest limit of a logit towards 0, negative where its sign is open.
        spreads: after each step but the last, the widest box over the largest distance between a channel's two boxes,
            of the channels that the next step reads; infinite where none tells dead from alive.
    """

    holds: bool
    margin: float
    spreads: tuple[float, ...]


def prove(network: LifeNetwork) -> Composition:
    """Try to prove a network of any number of steps exact. Limits are widened by what float64 can round."""
    layers = parameters(network)
    boxes: tuple[Values, Values] = (np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]))
    spreads = []
    for number in range(network.n):
        conv, conv_bias, mix, mix_bias = layers[4 * number : 4 * number + 4]
        hidden = _relu(_affine(conv.reshape(conv.shape[0], -1), conv_bias, _windows(boxes)))
        channels = _relu(_affine(mix[:, :, 0, 0], mix_bias, hidden))
        if number < network.n - 1:
            read = np.abs(layers[4 * number + 4]).sum((0, 2, 3)) > 0
            boxes = _boxes(channels)
            spreads.append(_spread(boxes, read))
    low, high = _affine(layers[-2][:, :, 0, 0], layers[-1], channels)
    margin = float(np.where(TRUTH == 1, low[:, 0], -high[:, 0]).min())
    return Composition(margin > 0, margin, tuple(spreads))


def _windows(boxes: Interval) -> Interval:
    """What the 3x3 sees on each of the 512 patches: [512, 9 channels], in a convolution's order."""
    cells = all_patches().reshape(512, 9)
    low, high = (limit[cells].transpose(0, 2, 1).reshape(512, -1) for limit in boxes)
    return low, high


def _affine(weight: Values, bias: Values, x: Interval) -> Interval:
    """Limits of [rows, in] times [out, in], plus a bias, with room for the rounding of this computation itself."""
    up, down = np.maximum(weight, 0).T, np.minimum(weight, 0).T
    size = np.maximum(np.abs(x[0]), np.abs(x[1])) @ np.abs(weight).T + np.abs(bias)
    room = 2 * (weight.shape[1] + 2) * UNIT_ROUNDOFF["float64"] * size
    return x[0] @ up + x[1] @ down + bias - room, x[1] @ up + x[0] @ down + bias + room


def _relu(x: Interval) -> Interval:
    return np.maximum(x[0], 0), np.maximum(x[1], 0)


def _boxes(channels: Interval) -> Interval:
    """[2, channels]: the box of cells that will be dead, and of those that will be alive."""
    dead, alive = TRUTH == 0, TRUTH == 1
    return (
        np.stack([channels[0][dead].min(0), channels[0][alive].min(0)]),
        np.stack([channels[1][dead].max(0), channels[1][alive].max(0)]),
    )


def _spread(boxes: Interval, read: NDArray[np.bool_]) -> float:
    """The widest box over the largest distance, constants being channels too."""
    middle = (boxes[0] + boxes[1]) / 2
    width = float((boxes[1] - boxes[0])[:, read].max(initial=0.0))
    apart = float(np.abs(middle[1] - middle[0])[read].max(initial=0.0))
    return width / apart if apart else math.inf
