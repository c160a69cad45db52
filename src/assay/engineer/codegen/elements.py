"""The C++ of one element: parts that are not trivial get names, and what a loop has in common goes before it."""

from __future__ import annotations

import sympy

from assay.engineer.codegen import text
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.index import Lookup, Size, cpp, product, replaced
from assay.engineer.codegen.program import Kind, Statement
from assay.engineer.codegen.scalars import Call, Constant, Load, Position, Scalar, axes_of, positions
from assay.engineer.codegen.scope import WORD, Scope
from assay.engineer.codegen.text import LOADED, TYPES

_AHEAD = 16
"""Lookups. Sums of 20 rows of 512 bytes out of 5 MB: 250 us with none, 72 with 8 ahead, 66 with 20 on an EPYC."""


class Elements:
    """Writes the values of one kernel. `kept` names the rows where values of earlier passes lie, by their buffers."""

    def __init__(self, form: Form, kept: dict[str, str]) -> None:
        self._form, self._kept = form, kept
        self._count = 0
        self._turned: set[str] = set()

    def name(self) -> str:
        """A new one."""
        self._count += 1
        return f"x{self._count}"

    def value(self, scalar: Scalar, scope: Scope) -> str:
        """The C++ of a value."""
        if id(scalar) in scope.names:
            return scope.names[id(scalar)]
        if isinstance(scalar, Constant):
            return text.number(scalar.dtype, scalar.value)
        if isinstance(scalar, Position):
            return f"static_cast<{TYPES[scalar.dtype]}>({self.place(scalar.value, scope)})"
        if isinstance(scalar, Load):
            written = self._loaded(scalar, scope)
            if written.startswith("v_"):
                return written
        else:
            assert isinstance(scalar, Call)
            written = self._called(scalar, [self.value(a, scope) for a in scalar.arguments], scope)
        name = self.name()
        scope.define((LOADED if isinstance(scalar, Load) else TYPES)[scalar.dtype], name, written)
        scope.names[id(scalar)] = name
        return name

    def place(self, where: Size, scope: Scope) -> str:
        """The C++ of a position."""
        for one in sorted(where.atoms(Lookup), key=str):
            scope.define("int64_t", one.name, self.value(one.scalar, scope))
        return cpp(where)

    def _called(self, one: Call, arguments: list[str], scope: Scope) -> str:
        """A function of values; what all elements of a loop are divided by is turned around before the loop."""
        if one.function == "erf" and self._form.schedule.loose:
            return f"erf_loose_({arguments[0]})"
        if one.function != "div" or not self._is_turned(one, arguments[1], scope):
            return text.called(one, arguments)
        name = f"r_{arguments[1]}"
        line = f"const {TYPES[one.dtype]} {name} = {text.number(one.dtype, 1)} / {arguments[1]};"
        if line not in scope.before and name not in self._turned:
            scope.before.append(line)
        if not scope.lane:
            self._turned.add(name)  # later passes over the same row see it too
        return f"({arguments[0]} * {name})"

    def _is_turned(self, one: Call, divisor: str, scope: Scope) -> bool:
        """Whether a division becomes a product: its divisor has a name and is the same all along the loop."""
        wanted = self._form.schedule.reciprocal and scope.is_loop and one.dtype.is_floating
        if not wanted or not WORD.fullmatch(divisor):
            return False
        if scope.lane:
            return scope.is_common(divisor)
        depends = {axis for where in positions(one.arguments[1]) for axis in axes_of(where)}
        return divisor not in scope.inside and not depends & set(self._form.kernel.reduced)

    def _loaded(self, one: Load, scope: Scope) -> str:
        form = self._form
        producers = form.kernel.producers(one.buffer)
        if not producers:
            place = self.place(one.offset, scope)
            self._prefetch(one, scope)
            return f"{one.buffer}[{place}]"
        step = producers[-1]
        rows = form.kernel.reduced and not set(step.axes) & set(form.kernel.reduced)
        if (step.kind is Kind.REDUCE or rows) and form.kernel.reduced:
            return f"{form.array(step)}[lane]" if form.by_lanes else form.array(step)
        if self._is_here(step, scope):
            return form.array(step)
        if step.buffer in self._kept:
            return f"{self._kept[step.buffer]}[{form.row_place()}]"
        return f"{one.buffer}[{self.place(one.offset, scope)}]"

    def _prefetch(self, one: Load, scope: Scope) -> None:
        """The row that will be looked up some iterations later: where it lies no processor can foresee."""
        form, found = self._form, one.offset.atoms(Lookup)
        if not form.by_lanes or not scope.lane or form.lane is None or len(found) != 1:
            return
        lookup = found.pop()
        index = lookup.scalar
        if not isinstance(index, Load) or one.offset.coeff(form.lane) != 1 or index.offset.has(form.lane):
            return
        name = f"ahead_{one.buffer}_{lookup.name}"
        last = cpp(sympy.expand(product(form.program.buffers[index.buffer].shape)))
        place = cpp(replaced(one.offset, {form.lane: sympy.Symbol("first"), lookup: sympy.Symbol(name)}))
        later = f"std::min<int64_t>({cpp(index.offset)} + {_AHEAD}, {last} - 1)"
        lines = [f"const int64_t {name} = {index.buffer}[{later}];", f"prefetch(&{one.buffer}[{place}], count);"]
        scope.before += [line for line in lines if line not in scope.before]

    def _is_here(self, step: Statement, scope: Scope) -> bool:
        """Whether the step's value was computed in this very scope."""
        mine = f"const {TYPES[step.body.dtype]} {self._form.array(step)} ="
        return any(line.startswith(mine) for line in scope.lines)
