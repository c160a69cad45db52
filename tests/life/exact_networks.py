"""Networks written down by hand, whose truth is known without training."""

import numpy as np

from benchmarks.life.network import LifeNetwork, parameters, with_parameters


def exact(n, m=1):
    """Right everywhere, with logits of 1 and -1: with s twice the neighbours plus the cell, a cell lives after a step
    where 5 <= s <= 7, so that relu(1 - relu(5 - s) - relu(s - 7)) is the next generation."""
    values = [np.zeros_like(each) for each in parameters(LifeNetwork(n, m))]
    window = np.full((3, 3), 2.0)
    window[1, 1] = 1.0
    for conv, conv_bias, mix, mix_bias in (values[4 * number : 4 * number + 4] for number in range(n)):
        conv[0, 0], conv_bias[0] = -window, 5.0
        conv[1, 0], conv_bias[1] = window, -7.0
        mix[0, :2, 0, 0], mix_bias[0] = -1.0, 1.0
    values[-2][0, 0], values[-1][0] = 2.0, -1.0
    return with_parameters(n, m, values)


def wrong_on_one(patch):
    """Two steps, wrong on patch 0 (nothing alive) or 2^25 - 1 (everything) alone: channel 1 after the first step says
    that all nine cells are as in it, hidden channel 2 of the second that all nine windows are."""
    values = parameters(exact(2, m=2))
    sign = -1.0 if patch == 0 else 1.0
    values[0][2, 0], values[1][2] = sign, 1.0 if patch == 0 else -8.0
    values[2][1, 2] = 1.0
    values[4][2, 1], values[5][2] = 1.0, -8.0
    values[6][1, 2] = 1.0
    values[8][0, 1] = 10.0
    return with_parameters(2, 2, values)
