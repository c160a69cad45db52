"""Normalisations: layer, RMS, group, instance, and batch with given statistics.

Means and variances are taken in two passes, the second one about the mean, so rows far from zero keep their digits; a
row that is held in registers is read once all the same.
"""

from __future__ import annotations

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.program import Place
from assay.engineer.triton.families.reductions import variance
from assay.engineer.triton.schedule import MAPS, ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)
BATCH_SPACE = space(MAPS)


def layer_norm(
    dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-5, weight: bool = True,
    bias: bool = True, residual: bool = False, strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = the last dimension of in0 (plus in1, the `residual`) normalised, times weight0 plus weight1, of its size.

    Without a weight the bias is weight0.
    """
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    if residual:
        x = x + sketch.input(1, dtype, x.value.shape, strided=strided)
    last = len(shape) - 1
    made = normalised(x, (last,), eps)
    sketch.output(_scaled(sketch, made, last, dtype, weight, bias), dtype)
    return sketch.source(schedule)


def rms_norm(
    dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-6, weight: bool = True,
    strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = the last dimension of in0 over its root mean square (Zhang and Sennrich 2019), times weight0."""
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    last = len(shape) - 1
    made = x * ((x * x).mean(last) + eps).apply("rsqrt")
    sketch.output(_scaled(sketch, made, last, dtype, weight, False), dtype)
    return sketch.source(schedule)


def group_norm(
    dtype: DType, channels: int, spatial: Sizes, groups: int, schedule: Schedule = USUAL, *, eps: float = 1e-5,
    weight: bool = True,
) -> DeviceSource:  # fmt: skip
    """out0 = in0 [batch, channels, *spatial] normalised over each group of channels (Wu and He 2018).

    weight0 and weight1 [channels] scale and shift. As many groups as channels are an instance norm.
    """
    sketch = Sketch()
    x = sketch.input(0, dtype, (None, channels, *spatial))
    batch, _, *sizes = x.value.shape
    split = x.reshaped((batch, groups, channels // groups, *sizes))
    made = normalised(split, tuple(range(2, len(sizes) + 3)), eps).reshaped((batch, channels, *sizes))
    sketch.output(_scaled(sketch, made, 1, dtype, weight, weight), dtype)
    return sketch.source(schedule)


def instance_norm(
    dtype: DType, channels: int, spatial: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-5,
    weight: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = in0 [batch, channels, *spatial] normalised over each plane (Ulyanov et al. 2016)."""
    sketch = Sketch()
    x = sketch.input(0, dtype, (None, channels, *spatial))
    made = normalised(x, tuple(range(2, len(spatial) + 2)), eps)
    sketch.output(_scaled(sketch, made, 1, dtype, weight, weight), dtype)
    return sketch.source(schedule)


def batch_norm(
    dtype: DType, channels: int, spatial: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-5
) -> DeviceSource:
    """out0 = in0 [batch, channels, *spatial] by given statistics: weight0..3 are weight, bias, mean and variance."""
    sketch = Sketch()
    x = sketch.input(0, dtype, (None, channels, *spatial))
    weight, bias, mean, var = (_channel(sketch, i, dtype, channels, len(spatial) + 2, 1) for i in range(4))
    sketch.output((x - mean) * (var + eps).apply("rsqrt") * weight + bias, dtype)
    return sketch.source(schedule)


def normalised(x: Term, dims: tuple[int, ...], eps: float) -> Term:
    """(x - mean) / sqrt(variance + eps), the variance of all elements and not of a sample."""
    return (x - x.mean(*dims)) * (variance(x, dims, 0) + eps).apply("rsqrt")


def _scaled(sketch: Sketch, made: Term, dim: int, dtype: DType, weight: bool, bias: bool) -> Term:
    size, rank = made.value.shape[dim], len(made.value.shape)
    if weight:
        made = made * _channel(sketch, 0, dtype, size, rank, dim)
    return made + _channel(sketch, int(weight), dtype, size, rank, dim) if bias else made


def _channel(sketch: Sketch, index: int, dtype: DType, size: Size, rank: int, dim: int) -> Term:
    """A weight of one dimension, along `dim` of `rank`."""
    one = sketch.input(index, dtype, (sympy.sympify(size),), place=Place.WEIGHT)
    return one.unsqueezed(*(d for d in range(rank) if d != dim))
