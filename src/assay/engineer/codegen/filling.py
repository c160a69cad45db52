"""How a statement's value gets to where it belongs: accumulators, kept rows, memory, and memory past the caches."""

from __future__ import annotations

import sympy

from assay.engineer.codegen import text
from assay.engineer.codegen.elements import Elements
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.index import cpp, replaced
from assay.engineer.codegen.program import Kind, Place, Statement
from assay.engineer.codegen.scalars import loads
from assay.engineer.codegen.scope import Scope
from assay.engineer.codegen.text import MEMORY, TYPES

PART = 512
"""Elements of a partial sum."""
_LEAST_STREAMED_BYTES = 4


class Filling:
    """Fills the buffers of one kernel. `next_slot` is the next free one of the prelude's scratch memory."""

    def __init__(self, form: Form, elements: Elements, kept: dict[str, str], next_slot: int) -> None:
        self._form, self._elements, self._kept = form, elements, kept
        self.next_slot = next_slot

    def by_parts(self, step: Statement) -> bool:
        """A long sum in single precision is summed in parts: 18,000 elements at once erred by more than is granted."""
        floating = step.body.dtype.is_floating
        return step.kind is Kind.REDUCE and step.operation == "sum" and floating and self._form.in_rows

    def accumulator(self, step: Statement) -> str:
        """Where a reduction gathers."""
        return f"part_{step.buffer}" if self.by_parts(step) else self._form.array(step)

    def before(self, step: Statement) -> list[str]:
        """Accumulators and rows that a pass needs."""
        lines = self._accumulators(step)
        name = self._form.array(step)
        if self._is_streamed(step) and self._form.lane is not None:
            size = cpp(self._form.lane.size) if self._form.in_rows else str(self._form.schedule.block)
            lines.append(self._scratch(step, f"out_{name}", size))
        if step.kind is not Kind.REDUCE and self._needs_row(step):
            row = f"row_{step.buffer}"
            self._kept[step.buffer] = row
            lanes = [str(self._form.lanes)] if self._form.by_lanes else []
            lines.append(
                self._scratch(step, row, " * ".join([*(cpp(a.size) for a in self._form.kernel.reduced), *lanes]))
            )
        return lines

    def update(self, step: Statement, value: str, scope: Scope) -> list[str]:
        """What is done with one element's value."""
        form, name = self._form, self._form.array(step)
        if step.kind is Kind.SCATTER:
            place = f"{step.buffer}[{self._elements.place(step.target, scope)}]"
            return [f"{place} = {value};" if step.operation == "set" else f"{place} = {place} + ({value});"]
        if step.kind is Kind.REDUCE and form.kernel.reduced:
            place = f"{name}[lane]" if form.by_lanes else self.accumulator(step)
            return [f"{place} = {text.COMBINE[step.operation].format(a=place, b=f'({value})')};"]
        lines = []
        if step.kind is Kind.SCAN:
            carried = f"carry_{step.buffer}{'[lane]' if form.by_lanes else ''}"
            lines.append(f"{carried} = {text.COMBINE[step.operation].format(a=carried, b=f'({value})')};")
            value = f"static_cast<{TYPES[step.body.dtype]}>({carried})"
        lines.append(f"const {TYPES[step.body.dtype]} {name} = {value};")
        if self._is_streamed(step):
            place = form.lane.name if form.in_rows and form.lane is not None else "lane"
            return [*lines, f"out_{name}[{place}] = {name};"]
        if step.buffer in self._kept:
            lines.append(f"{self._kept[step.buffer]}[{form.row_place()}] = {name};")
        return [*lines, *self.stores(step, name)]

    def after(self, step: Statement) -> list[str]:
        """A finished reduction gets its name, and goes to memory where others want it."""
        kind, name = TYPES[step.body.dtype], self._form.array(step)
        lines = [f"const {kind} {name} = static_cast<{kind}>(total_{step.buffer});"] if self.by_parts(step) else []
        if not self._form.is_real(step.buffer) or not self._form.kernel.reduced:
            return lines
        if self._form.by_lanes:
            return [*lines, *self._form.lane_loop(self.stores(step, f"{name}[lane]"))]
        return [*lines, *self.stores(step, name)]

    def stores(self, step: Statement, value: str) -> list[str]:
        """To memory, where the buffer has any."""
        return [f"{step.buffer}[{cpp(step.target)}] = {value};"] if self._form.is_real(step.buffer) else []

    def streamed(self, step: Statement, first: str, count: str) -> list[str]:
        """What was collected, from `first` along the contiguous axis on."""
        lane = self._form.lane
        if lane is None or not self._is_streamed(step):
            return []
        base = cpp(replaced(step.target, {lane: sympy.Integer(0)}))
        return [f"stream(&{step.buffer}[{base} + {first}], out_{self._form.array(step)}, {count});"]

    def _accumulators(self, step: Statement) -> list[str]:
        form = self._form
        if step.kind not in (Kind.REDUCE, Kind.SCAN) or not form.kernel.reduced:
            return []
        start = text.start(step.operation, step.body.dtype)
        carried = form.array(step) if step.kind is Kind.REDUCE else f"carry_{step.buffer}"
        if self.by_parts(step):
            return [f"double total_{step.buffer} = 0.0;"]
        if form.by_lanes:
            return [f"{self._total_type(step)} {carried}[{form.lanes}];",
                    f"for (int lane = 0; lane < {form.lanes}; lane++) {carried}[lane] = {start};"]  # fmt: skip
        kind = self._total_type(step) if step.kind is Kind.SCAN else TYPES[step.body.dtype]
        return [f"{kind} {carried} = {start};"]

    def _total_type(self, step: Statement) -> str:
        """In lanes there are no parts: a long sum is in double precision. So is what a scan carries, as in PyTorch."""
        count = 1
        for axis in step.reduced:
            count *= self._form.hinted(axis.size)
        long = step.kind is Kind.REDUCE and step.operation == "sum" and count > PART
        carried = step.kind is Kind.SCAN and step.operation in ("sum", "prod")
        return "double" if (long or carried) and step.body.dtype.is_floating else TYPES[step.body.dtype]

    def _scratch(self, step: Statement, name: str, size: str) -> str:
        stored, slot = MEMORY[step.body.dtype], self.next_slot
        self.next_slot += 1
        return f"{stored}* __restrict {name} = scratch<{stored}>({slot}, {size});"

    def _needs_row(self, step: Statement) -> bool:
        """Whether a later pass wants the value and no memory of its own has it."""
        form = self._form
        if form.is_real(step.buffer) or not form.kernel.reduced:
            return False
        level = form.levels[id(step)]
        later = (other for other in form.kernel.steps if form.levels[id(other)] > level)
        return any(one.buffer == step.buffer for other in later for one in loads(other.body))

    def _is_streamed(self, step: Statement) -> bool:
        """Whether the elements are collected first and written past the caches: rows of results, and no pieces."""
        form, lane = self._form, self._form.lane
        return (
            form.schedule.stream
            and not form.by_lanes
            and lane is not None
            and step.kind in (Kind.MAP, Kind.SCAN)
            and lane in step.axes
            and bool(step.target.coeff(lane) == 1)
            and form.program.buffers[step.buffer].place is Place.OUTPUT
            and step.body.dtype.size_bytes >= _LEAST_STREAMED_BYTES
            and not any(one.buffer == step.buffer for other in form.kernel.steps for one in loads(other.body))
            and form.other_axis is None
        )
