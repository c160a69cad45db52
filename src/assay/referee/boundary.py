"""Boundary shapes: sizes at which kernels break, drawn in secret from what a task's declared axes allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from assay.referee.secret import Secret

_EDGES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 47, 61, 63, 64, 65, 97, 127, 128, 129, 193, 251, 255, 256,
          257, 509, 511, 512, 513, 1021, 1023, 1024, 1025, 2039, 2049, 4093, 4097)  # fmt: skip
"""One, primes, and one either side of the usual vector and tile widths."""


def boundary_axes(declared: Mapping[str, Any], count: int, secret: Secret) -> list[dict[str, int]]:
    """Up to `count` different choices of axes, none larger in product than the timed one.

    The first choice sets every free axis to its least size; then each draw moves one free axis to an edge of the list
    and the others anywhere allowed.
    """
    axes, limits = dict(declared.get("axes", {})), dict(declared.get("limits", {}))
    free = [name for name in limits if name in axes]
    if not free or count <= 0:
        return []
    volume = math.prod(axes[name] for name in free)
    found = [axes | {name: _sizes(limits[name], axes[name])[0] for name in free}]
    for attempt in range(20 * count):
        if len(found) >= count:
            break
        choice = dict(axes)
        for name in free:
            sizes = _sizes(limits[name], axes[name])
            choice[name] = sizes[secret.below(len(sizes))]
        if attempt % 3 == 0:  # one odd axis alone, the others as timed: tails of long rows
            keep = free[secret.below(len(free))]
            choice |= {name: axes[name] for name in free if name != keep}
        if math.prod(choice[name] for name in free) <= volume and choice not in found and choice != axes:
            found.append(choice)
    return found[:count]


def _sizes(limit: Mapping[str, int], default: int) -> list[int]:
    """Allowed edge sizes of an axis, rounded up to its multiple, in increasing order."""
    step, low, high = limit.get("multiple_of", 1), limit.get("min", 1), limit.get("max", default)
    rounded = {max(-(-edge // step) * step, low) for edge in _EDGES}
    return sorted(size for size in rounded if low <= size <= high) or [default]
