"""Gradients of norms, softmax, cross entropy and activations.

What a forward pass would have saved is computed again from its inputs: a mean over a row that is read anyway costs
nothing, and saving it costs memory. Sums over rows for weights are a second kernel, without atomics.
"""

from __future__ import annotations

from assay.core.dtypes import DType
from assay.engineer.codegen.program import Place, Unsupported
from assay.engineer.triton.families.pointwise import SLOPES, pointwise
from assay.engineer.triton.families.reductions import variance
from assay.engineer.triton.families.softmax import softmax_of
from assay.engineer.triton.schedule import ROWS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sizes, Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(ROWS)


def layer_norm_backward(dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-5) -> DeviceSource:
    """out0..2 = the gradients of x, weight and bias, from in0 = dy [rows, n], in1 = x and weight0 = weight [n].

    With x^ the normalised row and g = dy weight: dx = (g - mean(g) - x^ mean(g x^)) / sqrt(variance + eps).
    """
    sketch = Sketch()
    dy = sketch.input(0, dtype, shape)
    x = sketch.input(1, dtype, dy.value.shape)
    weight = sketch.input(0, dtype, dy.value.shape[1:], place=Place.WEIGHT).unsqueezed(0)
    scale = (variance(x, (1,), 0) + eps).apply("rsqrt")
    normal, g = (x - x.mean(1)) * scale, dy * weight
    sketch.output((g - g.mean(1) - normal * (g * normal).mean(1)) * scale, dtype)
    sketch.output((dy * normal).sum(0).squeezed(0), dtype)
    sketch.output(dy.sum(0).squeezed(0), dtype)
    return sketch.source(schedule)


def rms_norm_backward(dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, eps: float = 1e-6) -> DeviceSource:
    """out0, out1 = the gradients of x and weight, from in0 = dy [rows, n], in1 = x and weight0 = weight [n]."""
    sketch = Sketch()
    dy = sketch.input(0, dtype, shape)
    x = sketch.input(1, dtype, dy.value.shape)
    weight = sketch.input(0, dtype, dy.value.shape[1:], place=Place.WEIGHT).unsqueezed(0)
    scale = ((x * x).mean(1) + eps).apply("rsqrt")
    normal, g = x * scale, dy * weight
    sketch.output((g - normal * (g * normal).mean(1)) * scale, dtype)
    sketch.output((dy * normal).sum(0).squeezed(0), dtype)
    return sketch.source(schedule)


def softmax_backward(
    dtype: DType, shape: Sizes, dim: int, schedule: Schedule = USUAL, *, log: bool = False
) -> DeviceSource:
    """out0 = the gradient of x from in0 = dy and in1 = the result y: y (dy - sum(y dy)), or dy - exp(y) sum(dy)."""
    sketch = Sketch()
    dy = sketch.input(0, dtype, shape)
    y = sketch.input(1, dtype, dy.value.shape)
    dim %= len(shape)
    found = dy - y.exp() * dy.sum(dim) if log else y * (dy - (y * dy).sum(dim))
    sketch.output(found, dtype)
    return sketch.source(schedule)


def cross_entropy_backward(
    dtype: DType, shape: Sizes, schedule: Schedule = USUAL, *, ignored: int = -100
) -> DeviceSource:
    """out0 [rows, classes] = the gradient of the logits in1, from in0 = dy [rows] and classes in2 [rows] (int64)."""
    sketch = Sketch()
    x = sketch.input(1, dtype, shape)
    rows = x.value.shape[0]
    dy = sketch.input(0, dtype, (rows,)).unsqueezed(1)
    wanted = sketch.input(2, DType.INT64, (rows,)).unsqueezed(1)
    hit = sketch.places(x, 1).is_("eq", wanted)
    slope = softmax_of(x, 1) - sketch.filled(x, 1.0).where(hit, 0.0)
    sketch.output(slope * dy.where(wanted.is_("ne", ignored), 0.0), dtype)
    return sketch.source(schedule)


def activation_backward(name: str, dtype: DType, shape: Sizes, schedule: Schedule = USUAL) -> DeviceSource:
    """out0 = in0 = dy times the activation's slope at in1 = x. Raises Unsupported for a name not in `SLOPES`."""
    if name not in SLOPES:
        raise Unsupported(f"no slope of {name!r}; there are {', '.join(SLOPES)}")

    def formula(dy: Term, x: Term) -> Term:
        return dy * SLOPES[name](x)

    return pointwise(formula, [shape, shape], [dtype, dtype], dtype, schedule)
