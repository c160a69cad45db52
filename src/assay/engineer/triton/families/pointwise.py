"""Fused maps with broadcasting, and the usual activations with their derivatives.

A map reads each operand once and writes once, so it is bound by memory: what is tuned is how many bytes are in flight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from assay.core.dtypes import DType
from assay.engineer.triton.schedule import MAPS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(MAPS)
Activation = Callable[[Term], Term]

_ROOT = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_TANH = math.sqrt(2 / math.pi)


def pointwise(
    formula: Callable[..., Term], shapes: Sequence[Sizes], dtypes: Sequence[DType], out: DType,
    schedule: Schedule = USUAL, *, strided: bool = False,
) -> DeviceSource:  # fmt: skip
    """out0 = formula(in0, in1, ...), tensors of one rank; a size of 1 is repeated, sizes of None are those of in0.

    `strided` operands may lie anywhere, rows excepted. Raises Unsupported for sizes that do not broadcast.
    """
    sketch = Sketch()
    terms: list[Term] = []
    for index, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
        whole = terms[0].value.shape if terms else shape
        sizes = [whole[d] if n is None and terms else n for d, n in enumerate(shape)]
        terms.append(sketch.input(index, dtype, sizes, strided=strided))
    sketch.output(formula(*terms), out)
    return sketch.source(schedule)


def sigmoid(x: Term) -> Term:
    """1 / (1 + exp(-x)): where the exponential overflows the quotient is 0, as it should be."""
    return ((-x).exp() + 1.0).apply("reciprocal")


def softplus(x: Term) -> Term:
    """log(1 + exp(x)), and x itself beyond 20, PyTorch's threshold."""
    return x.where(x.is_("gt", 20.0), x.exp().apply("log1p"))


def gelu(x: Term) -> Term:
    """x times the normal distribution's function (Hendrycks and Gimpel 2016)."""
    return x * 0.5 * ((x * _ROOT).apply("erf") + 1.0)


def gelu_tanh(x: Term) -> Term:
    """Its approximation by tanh (the same, section 2)."""
    return x * 0.5 * (((x + x * x * x * 0.044715) * _TANH).apply("tanh") + 1.0)


def hardswish(x: Term) -> Term:
    """x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""
    return x * (x + 3.0).larger(0.0).apply("minimum", 6.0) / 6.0


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": lambda x: x.larger(0.0),
    "leaky_relu": lambda x: x.where(x.is_("gt", 0.0), x * 0.01),
    "sigmoid": sigmoid,
    "tanh": lambda x: x.apply("tanh"),
    "silu": lambda x: x / ((-x).exp() + 1.0),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "softplus": softplus,
    "mish": lambda x: x * softplus(x).apply("tanh"),
    "hardswish": hardswish,
    "elu": lambda x: x.where(x.is_("gt", 0.0), x.apply("expm1")),
    "square_relu": lambda x: x.larger(0.0) * x.larger(0.0),
}
"""By PyTorch's names, with PyTorch's parameters."""


def _one(x: Term) -> Term:
    return x.sketch.filled(x, 1.0)


def _gelu_slope(x: Term) -> Term:
    return ((x * _ROOT).apply("erf") + 1.0) * 0.5 + x * (x * x * -0.5).exp() * _DENSITY


def _silu_slope(x: Term) -> Term:
    s = sigmoid(x)
    return s * (x * (1.0 - s) + 1.0)


def _tanh_slope(x: Term) -> Term:
    t = x.apply("tanh")
    return 1.0 - t * t


SLOPES: Mapping[str, Activation] = {
    "relu": lambda x: _one(x).where(x.is_("gt", 0.0), 0.0),
    "leaky_relu": lambda x: _one(x).where(x.is_("gt", 0.0), 0.01),
    "sigmoid": lambda x: sigmoid(x) * (1.0 - sigmoid(x)),
    "tanh": _tanh_slope,
    "silu": _silu_slope,
    "gelu": _gelu_slope,
    "softplus": lambda x: _one(x).where(x.is_("gt", 20.0), sigmoid(x)),
    "elu": lambda x: _one(x).where(x.is_("gt", 0.0), x.exp()),
}
"""The derivatives, as PyTorch has them at the corners."""
