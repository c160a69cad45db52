"""Reductions over any dimensions: the last ones along rows, others side by side with their neighbours.

A reduction over everything runs in one program after a first pass over rows, so its sum has the same bits every time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.schedule import ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)
Reduction = Callable[[Term, Sequence[int]], Term]


def reduction(
    operation: str, dtype: DType, shape: Sizes, dims: Sequence[int], schedule: Schedule = USUAL, *,
    strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = in0 reduced over dimensions, which go; places are int64, the rest has in0's type.

    NaN gives NaN as in PyTorch (argmax and argmin excepted: without a NaN only). Raises Unsupported for an operation
    that is not in `REDUCTIONS`, or places over several dimensions.
    """
    if operation not in REDUCTIONS:
        raise Unsupported(f"no reduction {operation!r}; there are {', '.join(REDUCTIONS)}")
    if operation in ("argmax", "argmin") and len(dims) != 1:
        raise Unsupported("places over several dimensions")
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    places = tuple(d % len(shape) for d in dims)
    found = REDUCTIONS[operation](x, places)
    sketch.output(found.squeezed(*places), DType.INT64 if operation.startswith("arg") else dtype)
    return sketch.source(schedule)


def variance(x: Term, dims: Sequence[int], correction: int = 1) -> Term:
    """In two passes, corrected for the rounding of the mean (Chan, Golub and LeVeque 1983, equation 1.7)."""
    count = ix.product(x.value.shape[d] for d in dims)
    away = x - x.mean(*dims)
    left = away.sum(*dims)
    return ((away * away).sum(*dims) - (left * left).apply("div", count)).apply("div", count - correction)


def logsumexp(x: Term, dims: Sequence[int]) -> Term:
    """By the largest element, which is left out where it is infinite."""
    largest = x.max(*dims)
    kept = largest.where(largest.apply("isfinite", dtype=DType.BOOL), 0.0)
    return (x - kept).exp().sum(*dims).log() + kept


def _place(operation: str) -> Reduction:
    """The first place that has the extreme value."""

    def found(x: Term, dims: Sequence[int]) -> Term:
        best = x.reduced(operation, dims)
        count = x.value.shape[dims[0]]
        beyond = x.sketch.filled(x, 0).to(DType.INT64)._term(count)
        return x.sketch.places(x, dims[0]).where(x.is_("eq", best), beyond).reduced("min", dims)

    return found


REDUCTIONS: Mapping[str, Reduction] = {
    "sum": lambda x, dims: x.sum(*dims),
    "mean": lambda x, dims: x.mean(*dims),
    "max": lambda x, dims: x.max(*dims),
    "min": lambda x, dims: x.reduced("min", dims),
    "prod": lambda x, dims: x.reduced("prod", dims),
    "argmax": _place("max"),
    "argmin": _place("min"),
    "var": variance,
    "std": lambda x, dims: variance(x, dims).apply("sqrt"),
    "logsumexp": logsumexp,
    "norm": lambda x, dims: (x * x).sum(*dims).apply("sqrt"),
}
"""By PyTorch's names, with PyTorch's defaults."""
