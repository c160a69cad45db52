"""Which sizes decide whether rows begin at multiples of 16 elements, so that a compiler may read 16 bytes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import sympy

from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Lookup, Loop, Size
from assay.engineer.codegen.scalars import axes_of, positions

ELEMENTS = 16
"""Triton looks for a divisibility by 16 and no other; 16 bytes need 4 to 16 elements."""


def even_sizes(steps: Iterable[Size]) -> frozenset[str]:
    """As few sizes as make all these steps multiples of 16: of a product one factor is enough."""
    open_terms = [names for step in steps for term in sympy.Add.make_args(sympy.expand(step))
                  if (names := _factors(term))]  # fmt: skip
    chosen: set[str] = set()
    while open_terms:
        counts = Counter(name for names in open_terms for name in names)
        best = max(sorted(counts), key=lambda name: counts[name])
        chosen.add(best)
        open_terms = [names for names in open_terms if best not in names]
    return frozenset(chosen)


def kernel_steps(kernel: Kernel, length: Size) -> set[Size]:
    """How far apart neighbours along each axis lie, and the length of rows, which decides a mask."""
    found = {length}
    for one in kernel.steps:
        for where in (one.target, *positions(one.body)):
            found |= {where.coeff(axis) for axis in axes_of(where)}
    return found


def _factors(term: Size) -> set[str]:
    """The sizes that a term is a multiple of; none where it is a multiple of 16 already, or not known to be any."""
    number, rest = term.as_coeff_Mul()
    if number.is_Integer and int(number) % ELEMENTS == 0:
        return set()
    return {one.name for one in sympy.Mul.make_args(rest) if one.is_Symbol and not isinstance(one, (Loop, Lookup))}
