"""Products that are finished where they are computed: bias, activation and residual while a panel lies in cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.fuse import Kernel, collapse
from assay.engineer.codegen.group import Group
from assay.engineer.codegen.index import Loop
from assay.engineer.codegen.program import Kind, Product, Routine, Statement
from assay.engineer.codegen.scalars import loads, positions


@dataclass(slots=True)
class Finished:
    """A product, and the kernel that goes over each panel of it as soon as its sums are complete."""

    product: Product
    kernel: Kernel

    @property
    def columns(self) -> Loop:
        """The axis of the product's columns."""
        return self.kernel.axes[-1]


Step: TypeAlias = Kernel | Routine | Group | Finished
"""What a file does one after the other."""


def finished(steps: Sequence[Kernel | Routine | Group]) -> list[Step]:
    """The same steps, each product with the kernel right after it where that only needs the element at its place."""
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else None
        if isinstance(before, Product) and isinstance(step, Kernel) and _finishes(step, before):
            found[-1] = Finished(before, collapse(step, apart=step.axes[-1]))
        else:
            found.append(step)
    return found


def parts(steps: Sequence[Step]) -> Iterator[Kernel | Routine]:
    """Every kernel and routine, in order."""
    for step in steps:
        if isinstance(step, Group):
            yield from step.kernels
        elif isinstance(step, Finished):
            yield from (step.product, step.kernel)
        else:
            yield step


def _finishes(kernel: Kernel, product: Product) -> bool:
    if kernel.reduced or len(kernel.axes) < 2:
        return False
    columns, sizes = kernel.axes[-1], [axis.size for axis in kernel.axes]
    whole = ix.same(columns.size, product.n) and ix.same(ix.product(sizes[:-1]), product.batch * product.m)
    place = ix.flatten(kernel.axes, ix.contiguous(tuple(sizes)))

    def is_finish(step: Statement) -> bool:
        in_place = all(ix.same(one.offset, place) for one in loads(step.body) if one.buffer == product.buffer)
        along = all(where.coeff(columns) in (0, 1) for where in (step.target, *positions(step.body)))
        return step.kind is Kind.MAP and step.axes == kernel.axes and in_place and along

    return whole and all(is_finish(step) for step in kernel.steps)
