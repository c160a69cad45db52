"""Matrix products, batched or not, either operand transposed, with a bias, an activation, a scale and a residual.

Sums are in float32, tile after tile along k. What float32 operands are multiplied in is `precision`, whose default
keeps all their bits; a task that grants less may be given "tf32".
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.families.pointwise import ACTIVATIONS
from assay.engineer.triton.operands import BATCH, StridedProduct
from assay.engineer.triton.products import Precision
from assay.engineer.triton.schedule import PRODUCTS, USUAL, Schedule, space
from assay.engineer.triton.sketch import Sketch, Term
from assay.engineer.triton.source import DeviceSource

SPACE = space(PRODUCTS)


@dataclass(frozen=True, slots=True)
class Product:
    """What is multiplied, and how it is finished: out = scale * activation(left @ right + bias) + residual.

    Operands are [m, k] and [k, n], or `turned` [k, m] and [n, k], with a first dimension where `batched`. The bias has
    n elements. Further inputs come in the order bias, residual. `strided`: operands' rows may lie apart.
    """

    batched: bool = False
    left_turned: bool = False
    right_turned: bool = False
    bias: bool = False
    activation: str = ""
    scale: float = 1.0
    residual: bool = False
    strided: bool = False


def matmul(
    dtype: DType, product: Product, schedule: Schedule = USUAL, precision: Precision = Precision.IEEE,
    sizes: tuple[int | None, int | None, int | None] = (None, None, None),
) -> DeviceSource:  # fmt: skip
    """out0 of in0 and in1; `sizes` are m, n and k where they are known. Raises Unsupported for float64 and integers."""
    if product.activation and product.activation not in ACTIVATIONS:
        raise Unsupported(f"no activation {product.activation!r}; there are {', '.join(ACTIVATIONS)}")
    sketch, first = Sketch(), int(product.batched)
    rows, inner = (first + 1, first) if product.left_turned else (first, first + 1)
    column = first if product.right_turned else first + 1
    places = (f"in0.shape[{rows}]", f"in1.shape[{column}]", f"in0.shape[{inner}]")
    m, n, k = (sketch.size(at) if given is None else sympy.Integer(given)
               for at, given in zip(places, sizes, strict=True))  # fmt: skip
    batch = sketch.size("in0.shape[0]") if product.batched else sympy.Integer(1)
    outer = (batch,) if product.batched else ()
    left = (*outer, k, m) if product.left_turned else (*outer, m, k)
    right = (*outer, n, k) if product.right_turned else (*outer, k, n)
    sketch.input(0, dtype, left, strided=product.strided)
    sketch.input(1, dtype, right, strided=product.strided)
    made = _multiplied(sketch, product, (batch, m, n, k))
    sketch.output(_finished(sketch, made, dtype, product, (*outer, m, n)), dtype)
    return sketch.source(schedule, precision)


def _multiplied(sketch: Sketch, product: Product, sizes: tuple[Size, ...]) -> Term:
    """The bare product, [m, n] or [batch, m, n]."""
    batch, m, n, k = sizes
    (left_at, *left), (right_at, *right) = (_lying(sketch, name) for name in ("in0", "in1"))
    left, right = left[:: -1 if product.left_turned else 1], right[:: -1 if product.right_turned else 1]
    made = sketch.strided_product(StridedProduct(
        "", "in0", "in1", batch, m, n, k, product.left_turned, product.right_turned,
        left_at, (left[0], left[1]), right_at, (right[0], right[1]),
    ))  # fmt: skip
    return made if product.batched else made.squeezed(0)


def _lying(sketch: Sketch, name: str) -> list[Size]:
    """Where an operand's batches begin, and its steps along the last two dimensions."""
    stride = sketch.lowering.program.buffers[name].stride
    return [BATCH * stride[0] if len(stride) == 3 else sympy.Integer(0), *stride[-2:]]


def _finished(sketch: Sketch, made: Term, dtype: DType, product: Product, shape: tuple[Size, ...]) -> Term:
    index, rank = 2, len(shape)
    if product.bias:
        made = made + sketch.input(index, dtype, shape[-1:]).unsqueezed(*range(rank - 1))
        index += 1
    if product.activation:
        made = ACTIVATIONS[product.activation](made)
    if product.scale != 1.0:
        made = made * product.scale
    return made + sketch.input(index, dtype, shape) if product.residual else made
