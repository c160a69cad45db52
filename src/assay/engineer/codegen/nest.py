"""One kernel's loops in C++."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import sympy

from assay.engineer.codegen import text
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import FloorDiv, Lookup, Loop, Size, cpp, hinted, replaced
from assay.engineer.codegen.program import Kind, Place, Program, Statement
from assay.engineer.codegen.scalars import (
    Call,
    Constant,
    Load,
    Position,
    Scalar,
    axes_of,
    children,
    loads,
    loops_in,
    positions,
    walk,
)
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.codegen.text import LOADED, MEMORY, TYPES

_WORTH_THREADS = 16384
"""Elements below which one thread does it alone: waking another takes some 10 us here."""
_WORTH_A_TASK = 2048
"""Elements; finding a task's place takes some ten divisions."""
_LEAST_STREAMED_BYTES = 4
_SCATTERED = 4
"""A gather of a vector takes some four times as long as its load."""
_PART = 512
"""Elements of a partial sum."""
_TILE = 32
"""32 x 32 floats are 4 KB on either side, well within a first-level cache."""


_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(slots=True)
class _Scope:
    """Lines of one loop body, and the names of what has been computed there.

    With the loop variable `lane`, what does not depend on it goes before the loop: the compiler does not move data
    that is looked up.
    """

    lines: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    lane: str = ""
    before: list[str] = field(default_factory=list)
    inside: set[str] = field(default_factory=set)
    is_loop: bool = False

    def define(self, kind: str, name: str, value: str) -> None:
        """A constant of the body, or one before it."""
        line = f"const {kind} {name} = {value};"
        if line in self.lines or line in self.before:
            return
        if self.lane and self.is_common(value):
            self.before.append(line)
        else:
            self.lines.append(line)
            self.inside.add(name)

    def is_common(self, value: str) -> bool:
        """Whether a value is the same in all passes of the loop over `lane`."""
        return not set(_WORD.findall(value)) & {self.lane, "lane", *self.inside}


