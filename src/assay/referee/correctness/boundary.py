"""Boundary shapes: sizes at which kernels break, drawn in secret from what a task's declared axes allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.referee.protocol.secret import Secret

_EDGES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 47, 61, 63, 64, 65, 97, 127, 128, 129, 193, 251, 255, 256,
          257, 509, 511, 512, 513, 1021, 1023, 1024, 1025, 2039, 2049, 4093, 4097)  # fmt: skip
"""One, primes, and one either side of the usual vector and tile widths."""

_TILE = 32
"""Two 16-lane vectors: what is left over fills less than one of them, or more."""
_EVERY_AXIS = ("least", "any")
"""Kinds that leave no free axis at its timed size: even a choice of one shows what works at that size alone."""
_VOLUME = 2
"""How much larger than the timed one a hidden shape may be: the oracle's float64 copies have to fit as well."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One hidden choice of axes, and what it is for: a choice of several takes one of each kind first."""

    kind: str
    axes: dict[str, int]


def boundary_shapes(declared: Mapping[str, Any], count: int, secret: Secret) -> list[Shape]:
    """Up to `count` different choices of axes, none with more than twice the timed volume.

    The least of every free axis at once; each free axis at the largest allowed size, just above its timed one, and with
    a short and a long tail, the others as timed; then edges at random.
    """
    axes, limits = dict(declared.get("axes", {})), dict(declared.get("limits", {}))
    free = [name for name in limits if name in axes]
    if not free or count <= 0:
        return []
    sizes = {name: _sizes(limits[name], axes[name]) for name in free}
    most = _VOLUME * math.prod(axes[name] for name in free)
    wanted = [Shape("least", {name: sizes[name][0] for name in free})]
    for name in free:
        wanted += _of_one_axis(name, axes, sizes, most, secret)
    wanted += [Shape("any", {name: _any(sizes[name], secret) for name in free}) for _ in range(4 * count)]
    found: list[Shape] = []
    for shape in (Shape(each.kind, axes | each.axes) for each in wanted):
        new = shape.axes != axes and all(shape.axes != other.axes for other in found)
        if new and math.prod(shape.axes[name] for name in free) <= most:
            found.append(shape)
    return found[:count]


def _of_one_axis(
    name: str, axes: Mapping[str, int], sizes: Mapping[str, list[int]], most: int, secret: Secret
) -> list[Shape]:
    """Above and largest with the others as timed where that is not too much, and with a tail of either half."""
    found = []
    larger = [size for size in sizes[name] if size > axes[name]]
    for kind, size in zip(("above", "largest"), (larger[:1] + larger[-1:]), strict=False):
        others = {other: axes[other] for other in sizes}
        if math.prod(others.values()) // axes[name] * size > most:
            others = {other: _any(sizes[other][: max(len(sizes[other]) // 3, 1)], secret) for other in sizes}
        found.append(Shape(f"{name} {kind}", {**others, name: size}))
    for kind, low, high in (("short tail", 1, _TILE // 2), ("long tail", _TILE // 2 + 1, _TILE)):
        taken = [*larger[:1], *larger[-1:], axes[name]]
        if fitting := [size for size in sizes[name] if low <= size % _TILE < high and size not in taken]:
            found.append(Shape(f"{name} {kind}", {name: _any(fitting, secret)}))
    return found


def choose(kinds: Sequence[str], count: int, secret: Secret) -> list[int]:
    """Which `count` of a pool's shapes to try: one that changes every axis, one of every other kind, then the rest.

    All in secret order.
    """
    order = secret.shuffled(len(kinds))
    every = [index for index in order if kinds[index] in _EVERY_AXIS][:1]
    order = [*every, *(index for index in order if index not in every)]
    first = [index for place, index in enumerate(order) if kinds[index] not in {kinds[i] for i in order[:place]}]
    rest = [index for index in order if index not in first]
    return [*first, *rest][:count]


def _any(sizes: list[int], secret: Secret) -> int:
    return sizes[secret.below(len(sizes))]


def _sizes(limit: Mapping[str, int], default: int) -> list[int]:
    """Allowed edge sizes of an axis, rounded up to its multiple, in increasing order."""
    step, low, high = limit.get("multiple_of", 1), limit.get("min", 1), limit.get("max", default)
    rounded = {max(-(-edge // step) * step, low) for edge in (*_EDGES, default + 1)}
    return sorted({size for size in (*rounded, high // step * step) if low <= size <= high}) or [default]
