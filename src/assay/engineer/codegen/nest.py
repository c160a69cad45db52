"""One kernel's loops in C++: the parallel loop outside, a pass for each level of dependence within."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from assay.engineer.codegen import text
from assay.engineer.codegen.elements import Elements
from assay.engineer.codegen.filling import PART, Filling
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import FloorDiv, Loop, cpp
from assay.engineer.codegen.program import Kind, Program, Statement
from assay.engineer.codegen.scalars import Call, Load, Scalar, children, loops_in, walk
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.codegen.scope import Scope
from assay.engineer.codegen.text import TYPES

_WORTH_THREADS = 16384
"""Elements below which one thread does it alone: waking another takes some 10 us here."""
_WORTH_A_TASK = 2048
"""Elements; finding a task's place takes some ten divisions."""
_TILE = 32
"""32 x 32 floats are 4 KB on either side, well within a first-level cache."""


class Nest:
    """Writes one kernel. `shared` are the temporaries that have memory between kernels.

    `alone`: it has the threads; otherwise it runs inside a parallel loop. `lane` is as in Form.
    """

    def __init__(
        self, program: Program, kernel: Kernel, shared: set[str], schedule: Schedule, next_slot: int, *,
        alone: bool = True, lane: Loop | None = None,
    ) -> None:  # fmt: skip
        self._kernel, self._alone = kernel, alone
        self._form = Form(program, kernel, shared, schedule, lane)
        kept: dict[str, str] = {}
        self._elements = Elements(self._form, kept)
        self._filling = Filling(self._form, self._elements, kept, next_slot)
        self._names: dict[int, str] = {}

    @property
    def next_slot(self) -> int:
        """The next free one of the prelude's scratch memory."""
        return self._filling.next_slot

    def lines(self) -> list[str]:
        """The kernel as statements. Called once."""
        if self._form.lane is None:
            return ["{", *("  " + line for line in self._rows([])), "}"]
        outer = [axis for axis in self._kernel.outer if axis != self._form.lane]
        if not self._kernel.reduced or self._form.by_lanes:
            return self._blocked(outer, self._form.lane)
        return self._rows(outer)

    def row_lines(self, row: str) -> list[str]:
        """A plain map's part of one row, `count` elements from `first` on. Called instead of `lines`."""
        outer = [axis for axis in self._kernel.axes if axis != self._form.lane]
        return [*unravelled(row, outer), *self._passes()]

    # The outer loops

    def _rows(self, outer: list[Loop]) -> list[str]:
        body = self._passes()
        if not outer:
            return ["{", *("  " + line for line in body), "}"]
        inside = [cpp(axis.size) for axis in self._kernel.reduced]
        return self._parallel(outer, " * ".join(["rows", *inside]), body)

    def _blocked(self, outer: list[Loop], lane: Loop) -> list[str]:
        """A block of the contiguous axis is a task; a tile where memory is contiguous along another axis too."""
        form, other = self._form, self._form.other_axis
        size = form.lanes if form.by_lanes else _TILE if other else form.schedule.block
        body = [f"const int64_t first = block * {size}, count = std::min<int64_t>({size}, {cpp(lane.size)} - first);"]
        work = " * ".join([cpp(axis.size) for axis in (*outer, lane, *self._kernel.reduced)])
        blocks = f"({cpp(lane.size)} + {size - 1}) / {size}"
        if other is None:
            inner = [] if form.by_lanes else self._within_a_task(outer, lane)
            loops = _around(inner, self._passes())
            return self._parallel(outer[: len(outer) - len(inner)], work, [*body, *loops], blocks)
        tiles = Loop("tile", FloorDiv(other.size + _TILE - 1, sympy.Integer(_TILE)))
        start = f"{tiles.name} * {_TILE}"
        body += [
            f"for (int64_t {other.name} = {start}; {other.name} < std::min<int64_t>({start} + {_TILE}, "
            f"{cpp(other.size)}); {other.name}++) {{",
            *("  " + line for line in self._passes()), "}",
        ]  # fmt: skip
        return self._parallel([tiles if axis == other else axis for axis in outer], work, body, blocks)

    def _within_a_task(self, outer: list[Loop], lane: Loop) -> list[Loop]:
        """The last of the outer axes, where the contiguous one alone is too short to be worth a task."""
        length, count = self._form.hinted(lane.size), 0
        while length < _WORTH_A_TASK and count < len(outer) - 1:
            count += 1
            length *= self._form.hinted(outer[-count].size)
        return outer[len(outer) - count :]

    def _parallel(self, outer: list[Loop], work: str, body: list[str], blocks: str = "") -> list[str]:
        rows = " * ".join(cpp(axis.size) for axis in outer) or "1"
        lines = ["{", f"  const int64_t rows = {rows};"]
        if blocks:
            lines.append(f"  const int64_t blocks = {blocks};")
        pragma = f"#pragma omp parallel for schedule(static) num_threads(threads) if ({work} > {_WORTH_THREADS})"
        lines += [
            *([pragma] if self._alone else []),
            f"  for (int64_t task = 0; task < rows{' * blocks' if blocks else ''}; task++) {{",
        ]
        left = "task"
        if blocks:
            lines.append("    const int64_t block = task % blocks;")
            left = "task / blocks" if outer else ""
        lines += ["    " + line for line in unravelled(left, outer)]
        return [*lines, *("    " + line for line in body), "  }", "}"]

    # The passes

    def _passes(self) -> list[str]:
        lines: list[str] = []
        for steps in self._form.passes():
            rows = [s for s in steps if not set(s.axes) & set(self._kernel.reduced)] if self._kernel.reduced else []
            for step in rows:
                lines += self._row_step(step)
            inner = [step for step in steps if step not in rows]
            if inner:
                lines += self._pass(inner)
        return lines

    def _row_step(self, step: Statement) -> list[str]:
        """A statement over rows only, between passes."""
        scope, name, kind = Scope(names=dict(self._names)), self._form.array(step), TYPES[step.body.dtype]
        value = self._elements.value(step.body, scope)
        if self._form.by_lanes:
            stores = self._filling.stores(step, f"{name}[lane]")
            body = [*scope.lines, f"{name}[lane] = {value};", *stores]
            return [f"{kind} {name}[{self._form.lanes}];", *self._form.lane_loop(body)]
        lines = [*scope.lines, f"const {kind} {name} = {value};", *self._filling.stores(step, name)]
        self._names |= {k: v for k, v in scope.names.items() if k not in self._names}
        return lines

    def _pass(self, steps: list[Statement]) -> list[str]:
        form, filling = self._form, self._filling
        lines = [line for step in steps for line in filling.before(step)]
        if self._kernel.reduced:
            lines += self._invariants(steps)
        lane = form.lane.name if form.lane is not None and not form.in_rows else ""
        scope = Scope(names=dict(self._names), lane=lane, is_loop=form.lane is not None)
        clauses, after = [], []
        for step in steps:
            value = self._elements.value(step.body, scope)
            scope.lines += filling.update(step, value, scope)
            scope.inside.add(form.array(step))
            if step.kind is Kind.REDUCE and not form.by_lanes and self._kernel.reduced:
                clauses.append(f"reduction({text.CLAUSE[step.operation]} : {filling.accumulator(step)})")
            if step.kind is Kind.REDUCE:
                after += filling.after(step)
        scanned = any(step.kind in (Kind.SCAN, Kind.SCATTER) for step in steps) and not form.by_lanes
        return [*lines, *self._loops(scope, clauses, steps, simd=not scanned), *after]

    def _loops(self, scope: Scope, clauses: list[str], steps: list[Statement], *, simd: bool) -> list[str]:
        """The reduced axes' loops around a body, the contiguous axis innermost."""
        form = self._form
        inner = [axis for axis in self._kernel.reduced if axis != form.lane]
        if form.lane is None:
            return _around(inner, scope.lines)
        if form.in_rows:
            pragma = [" ".join(["#pragma omp simd", *clauses])] if simd else []
            return [*scope.before, *_around(inner, self._row_loop(form.lane, pragma, scope.lines, steps))]
        loops = [*scope.before, *form.lane_loop(scope.lines)]
        if not self._kernel.reduced:
            loops += [line for step in steps for line in self._filling.streamed(step, "first", "count")]
        return _around(inner, loops)

    def _row_loop(self, lane: Loop, pragma: list[str], body: list[str], steps: list[Statement]) -> list[str]:
        """Along the contiguous axis, in parts where a sum wants that."""
        name, size = lane.name, cpp(lane.size)
        partial = [step for step in steps if self._filling.by_parts(step)]
        first, last = ("start", "end") if partial else ("0", size)
        loop = [
            *pragma,
            f"for (int64_t {name} = {first}; {name} < {last}; {name}++) {{",
            *("  " + x for x in body),
            "}",
        ]
        streamed = [line for step in steps for line in self._filling.streamed(step, "0", size)]
        if not partial:
            return [*loop, *streamed]
        kinds = [(TYPES[step.body.dtype], step.buffer) for step in partial]
        return [
            f"for (int64_t start = 0; start < {size}; start += {PART}) {{",
            f"  const int64_t end = std::min<int64_t>(start + {PART}, {size});",
            *(f"  {kind} part_{buffer} = 0;" for kind, buffer in kinds),
            *("  " + line for line in loop),
            *(f"  total_{buffer} += part_{buffer};" for _, buffer in kinds),
            "}",
            *streamed,
        ]

    def _invariants(self, steps: list[Statement]) -> list[str]:
        """What does not depend on the pass's loops is computed before it."""
        reduced = set(self._kernel.reduced)
        found: dict[int, Scalar] = {}
        for step in steps:
            for one in _outermost(step.body, reduced):
                if any(isinstance(part, Load) for part in walk(one)):
                    found[id(one)] = one
        lines = []
        for one in found.values():
            if id(one) in self._names:
                continue
            scope = Scope(names=dict(self._names))
            value = self._elements.value(one, scope)
            name, kind = self._elements.name(), TYPES[one.dtype]
            if self._form.by_lanes:
                body = [*scope.lines, f"{name}[lane] = {value};"]
                lines += [f"{kind} {name}[{self._form.lanes}];", *self._form.lane_loop(body)]
                self._names[id(one)] = f"{name}[lane]"
            else:
                lines += [*scope.lines, f"const {kind} {name} = {value};"]
                self._names[id(one)] = name
        return lines


def unravelled(number: str, axes: Sequence[Loop]) -> list[str]:
    """The place along each axis, the last one fastest, of what has this number."""
    lines = []
    for left_over, axis in enumerate(reversed(axes), start=1):
        whole = left_over == len(axes)
        value = f"({number})" if whole else f"({number}) % {cpp(axis.size)}"
        lines.append(f"const int64_t {axis.name} = {value};")
        number = f"({number}) / {cpp(axis.size)}"
    return lines


def _around(axes: Sequence[Loop], body: list[str]) -> list[str]:
    """A body inside a loop over each axis, the last one innermost."""
    for axis in reversed(axes):
        head = f"for (int64_t {axis.name} = 0; {axis.name} < {cpp(axis.size)}; {axis.name}++) {{"
        body = [head, *("  " + line for line in body), "}"]
    return body


def _outermost(scalar: Scalar, varying: set[Loop]) -> Iterator[Scalar]:
    """The largest calls that depend on none of the loops."""
    if isinstance(scalar, Call) and not loops_in(scalar) & varying:
        yield scalar
        return
    for child in children(scalar):
        yield from _outermost(child, varying)
