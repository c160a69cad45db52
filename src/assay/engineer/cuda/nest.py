"""One kernel in CUDA: which thread has which elements, and a pass for each level of dependence."""

from __future__ import annotations

from assay.core.dtypes import DType
from assay.engineer.codegen import text
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import cpp, product
from assay.engineer.codegen.nest import unravelled
from assay.engineer.codegen.program import Kind, Program, Statement
from assay.engineer.codegen.scope import Scope
from assay.engineer.codegen.text import TYPES
from assay.engineer.cuda.form import BLOCK, WARP, DeviceElements, DeviceForm, Shape
from assay.engineer.cuda.schedule import DeviceSchedule

_LONG = 512
"""Terms of a thread's own sum beyond which it is in double precision: a single one would err too much."""
_OPERATIONS = {"sum": "Sum", "prod": "Prod", "max": "Max", "min": "Min"}


class DeviceNest:
    """Writes one kernel. `block` are its threads, `grid` the number of blocks as a C++ expression of sizes."""

    def __init__(self, program: Program, kernel: Kernel, shared: set[str], schedule: DeviceSchedule) -> None:
        self._kernel, self._schedule = kernel, schedule
        self.form = DeviceForm(program, kernel, shared, schedule)
        self._elements = DeviceElements(self.form, {})
        self._names: dict[int, str] = {}

    @property
    def block(self) -> tuple[int, int]:
        """Threads along both axes of a block."""
        form = self.form
        if form.shape is Shape.MAP:
            return BLOCK, 1
        if form.shape is Shape.ROWS:
            return form.lanes, max(BLOCK // form.lanes, 1)
        return (WARP, form.slices) if form.slices > 1 else (BLOCK, 1)

    @property
    def per_block(self) -> int:
        """Elements of a map, or results, that a block has."""
        if self.form.shape is Shape.MAP:
            return BLOCK * self._schedule.unroll
        return self.block[1 if self.form.shape is Shape.ROWS else 0]

    def lines(self) -> list[str]:
        """The body of the kernel. `index` is the type of its positions. Called once."""
        total = cpp(product(axis.size for axis in self._kernel.outer))
        if self.form.shape is Shape.MAP:
            return self._map(cpp(product(axis.size for axis in self._kernel.axes)))
        which, lane = (
            ("threadIdx.y", "threadIdx.x") if self.form.shape is Shape.ROWS else ("threadIdx.x", "threadIdx.y")
        )
        lines = [
            f"const bool first = {lane} == 0;",
            f"const index results = {total};",
            f"const index mine = static_cast<index>(blockIdx.x) * {self.per_block} + {which};",
            "const bool valid = mine < results;  // all threads stay, for they wait for each other",
            "const index result = valid ? mine : results - 1;",
            *unravelled("result", list(self._kernel.outer)),
        ]
        return [*lines, *self._passes()]

    def _map(self, total: str) -> list[str]:
        scope = Scope()
        for step in self._kernel.steps:
            self._update(step, scope, guard="")
        return [
            f"const index total = {total};",
            "#pragma unroll",
            f"for (int each = 0; each < {self._schedule.unroll}; each++) {{",
            f"  const index at = (static_cast<index>(blockIdx.x) * {self._schedule.unroll} + each) * {BLOCK} "
            "+ threadIdx.x;",
            "  if (at >= total) return;",
            *("  " + line for line in unravelled("at", list(self._kernel.axes))),
            *("  " + line for line in scope.lines),
            "}",
        ]

    def _passes(self) -> list[str]:
        lines: list[str] = []
        reduced = set(self._kernel.reduced)
        for steps in self.form.passes():
            rows = [step for step in steps if not set(step.axes) & reduced]
            for step in rows:
                lines += self._row_step(step)
            inner = [step for step in steps if step not in rows]
            if inner:
                lines += self._pass(inner)
        return lines

    def _row_step(self, step: Statement) -> list[str]:
        """A statement over results only, between passes; every thread computes it, one stores it."""
        scope = Scope(names=dict(self._names))
        name, kind = self.form.array(step), TYPES[step.body.dtype]
        value = self._elements.value(step.body, scope)
        self._names |= {key: known for key, known in scope.names.items() if key not in self._names}
        stored = self._stored(step, name, scope, "valid && first")  # which may look up where, in the same scope
        return [*scope.lines, f"const {kind} {name} = {value};", *stored]

    def _pass(self, steps: list[Statement]) -> list[str]:
        scanned = self.form.shape is Shape.ROWS and any(step.kind is Kind.SCAN for step in steps)
        before = [line for step in steps for line in self._accumulators(step)]
        scope = Scope(names=dict(self._names))
        for step in steps:
            self._update(step, scope, guard="valid && inside" if scanned else "valid")
        after = [line for step in steps if step.kind is Kind.REDUCE for line in self._finished(step)]
        first, width = ("threadIdx.x", "blockDim.x") if self.form.shape is Shape.ROWS else ("threadIdx.y", "blockDim.y")
        total = cpp(product(axis.size for axis in self._kernel.reduced))
        places = unravelled("term", list(self._kernel.reduced))
        if scanned:
            head = [
                f"for (index begin = 0; begin < {total}; begin += {width}) {{",
                f"  const bool inside = begin + {first} < {total};",
                f"  const index term = inside ? begin + {first} : {total} - 1;",
            ]
        else:
            head = [f"for (index term = {first}; term < {total}; term += {width}) {{"]
        body = [*places, *scope.lines]
        return [*before, *head, *("  " + line for line in body), "}", *after]

    def _update(self, step: Statement, scope: Scope, guard: str) -> None:
        """What is done with one element's value, at the end of `scope`."""
        value = self._elements.value(step.body, scope)
        name, kind = self.form.array(step), TYPES[step.body.dtype]
        if step.kind is Kind.SCATTER:
            place = f"{step.buffer}[{self._elements.place(step.target, scope)}]"
            added = value if step.operation == "set" else f"{place} + ({value})"
            scope.lines.append(f"if ({guard}) {place} = {added};")
            return
        if step.kind is Kind.REDUCE and self._kernel.reduced:
            operation = _OPERATIONS[step.operation]
            scope.lines.append(f"{name}_ = {operation}::of({name}_, static_cast<{self._total(step)}>({value}));")
            return
        if step.kind is Kind.SCAN:
            value = self._scanned(step, value)
        scope.lines.append(f"const {kind} {name} = {value};")
        scope.inside.add(name)
        scope.lines += self._stored(step, name, scope, guard)

    def _scanned(self, step: Statement, value: str) -> str:
        total, carry = self._total(step), f"carry_{step.buffer}"
        operation = _OPERATIONS[step.operation]
        if self.form.shape is Shape.ROWS:
            start = text.start(step.operation, step.body.dtype)
            element = f"static_cast<{total}>(inside ? {value} : {start})"
            return f"static_cast<{TYPES[step.body.dtype]}>(scan_row<{operation}>({element}, {carry}))"
        return (
            f"static_cast<{TYPES[step.body.dtype]}>({carry} = {operation}::of({carry}, static_cast<{total}>({value})))"
        )

    def _accumulators(self, step: Statement) -> list[str]:
        if step.kind not in (Kind.REDUCE, Kind.SCAN) or not self._kernel.reduced:
            return []
        name = f"{self.form.array(step)}_" if step.kind is Kind.REDUCE else f"carry_{step.buffer}"
        return [f"{self._total(step)} {name} = {text.start(step.operation, step.body.dtype)};"]

    def _finished(self, step: Statement) -> list[str]:
        """A reduction's result, in every thread that had a part of it."""
        name, kind = self.form.array(step), TYPES[step.body.dtype]
        how = "combine_row" if self.form.shape is Shape.ROWS else "combine_column"
        value = f"static_cast<{kind}>({how}<{_OPERATIONS[step.operation]}>({name}_))"
        scope = Scope(names=dict(self._names))
        stored = self._stored(step, name, scope, "valid && first")
        return [f"const {kind} {name} = {value};", *scope.lines, *stored]

    def _stored(self, step: Statement, value: str, scope: Scope, guard: str) -> list[str]:
        """To memory, where the buffer has any."""
        if not self.form.is_real(step.buffer):
            return []
        store = f"{step.buffer}[{self._elements.place(step.target, scope)}] = {value};"
        return [f"if ({guard}) {store}" if guard else store]

    def _total(self, step: Statement) -> str:
        """The type in which a thread gathers: long sums and what a scan carries are in double precision."""
        kind = step.body.dtype
        if not kind.is_floating or step.operation not in ("sum", "prod"):
            return TYPES[kind] if kind is not DType.BOOL else "int"
        terms = self.form.hinted(product(axis.size for axis in self._kernel.reduced))
        own = terms // (self.form.lanes if self.form.shape is Shape.ROWS else self.form.slices)
        return "double" if step.kind is Kind.SCAN or own > _LONG else TYPES[kind]
