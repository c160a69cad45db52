"""Attention over heads, causal or not, with keys and values that several heads of queries may share."""

from __future__ import annotations

import math

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import Size
from assay.engineer.triton.families.softmax import softmax_of
from assay.engineer.triton.operands import BATCH, StridedProduct
from assay.engineer.triton.products import Precision
from assay.engineer.triton.schedule import PRODUCTS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sketch
from assay.engineer.triton.source import DeviceSource

SPACE = space(("m", "n", "product_warps", "stages"))
assert set(SPACE) < set(PRODUCTS)


def attention(
    dtype: DType, width: int, schedule: Schedule = USUAL, precision: Precision = Precision.IEEE, *,
    causal: bool = False, scale: float | None = None, strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 [batch, heads, queries, width] = softmax(scale * in0 in1^T) in2, in0 [batch, heads, queries, width].

    in1 and in2 are [batch, groups, keys, width]; heads is a multiple of groups, neighbouring heads share one. The scale
    is 1 / sqrt(width) by default. `causal`: query i sees keys up to i. `strided`: rows may lie apart.
    """
    sketch = Sketch()
    for index in range(3):
        sketch.input(index, dtype, (None, None, None, width), strided=strided)
    q, k, v = (sketch.lowering.program.buffers[f"in{i}"] for i in range(3))
    batch, heads, queries, _ = q.shape
    groups, keys = k.shape[1], k.shape[2]
    sizes = (sympy.expand(batch * heads), queries, keys, sympy.Integer(width))
    at = [_at(buffer.stride, heads, each) for buffer, each in ((q, heads), (k, groups), (v, groups))]
    one = sympy.Integer(1)
    rows = [(buffer.stride[2], one) for buffer in (q, k, v)]
    first = StridedProduct("", "in0", "in1", *sizes, False, True, at[0], rows[0], at[1], rows[1][::-1])
    scores = sketch.strided_product(first)
    scores = scores * (1 / math.sqrt(width) if scale is None else scale)
    if causal:
        ahead = sketch.places(scores, 2) - sketch.places(scores, 1)
        scores = sketch.filled(scores, float("-inf")).where(ahead.is_("ge", 1), scores)
    weights = sketch.stored(softmax_of(scores, 2))
    sizes, place = (sizes[0], queries, sizes[3], keys), BATCH * queries * keys
    second = StridedProduct("", weights, "in2", *sizes, False, False, place, (keys, one), at[2], rows[2])
    found = sketch.strided_product(second)
    sketch.output(found.reshaped((batch, heads, queries, width)), dtype)
    return sketch.source(schedule, precision)


def _at(stride: tuple[Size, ...], heads: Size, groups: Size) -> Size:
    """Where a batch and head's matrix begins."""
    head, shared = ix.Modulo(BATCH, heads), ix.floor_div(heads, groups) if groups != heads else sympy.Integer(1)
    return ix.FloorDiv(BATCH, heads) * stride[0] + (head if shared == 1 else ix.FloorDiv(head, shared)) * stride[1]
