"""Sizes as a launch plan's expressions; the same sizes are the kernels' arguments."""

from __future__ import annotations

import sympy

from assay.engineer.codegen.index import FloorDiv, Modulo, Size
from assay.engineer.codegen.program import Unsupported


def plan_name(symbol: sympy.Symbol) -> str:
    """A size's name in the plan, which has some names of its own."""
    return f"n_{symbol.name}"


def plan_text(size: Size) -> str:
    """A size as an expression of a launch plan. Raises Unsupported for one that the plan's arithmetic cannot say."""
    if size.is_Integer:
        return str(int(size))
    if size.is_Symbol:
        return plan_name(size)
    if isinstance(size, (FloorDiv, Modulo)):
        a, b = (plan_text(argument) for argument in size.args)
        return f"({a} {'//' if isinstance(size, FloorDiv) else '%'} {b})"
    if isinstance(size, (sympy.Max, sympy.Min)):
        name = "max" if isinstance(size, sympy.Max) else "min"
        found = plan_text(size.args[0])
        for other in size.args[1:]:
            found = f"{name}({found}, {plan_text(other)})"
        return found
    if size.is_Pow and size.args[1].is_Integer and size.args[1] > 0:
        return "(" + " * ".join([plan_text(size.args[0])] * int(size.args[1])) + ")"
    if size.is_Add or size.is_Mul:
        return "(" + (" + " if size.is_Add else " * ").join(plan_text(a) for a in size.args) + ")"
    raise Unsupported(f"a launch plan cannot say the size {size}")
