"""How far rounding can move a network's logit, whatever the order in which sums are added.

A sum of k products errs by at most gamma(k) = k u / (1 - k u) times the sum of their absolute values, u being the unit
roundoff (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); what went wrong before is weighed with
the absolute weights. A ReLU makes no error larger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.life.network import LifeNetwork, parameters

UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
Values = NDArray[np.float64]


def rounding_bound(network: LifeNetwork, element_type: str) -> float:
    """The most that a logit can err by on zeros and ones, computed in this type from the network's own parameters.

    Overflow aside, and with underflow to zero or not: both are far from what such networks compute.
    """
    unit, layers = UNIT_ROUNDOFF[element_type], parameters(network)
    size, error = np.ones(1), np.zeros(1)
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        by_channel = np.abs(weight).sum((2, 3))
        terms = np.count_nonzero(weight, axis=(1, 2, 3)) + 1.0
        gamma = terms * unit / (1 - terms * unit)
        error = by_channel @ error + gamma * (by_channel @ (size + error) + np.abs(bias))
        size = by_channel @ size + np.abs(bias)
    return float(error[0])
