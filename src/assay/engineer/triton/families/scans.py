"""Scans along a dimension: sums, products and extrema of what comes before, or behind.

Tiles go along the dimension with what they carry; within a tile the scan is a tree. So a sum's error grows with the
logarithm of the tile and the number of tiles.
"""

from __future__ import annotations

from assay.core.dtypes import DType
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.schedule import ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)
SCANS = {"cumsum": "sum", "cumprod": "prod", "cummax": "max", "cummin": "min"}


def scan(
    name: str, dtype: DType, shape: Sizes, dim: int, schedule: Schedule = USUAL, *, reverse: bool = False,
    exclusive: bool = False, mask: bool = False, strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = the scan of in0 along a dimension; `reverse` goes from the end, `exclusive` leaves the element itself out.

    With a `mask`, in1 (bool, in0's shape): elements that it does not hold for count as 0, or as 1 in a product. Raises
    Unsupported for a name that is not in `SCANS`, and for an exclusive or masked extremum.
    """
    if name not in SCANS:
        raise Unsupported(f"no scan {name!r}; there are {', '.join(SCANS)}")
    operation = SCANS[name]
    if operation in ("max", "min") and (exclusive or mask):
        raise Unsupported("an extremum of nothing")
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    if mask:
        kept = sketch.input(1, DType.BOOL, x.value.shape)
        x = x.where(kept, 0.0 if operation == "sum" else 1.0)
    sketch.output(x.scanned(operation, dim, dtype, reverse=reverse, exclusive=exclusive), dtype)
    return sketch.source(schedule)
