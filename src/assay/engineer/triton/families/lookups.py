"""Rows that are looked up, and rows that are added where data says.

A sum into rows is deterministic: every target gathers its sources in order (see scatters.py). Places outside of a table
are the caller's fault and read whatever lies there, as in the CPU's kernels.
"""

from __future__ import annotations

from assay.core.dtypes import DType
from assay.engineer.codegen.program import Place
from assay.engineer.triton.schedule import MAPS, ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch
from assay.engineer.triton.source import DeviceSource

SPACE = space(MAPS)
SUM_SPACE = space(ROWS)


def embedding(
    dtype: DType, table: Sizes, schedule: Schedule = USUAL, *, scale: float = 1.0, ids: DType = DType.INT64
) -> DeviceSource:
    """out0 [n, width] = scale * weight0 [rows, width] at the rows in0 [n]."""
    sketch = Sketch()
    rows = sketch.input(0, ids, (None,))
    found = sketch.input(0, dtype, table, place=Place.WEIGHT)
    made = found.looked_up(0, rows.unsqueezed(1).spread((rows.value.shape[0], found.value.shape[1])))
    sketch.output(made * scale if scale != 1.0 else made, dtype)
    return sketch.source(schedule)


def gather(dtype: DType, shape: Sizes, dim: int, schedule: Schedule = USUAL) -> DeviceSource:
    """out0 = in0's elements at the places in1 (int64) along a dimension, both of one rank; out0 has in1's shape."""
    sketch = Sketch()
    x = sketch.input(0, dtype, shape)
    places = sketch.input(1, DType.INT64, (None,) * len(shape))
    sketch.output(x.looked_up(dim % len(shape), places), dtype)
    return sketch.source(schedule)


def embedding_bag(
    dtype: DType, table: Sizes, bag: int | None, schedule: Schedule = USUAL, *, mean: bool = False,
    weighted: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 [bags, width] = sums of weight0's rows at in0 [bags, bag], times in1 [bags, bag] where `weighted`.

    Bags have one size; `mean` divides by it.
    """
    sketch = Sketch()
    ids = sketch.input(0, DType.INT64, (None, bag))
    found = sketch.input(0, dtype, table, place=Place.WEIGHT)
    bags, size = ids.value.shape
    rows = found.unsqueezed(0).looked_up(1, ids.unsqueezed(2).spread((bags, size, found.value.shape[1])))
    if weighted:
        rows = rows * sketch.input(1, dtype, (bags, size)).unsqueezed(2)
    total = rows.mean(1) if mean else rows.sum(1)
    sketch.output(total.squeezed(1), dtype)
    return sketch.source(schedule)


def index_add(dtype: DType, base: Sizes, schedule: Schedule = USUAL) -> DeviceSource:
    """out0 = in0 [rows, width] plus the rows of in2 [n, width] at the rows in1 [n], in order."""
    sketch = Sketch()
    onto = sketch.input(0, dtype, base)
    rows = sketch.input(1, DType.INT64, (None,))
    source = sketch.input(2, dtype, (rows.value.shape[0], onto.value.shape[1]))
    sketch.output(sketch.scattered(onto, 0, rows, source), dtype)
    return sketch.source(schedule)
