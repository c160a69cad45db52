"""Where a product's operands lie: a place for each batch, and steps along rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from assay.engineer.codegen.index import Size
from assay.engineer.codegen.program import Product, Program
from assay.engineer.triton.elements import label
from assay.engineer.triton.text import size

BATCH = sympy.Symbol("batch", integer=True, nonnegative=True)
"""The number of a product among its batch, in the places of a `StridedProduct`."""


@dataclass(frozen=True, slots=True)
class StridedProduct(Product):
    """A product whose operands say where they lie: `at` in terms of BATCH, then steps of rows and columns."""

    left_at: Size
    left_steps: tuple[Size, Size]
    right_at: Size
    right_steps: tuple[Size, Size]


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand as text."""

    name: str
    at: str
    row: str
    column: str


def operands(program: Program, product: Product) -> tuple[Operand, Operand]:
    """The left one [m, k] and the right one [k, n]."""
    left, right = (label(program.buffers[name]) for name in (product.left, product.right))
    if isinstance(product, StridedProduct):
        return (
            Operand(left, size(product.left_at), *map(size, product.left_steps)),
            Operand(right, size(product.right_at), *map(size, product.right_steps)),
        )
    one = sympy.Integer(1)
    rows = (one, product.m) if product.left_turned else (product.k, one)
    columns = (one, product.k) if product.right_turned else (product.n, one)
    return (
        Operand(left, size(sympy.expand(BATCH * product.m * product.k)), *map(size, rows)),
        Operand(right, size(sympy.expand(BATCH * product.k * product.n)), *map(size, columns)),
    )


def strided_steps(product: Product) -> set[Size]:
    """What decides whether rows of operands and results begin at multiples of some elements."""
    if not isinstance(product, StridedProduct):
        return {product.n, product.k, *({product.m} if product.left_turned else ())}
    return {*product.left_steps, *product.right_steps, product.n, product.k}
