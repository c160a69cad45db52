"""Softmax, its logarithm, and the cross entropy of class numbers, along any dimension."""

from __future__ import annotations

from assay.core.dtypes import DType
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.families.losses import gathered_up
from assay.engineer.triton.schedule import ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)


def softmax(
    dtype: DType, shape: Sizes, dim: int, schedule: Schedule = USUAL, *, log: bool = False, scale: float = 1.0,
    mask: bool = False, strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = softmax of scale * in0 along a dimension, or its logarithm.

    With a `mask`, in1 (bool, in0's shape): what it holds for counts as -infinity; a row of nothing else becomes NaN.
    """
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    x = x * scale if scale != 1.0 else x
    if mask:
        hidden = sketch.input(1, DType.BOOL, x.value.shape)
        x = sketch.filled(x, float("-inf")).where(hidden, x)
    dim %= len(shape)
    sketch.output(log_softmax_of(x, dim) if log else softmax_of(x, dim), dtype)
    return sketch.source(schedule)


def cross_entropy(
    dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, smoothing: float = 0.0, ignored: int = -100,
    reduction: str = "none",
) -> DeviceSource:  # fmt: skip
    """out0 = the cross entropy of in0 [rows, classes] and the classes in1 [rows] (int64).

    `smoothing` spreads that part of the target over all classes; rows of class `ignored` are 0 and do not count. The
    reduction is "none", "sum" or "mean", the last one NaN where every row is ignored. Raises Unsupported for another.
    """
    sketch = Sketch()
    x = sketch.input(0, dtype, shape)
    rows, classes = x.value.shape
    wanted = sketch.input(1, DType.INT64, (rows,)).unsqueezed(1)
    counts = wanted.is_("ne", ignored)
    logs = log_softmax_of(x, 1)
    loss = -logs.looked_up(1, wanted.where(counts, 0))
    if smoothing:
        loss = loss * (1 - smoothing) - (logs.sum(1) * smoothing).apply("div", classes)
    loss = loss.where(counts, 0.0)
    if reduction == "mean":
        loss = loss.sum(0, 1) / counts.to(DType.FLOAT32).sum(0, 1)
        sketch.output(loss.squeezed(0, 1), dtype)
    elif reduction in ("none", "sum"):
        sketch.output(gathered_up(loss.squeezed(1), reduction), dtype)
    else:
        raise Unsupported(f"no reduction {reduction!r}")
    return sketch.source(schedule)


def softmax_of(x: Term, dim: int) -> Term:
    """exp(x - max) over its sum."""
    e = (x - x.max(dim)).exp()
    return e / e.sum(dim)


def log_softmax_of(x: Term, dim: int) -> Term:
    """x - max - log(sum(exp(x - max)))."""
    away = x - x.max(dim)
    return away - away.exp().sum(dim).log()