class Nest:
    """Writes one kernel. `shared` are the temporaries that have memory between kernels.

    `alone`: it has the threads; otherwise it runs inside a parallel loop.

    Three forms: rows (the contiguous axis is reduced), lanes (it is not), and a plain map (nothing is reduced).
    """

    def __init__(
        self, program: Program, kernel: Kernel, shared: set[str], schedule: Schedule, next_slot: int, *,
        alone: bool = True,
    ) -> None:  # fmt: skip
        self._hints, self._alone = program.hints, alone
        self._program, self._kernel, self._shared = program, kernel, shared
        self._lanes, self._block, self.next_slot = schedule.lanes, schedule.block, next_slot
        self._lane = self._contiguous_axis()
        self._interleaved = self._is_interleaved(schedule.interleave)
        if self._interleaved:
            self._lane, self._lanes = kernel.outer[-1], schedule.interleave
        self._by_lanes = bool(kernel.reduced) and self._lane not in kernel.reduced
        self._levels = self._levelled()
        self._kept: dict[str, str] = {}
        self._stream, self._reciprocal, self._loose = schedule.stream, schedule.reciprocal, schedule.loose
        self._count = 0

    def _is_interleaved(self, rows: int) -> bool:
        """Whether several rows of a scan are done at once: lanes that are not neighbours, hence no vectors."""
        kernel = self._kernel
        scans = any(step.kind is Kind.SCAN for step in kernel.steps)
        return rows > 1 and scans and self._lane in kernel.reduced and bool(kernel.outer)

    def lines(self) -> list[str]:
        """The kernel as statements."""
        if self._lane is None:
            return ["{", *("  " + line for line in self._rows([])), "}"]
        outer = [axis for axis in self._kernel.outer if axis != self._lane]
        if not self._kernel.reduced or self._by_lanes:
            return self._blocked(outer)
        return self._rows(outer)

    # Which loop is innermost

    def _accesses(self) -> set[Size]:
        """Where the innermost loops read and write."""
        found: set[Size] = set()
        for step in self._kernel.steps:
            if not set(self._kernel.reduced) - set(step.axes):
                found |= {*([step.target] if step.kind is not Kind.REDUCE else []), *positions(step.body)}
        return found

    def _votes(self) -> Counter[Loop]:
        """For each axis how many accesses it makes contiguous, less those that it would scatter.

        An access that does not depend on it costs nothing: it is the same for a whole vector.
        """
        votes: Counter[Loop] = Counter()
        for where in self._accesses():
            for axis in axes_of(where) & set(self._kernel.axes):
                votes[axis] += 1 if where.coeff(axis) == 1 else -_SCATTERED
        return votes

    def _contiguous_axis(self) -> Loop | None:
        if not self._kernel.axes:
            return None
        votes, last = self._votes(), self._kernel.axes[-1]
        return max(self._kernel.axes, key=lambda axis: (votes[axis], axis == last))

    def _other_contiguous_axis(self) -> Loop | None:
        """In a plain map the axis along which an access is contiguous that the lane scatters: a transposition's."""
        if self._kernel.reduced:
            return None
        for where in sorted(self._accesses(), key=str):
            if self._lane in axes_of(where) and where.coeff(self._lane) != 1:
                others = [axis for axis in self._kernel.axes if axis != self._lane and where.coeff(axis) == 1]
                if others:
                    return others[0]
        return None

    def _levelled(self) -> dict[int, int]:
        """For each statement the pass in which it is computed; those over rows only come before that pass."""
        levels: dict[int, int] = {}
        for step in self._kernel.steps:
            level = 0
            for one in loads(step.body):
                for producer in self._kernel.producers(one.buffer):
                    if id(producer) in levels:
                        later = producer.kind is Kind.REDUCE and bool(self._kernel.reduced)
                        level = max(level, levels[id(producer)] + later)
            levels[id(step)] = level
        return levels

    # The outer loops

    def _rows(self, outer: list[Loop]) -> list[str]:
        body = self._passes()
        if not outer:
            return ["{", *("  " + line for line in body), "}"]
        inside = [cpp(axis.size) for axis in self._kernel.reduced]
        return self._parallel(outer, " * ".join(["rows", *inside]), body)

    def _blocked(self, outer: list[Loop]) -> list[str]:
        """A block of the contiguous axis is a task; a tile where memory is contiguous along another axis too."""
        lane, other = self._lane, self._other_contiguous_axis()
        assert lane is not None
        size = self._lanes if self._by_lanes else _TILE if other else self._block
        body = [f"const int64_t first = block * {size}, count = std::min<int64_t>({size}, {cpp(lane.size)} - first);"]
        work = " * ".join([cpp(axis.size) for axis in (*outer, lane, *self._kernel.reduced)])
        blocks = f"({cpp(lane.size)} + {size - 1}) / {size}"
        if other is None:
            inner = [] if self._by_lanes else self._within_a_task(outer, lane)
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
        length, count = self._hinted(lane.size), 0
        while length < _WORTH_A_TASK and count < len(outer) - 1:
            count += 1
            length *= self._hinted(outer[-count].size)
        return outer[len(outer) - count :]

    def _hinted(self, size: Size) -> int:
        return hinted(size, self._hints)

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
        for number, axis in enumerate(reversed(outer)):
            whole = number == len(outer) - 1
            value = f"({left})" if whole else f"({left}) % {cpp(axis.size)}"
            lines.append(f"    const int64_t {axis.name} = {value};")
            left = f"({left}) / {cpp(axis.size)}"
        return [*lines, *("    " + line for line in body), "  }", "}"]

    # The passes

    def _passes(self) -> list[str]:
        lines: list[str] = []
        self._names: dict[int, str] = {}
        self._turned: set[str] = set()
        for level in range(max(self._levels.values(), default=0) + 1):
            steps = [step for step in self._kernel.steps if self._levels[id(step)] == level]
            rows = [s for s in steps if not set(s.axes) & set(self._kernel.reduced)] if self._kernel.reduced else []
            for step in rows:
                lines += self._row_step(step)
            inner = [step for step in steps if step not in rows]
            if inner:
                lines += self._pass(inner)
        return lines

    def _row_step(self, step: Statement) -> list[str]:
        """A statement over rows only, between passes."""
        scope = _Scope(names=dict(self._names))
        if self._by_lanes:
            array = self._array(step)
            value = self._value(step.body, scope)
            stores = self._stores(step, f"{array}[lane]")
            body = [*scope.lines, f"{array}[lane] = {value};", *stores]
            return [f"{TYPES[step.body.dtype]} {array}[{self._lanes}];", *self._lane_loop(body)]
        value = self._value(step.body, scope)
        name = self._array(step)
        lines = [*scope.lines, f"const {TYPES[step.body.dtype]} {name} = {value};", *self._stores(step, name)]
        self._names |= {k: v for k, v in scope.names.items() if k not in self._names}
        return lines

    def _pass(self, steps: list[Statement]) -> list[str]:
        lines = [line for step in steps for line in self._before(step)]
        if self._kernel.reduced:
            lines += self._invariants(steps)
        in_lanes = self._by_lanes or not self._kernel.reduced
        lane = self._lane.name if self._lane is not None and in_lanes else ""
        scope = _Scope(names=dict(self._names), lane=lane, is_loop=self._lane is not None)
        clauses, after = [], []
        for step in steps:
            value = self._value(step.body, scope)
            scope.lines += self._update(step, value, scope)
            scope.inside.add(self._array(step))
            if step.kind is Kind.REDUCE and not self._by_lanes and self._kernel.reduced:
                clauses.append(f"reduction({text.CLAUSE[step.operation]} : {self._accumulator(step)})")
            if step.kind is Kind.REDUCE:
                after += self._after(step)
        scanned = any(step.kind in (Kind.SCAN, Kind.SCATTER) for step in steps) and not self._by_lanes
        return [*lines, *self._loops(scope, clauses, steps, simd=not scanned), *after]

    def _by_parts(self, step: Statement) -> bool:
        """A long sum in single precision is summed in parts: 18,000 elements at once erred by more than is granted."""
        floating = step.body.dtype.is_floating
        return step.kind is Kind.REDUCE and step.operation == "sum" and floating and self._in_rows

    def _sum_type(self, step: Statement) -> str:
        """In lanes there are no parts: a long sum is in double precision."""
        count = 1
        for axis in step.reduced:
            count *= self._hinted(axis.size)
        long = step.kind is Kind.REDUCE and step.operation == "sum" and count > _PART
        return "double" if long and step.body.dtype.is_floating else TYPES[step.body.dtype]

    @property
    def _in_rows(self) -> bool:
        return bool(self._kernel.reduced) and not self._by_lanes and self._lane is not None

    def _accumulator(self, step: Statement) -> str:
        return f"part_{step.buffer}" if self._by_parts(step) else self._array(step)

    def _loops(self, scope: _Scope, clauses: list[str], steps: list[Statement], *, simd: bool) -> list[str]:
        """The reduced axes' loops around a body, the contiguous axis innermost."""
        body = scope.lines
        inner = [axis for axis in self._kernel.reduced if axis != self._lane]
        pragma = [" ".join(["#pragma omp simd", *clauses])] if simd else []
        if self._lane is None:
            loops = body
        elif self._by_lanes or not self._kernel.reduced:
            loops = [*scope.before, *self._lane_loop(body)]
            if not self._kernel.reduced:
                loops += [line for step in steps for line in self._streamed(step, "first", "count")]
        else:
            return [*scope.before, *_around(inner, self._row_loop(pragma, body, steps))]
        return _around(inner, loops)

    def _row_loop(self, pragma: list[str], body: list[str], steps: list[Statement]) -> list[str]:
        """Along the contiguous axis, in parts where a sum wants that."""
        lane = self._lane
        assert lane is not None
        name, size = lane.name, cpp(lane.size)
        partial = [step for step in steps if self._by_parts(step)]
        first, last = ("start", "end") if partial else ("0", size)
        loop = [
            *pragma,
            f"for (int64_t {name} = {first}; {name} < {last}; {name}++) {{",
            *("  " + x for x in body),
            "}",
        ]
        streamed = [line for step in steps for line in self._streamed(step, "0", size)]
        if not partial:
            return [*loop, *streamed]
        kinds = [(TYPES[step.body.dtype], step.buffer) for step in partial]
        return [
            f"for (int64_t start = 0; start < {size}; start += {_PART}) {{",
            f"  const int64_t end = std::min<int64_t>(start + {_PART}, {size});",
            *(f"  {kind} part_{buffer} = 0;" for kind, buffer in kinds),
            *("  " + line for line in loop),
            *(f"  total_{buffer} += part_{buffer};" for _, buffer in kinds),
            "}",
            *streamed,
        ]

    def _lane_loop(self, body: list[str]) -> list[str]:
        lane = self._lane
        assert lane is not None
        return [*([] if self._interleaved else ["#pragma omp simd"]), "for (int64_t lane = 0; lane < count; lane++) {",
                f"  const int64_t {lane.name} = first + lane;", *("  " + line for line in body), "}"]  # fmt: skip

    def _array(self, step: Statement) -> str:
        """The name of a statement's value within the kernel."""
        number = next(n for n, other in enumerate(self._kernel.producers(step.buffer)) if other is step)
        return f"v_{step.buffer}" + (f"_{number}" if number else "")

    def _before(self, step: Statement) -> list[str]:
        """Accumulators and rows that a pass needs."""
        kind, name = TYPES[step.body.dtype], self._array(step)
        lines = []
        if step.kind in (Kind.REDUCE, Kind.SCAN) and self._kernel.reduced:
            start = text.start(step.operation, step.body.dtype)
            carried = name if step.kind is Kind.REDUCE else f"carry_{step.buffer}"
            if self._by_parts(step):
                lines.append(f"double total_{step.buffer} = 0.0;")
            elif self._by_lanes:
                lines += [f"{self._sum_type(step)} {carried}[{self._lanes}];",
                          f"for (int lane = 0; lane < {self._lanes}; lane++) {carried}[lane] = {start};"]  # fmt: skip
            else:
                lines.append(f"{kind} {carried} = {start};")
        if self._is_streamed(step) and self._lane is not None:
            size = cpp(self._lane.size) if self._in_rows else str(self._block)
            stored = MEMORY[step.body.dtype]
            lines.append(f"{stored}* __restrict out_{name} = scratch<{stored}>({self.next_slot}, {size});")
            self.next_slot += 1
        if step.kind is not Kind.REDUCE and self._needs_row(step):
            row = f"row_{step.buffer}"
            self._kept[step.buffer] = row
            size = " * ".join(
                [cpp(a.size) for a in self._kernel.reduced] + ([str(self._lanes)] if self._by_lanes else [])
            )
            stored = MEMORY[step.body.dtype]
            lines.append(f"{stored}* __restrict {row} = scratch<{stored}>({self.next_slot}, {size});")
            self.next_slot += 1
        return lines

    def _needs_row(self, step: Statement) -> bool:
        """Whether a later pass wants the value and no memory of its own has it."""
        if self._is_real(step.buffer) or not self._kernel.reduced:
            return False
        level = self._levels[id(step)]
        return any(
            self._levels[id(other)] > level and any(one.buffer == step.buffer for one in loads(other.body))
            for other in self._kernel.steps
        )

    def _is_real(self, buffer: str) -> bool:
        return self._program.buffers[buffer].place is not Place.TEMPORARY or buffer in self._shared

    def _row_place(self) -> str:
        """Where the present element lies in a kept row."""
        place = "0"
        for axis in self._kernel.reduced:
            if axis != self._lane:
                place = f"({place}) * {cpp(axis.size)} + {axis.name}" if place != "0" else axis.name
        if self._by_lanes:
            return f"({place}) * {self._lanes} + lane"
        assert self._lane is not None
        return f"({place}) * {cpp(self._lane.size)} + {self._lane.name}" if place != "0" else self._lane.name

    def _update(self, step: Statement, value: str, scope: _Scope) -> list[str]:
        name = self._array(step)
        if step.kind is Kind.SCATTER:
            place = f"{step.buffer}[{self._place(step.target, scope)}]"
            return [f"{place} = {value};" if step.operation == "set" else f"{place} = {place} + ({value});"]
        if step.kind is Kind.REDUCE and self._kernel.reduced:
            place = f"{name}[lane]" if self._by_lanes else self._accumulator(step)
            return [f"{place} = {text.COMBINE[step.operation].format(a=place, b=f'({value})')};"]
        lines = []
        if step.kind is Kind.SCAN:
            carried = f"carry_{step.buffer}{'[lane]' if self._by_lanes else ''}"
            lines.append(f"{carried} = {text.COMBINE[step.operation].format(a=carried, b=f'({value})')};")
            value = carried
        kind = TYPES[step.body.dtype]
        lines.append(f"const {kind} {name} = {value};")
        if self._is_streamed(step):
            place = self._lane.name if self._in_rows and self._lane is not None else "lane"
            return [*lines, f"out_{name}[{place}] = {name};"]
        if step.buffer in self._kept:
            lines.append(f"{self._kept[step.buffer]}[{self._row_place()}] = {name};")
        return [*lines, *self._stores(step, name)]

    def _is_streamed(self, step: Statement) -> bool:
        """Whether the elements are collected first and written past the caches: rows of results, and no pieces."""
        lane = self._lane
        return (
            self._stream
            and not self._by_lanes
            and lane is not None
            and step.kind in (Kind.MAP, Kind.SCAN)
            and lane in step.axes
            and bool(step.target.coeff(lane) == 1)
            and self._program.buffers[step.buffer].place is Place.OUTPUT
            and step.body.dtype.size_bytes >= _LEAST_STREAMED_BYTES
            and not self._read_again(step)
            and self._other_contiguous_axis() is None
        )

    def _read_again(self, step: Statement) -> bool:
        return any(one.buffer == step.buffer for other in self._kernel.steps for one in loads(other.body))

    def _streamed(self, step: Statement, first: str, count: str) -> list[str]:
        """What was collected, from `first` along the contiguous axis on."""
        lane = self._lane
        if lane is None or not self._is_streamed(step):
            return []
        base = cpp(replaced(step.target, {lane: sympy.Integer(0)}))
        return [f"stream(&{step.buffer}[{base} + {first}], out_{self._array(step)}, {count});"]

    def _after(self, step: Statement) -> list[str]:
        """A finished reduction gets its name, and goes to memory where others want it."""
        return self._finished(step) + self._after_stores(step)

    def _finished(self, step: Statement) -> list[str]:
        kind = TYPES[step.body.dtype]
        if not self._by_parts(step):
            return []
        return [f"const {kind} {self._array(step)} = static_cast<{kind}>(total_{step.buffer});"]

    def _after_stores(self, step: Statement) -> list[str]:
        if not self._is_real(step.buffer) or not self._kernel.reduced:
            return []
        if self._by_lanes:
            return self._lane_loop(self._stores(step, f"{self._array(step)}[lane]"))
        return self._stores(step, self._array(step))

    def _stores(self, step: Statement, value: str) -> list[str]:
        return [f"{step.buffer}[{cpp(step.target)}] = {value};"] if self._is_real(step.buffer) else []

    # Values

    def _invariants(self, steps: list[Statement]) -> list[str]:
        """What does not depend on the pass's loops is computed before it."""
        reduced = set(self._kernel.reduced)
        found: dict[int, Call] = {}
        for step in steps:
            for one in _outermost(step.body, lambda s: isinstance(s, Call) and not loops_in(s) & reduced):
                if any(isinstance(part, Load) for part in walk(one)):
                    found[id(one)] = one  # type: ignore[assignment]
        lines = []
        for one in found.values():
            if id(one) in self._names:
                continue
            scope = _Scope(names=dict(self._names))
            value = self._value(one, scope)
            name = self._name()
            kind = TYPES[one.dtype]
            if self._by_lanes:
                body = [*scope.lines, f"{name}[lane] = {value};"]
                lines += [f"{kind} {name}[{self._lanes}];", *self._lane_loop(body)]
                self._names[id(one)] = f"{name}[lane]"
            else:
                lines += [*scope.lines, f"const {kind} {name} = {value};"]
                self._names[id(one)] = name
        return lines

    def _name(self) -> str:
        self._count += 1
        return f"x{self._count}"

    def _value(self, scalar: Scalar, scope: _Scope) -> str:
        """The C++ of a value; parts that are not trivial get names in the scope."""
        if id(scalar) in scope.names:
            return scope.names[id(scalar)]
        if isinstance(scalar, Constant):
            return text.number(scalar.dtype, scalar.value)
        if isinstance(scalar, Position):
            return f"static_cast<{TYPES[scalar.dtype]}>({self._place(scalar.value, scope)})"
        if isinstance(scalar, Load):
            written = self._loaded(scalar, scope)
            if written.startswith("v_"):
                return written
        else:
            assert isinstance(scalar, Call)
            written = self._called(scalar, [self._value(a, scope) for a in scalar.arguments], scope)
        name = self._name()
        scope.define((LOADED if isinstance(scalar, Load) else TYPES)[scalar.dtype], name, written)
        scope.names[id(scalar)] = name
        return name

    def _called(self, one: Call, arguments: list[str], scope: _Scope) -> str:
        """A function of values; what all elements of a loop are divided by is turned around before the loop."""
        if one.function == "erf" and self._loose:
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

    def _is_turned(self, one: Call, divisor: str, scope: _Scope) -> bool:
        """Whether a division becomes a product: its divisor has a name and is the same all along the loop."""
        if not (self._reciprocal and scope.is_loop and one.dtype.is_floating and _WORD.fullmatch(divisor)):
            return False
        if scope.lane:
            return scope.is_common(divisor)
        varying = {axis for where in positions(one.arguments[1]) for axis in axes_of(where)} & set(self._kernel.reduced)
        return divisor not in scope.inside and not varying

    def _loaded(self, one: Load, scope: _Scope) -> str:
        producers = self._kernel.producers(one.buffer)
        if not producers:
            return f"{one.buffer}[{self._place(one.offset, scope)}]"
        step = producers[-1]
        rows = self._kernel.reduced and not set(step.axes) & set(self._kernel.reduced)
        if (step.kind is Kind.REDUCE or rows) and self._kernel.reduced:
            return f"{self._array(step)}[lane]" if self._by_lanes else self._array(step)
        if self._levels[id(step)] == self._current(scope, step):
            return self._array(step)
        if step.buffer in self._kept:
            return f"{self._kept[step.buffer]}[{self._row_place()}]"
        return f"{one.buffer}[{self._place(one.offset, scope)}]"

    def _current(self, scope: _Scope, step: Statement) -> int:
        """The step's own level if its value was computed in this scope, -1 otherwise."""
        mine = f"const {TYPES[step.body.dtype]} {self._array(step)} ="
        return self._levels[id(step)] if any(line.startswith(mine) for line in scope.lines) else -1

    def _place(self, where: Size, scope: _Scope) -> str:
        for one in sorted(where.atoms(Lookup), key=str):
            scope.define("int64_t", one.name, self._value(one.scalar, scope))
        return cpp(where)


def _around(axes: Sequence[Loop], body: list[str]) -> list[str]:
    """A body inside a loop over each axis, the last one innermost."""
    for axis in reversed(axes):
        head = f"for (int64_t {axis.name} = 0; {axis.name} < {cpp(axis.size)}; {axis.name}++) {{"
        body = [head, *("  " + line for line in body), "}"]
    return body


def _outermost(scalar: Scalar, wanted: object) -> Iterator[Scalar]:
    """The largest parts that are wanted."""
    assert callable(wanted)
    if wanted(scalar):
        yield scalar
        return
    for child in children(scalar):
        yield from _outermost(child, wanted)
