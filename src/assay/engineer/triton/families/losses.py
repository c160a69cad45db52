"""Losses of a prediction and a target of one shape, for each element, row, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.schedule import ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)


def loss(
    name: str, dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, reduction: str = "none",
    strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = the loss of the prediction in0 and the target in1.

    `reduction` is "none", "rows" (a sum for each place of all dimensions but the last), "sum", "mean" or "batchmean".
    Raises Unsupported for a loss that is not in `LOSSES`, or another reduction.
    """
    if name not in LOSSES:
        raise Unsupported(f"no loss {name!r}; there are {', '.join(LOSSES)}")
    sketch = Sketch()
    x = sketch.input(0, dtype, shape, strided=strided)
    target = sketch.input(1, dtype, x.value.shape, strided=strided)
    sketch.output(gathered_up(LOSSES[name](x, target), reduction), dtype)
    return sketch.source(schedule)


def gathered_up(x: Term, reduction: str) -> Term:
    """A loss's elements as its caller wants them: rows first, for programs that run side by side."""
    rank, shape = len(x.value.shape), x.value.shape
    if reduction == "none":
        return x
    rows = x.sum(rank - 1).squeezed(rank - 1) if rank > 1 else x
    if reduction == "rows" and rank > 1:
        return rows
    if reduction not in ("sum", "mean", "batchmean"):
        raise Unsupported(f"no reduction {reduction!r}")
    every = tuple(range(len(rows.value.shape)))
    total = rows.sum(*every).squeezed(*every)
    if reduction == "sum":
        return total
    return total.apply("div", shape[0] if reduction == "batchmean" else ix.product(shape))


def _smooth_l1(x: Term, y: Term) -> Term:
    away = (x - y).apply("abs")
    return (away * away * 0.5).where(away.is_("lt", 1.0), away - 0.5)


def _kl(x: Term, y: Term) -> Term:
    """Of log-probabilities x and probabilities y, where 0 log 0 is 0."""
    return (y * (y.log() - x)).where(y.is_("gt", 0.0), 0.0)


def _binary(x: Term, y: Term) -> Term:
    """Of logits: max(x, 0) - x y + log(1 + exp(-|x|))."""
    return x.larger(0.0) - x * y + (-x.apply("abs")).exp().apply("log1p")


LOSSES: Mapping[str, Callable[[Term, Term], Term]] = {
    "mse": lambda x, y: (x - y) * (x - y),
    "l1": lambda x, y: (x - y).apply("abs"),
    "smooth_l1": _smooth_l1,
    "huber": _smooth_l1,
    "kl_div": _kl,
    "hinge": lambda x, y: (1.0 - x * y).larger(0.0),
    "squared_hinge": lambda x, y: (1.0 - x * y).larger(0.0) * (1.0 - x * y).larger(0.0),
    "binary_cross_entropy_with_logits": _binary,
}
"""By PyTorch's names, with PyTorch's parameters; hinges want targets of 1 and -1."""
