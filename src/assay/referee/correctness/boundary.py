"""Boundary shapes: sizes at which kernels break, drawn in secret from what a task's declared axes allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from assay.referee.protocol.secret import Secret

_EDGES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 47, 61, 63, 64, 65, 97, 127, 128, 129, 193, 251, 255, 256,
          257, 509, 511, 512, 513, 1021, 1023, 1024, 1025, 2039, 2049, 4093, 4097)  # fmt: skip
"""One, primes, and one either side of the usual vector and tile widths."""

_VOLUME = 2
"""How much larger than the timed one a hidden shape may be: the oracle's float64 copies have to fit as well."""


def boundary_axes(declared: Mapping[str, Any], count: int, secret: Secret) -> list[dict[str, int]]:
    """Up to `count` different choices of axes, none with more than twice the timed volume.

    The least of every free axis at once; each free axis at the largest allowed size and just above its timed one, the
    others small; each at one odd size with the others as timed (tails of long rows); then edges at random.
    """
    axes, limits = dict(declared.get("axes", {})), dict(declared.get("limits", {}))
    free = [name for name in limits if name in axes]
    if not free or count <= 0:
        return []
    sizes = {name: _sizes(limits[name], axes[name]) for name in free}
    most = _VOLUME * math.prod(axes[name] for name in free)
    wanted = [{name: sizes[name][0] for name in free}]
    for name in free:
        larger = [size for size in sizes[name] if size > axes[name]]
        small = {other: _any(sizes[other][: max(len(sizes[other]) // 3, 1)], secret) for other in free}
        wanted += [{**small, name: size} for size in (larger[:1] + larger[-1:])]
        wanted.append({name: _any(sizes[name], secret)})
    wanted += [{name: _any(sizes[name], secret) for name in free} for _ in range(4 * count)]
    found: list[dict[str, int]] = []
    for choice in (axes | each for each in wanted):
        if choice != axes and choice not in found and math.prod(choice[name] for name in free) <= most:
            found.append(choice)
    return found[:count]


def _any(sizes: list[int], secret: Secret) -> int:
    return sizes[secret.below(len(sizes))]


def _sizes(limit: Mapping[str, int], default: int) -> list[int]:
    """Allowed edge sizes of an axis, rounded up to its multiple, in increasing order."""
    step, low, high = limit.get("multiple_of", 1), limit.get("min", 1), limit.get("max", default)
    rounded = {max(-(-edge // step) * step, low) for edge in (*_EDGES, default + 1)}
    return sorted({size for size in (*rounded, high // step * step) if low <= size <= high}) or [default]
