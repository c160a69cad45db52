"""An integer network in numpy, bit for bit what the C program computes; in int64, checked for 32 bits."""

from __future__ import annotations

import numpy as np

from assay.errors import InternalError
from assay.export.network import Add, Array, Conv, Layer, Pool, PoolKind, Softmax
from assay.export.quantise import FRACTION_BITS, SUM_LIMIT, IntegerNetwork, Rescale, Step
from assay.export.reference import convolve, pool, windows


def compute_integers(integer: IntegerNetwork, inputs: Array) -> Array:
    """Outputs [n, c, h, w] for quantised inputs [n, ...], both int64."""
    values = [inputs.astype(np.int64).reshape(-1, *integer.network.takes)]
    for layer, step in zip(integer.network.layers, integer.steps, strict=True):
        sources = [values[source].reshape(-1, *layer.takes) for source in layer.sources]
        values.append(
            _softmax(sources[0], step) if isinstance(layer.operation, Softmax) else _apply(layer, step, sources)
        )
    return values[-1]


def _apply(layer: Layer, step: Step, sources: list[Array]) -> Array:
    sums = _sums(layer, step, sources)
    if np.abs(sums).max(initial=0) >= SUM_LIMIT:
        raise InternalError("a sum of an integer network leaves its range", value=str(np.abs(sums).max()))
    if step.rescale is not None:
        sums = scale(sums, step.rescale)
    if step.slope is not None:
        sums = np.where(sums < 0, scale(sums, step.slope), sums)
    if step.table is not None:
        return np.asarray(step.table[np.clip(sums, -128, 127) + 128])
    return np.clip(sums, step.least, step.out.element.most)


def _sums(layer: Layer, step: Step, sources: list[Array]) -> Array:
    match layer.operation:
        case Conv() as conv:
            return np.asarray(convolve(sources[0], conv, conv.weight) + conv.bias[:, None, None])
        case Pool(kind=PoolKind.MAX, window=window):
            return np.asarray(pool(sources[0], PoolKind.MAX, window))
        case Pool(window=window):
            return np.asarray(windows(sources[0], window).sum((2, 3)))
        case Add():
            return np.asarray(sources[0] * step.sources[0] + sources[1] * step.sources[1])
        case Softmax():
            raise InternalError("a softmax has no sum")


def scale(sums: Array, by: Rescale) -> Array:
    """As `quantise` defines it; numpy's shifts round down, for negative numbers too."""
    multiplier, shift = by.multiplier[:, None, None], by.shift[:, None, None]
    product = (sums * multiplier) >> FRACTION_BITS
    return np.asarray((product + ((1 << shift) >> 1)) >> shift)


def _softmax(x: Array, step: Step) -> Array:
    assert step.table is not None
    exponentials = step.table[x.max(1, keepdims=True) - x]
    total = exponentials.sum(1, keepdims=True)
    return np.asarray((exponentials * step.out.element.most + total // 2) // total)
