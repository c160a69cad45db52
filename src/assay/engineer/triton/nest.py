"""One kernel of a program in Triton: the same passes as on a CPU, over tiles.

Two bodies. Held: a program's rows lie in one tile, every value is computed once. Looped: tiles go along the rows, once
for each level of dependence; sums are kept for each place of the tile and added up at the end, so an error grows with
the number of tiles and not of elements. Values that an earlier pass has computed are computed again.
"""

from __future__ import annotations

from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.program import Kind, Place, Program, Statement, Unsupported
from assay.engineer.codegen.scalars import axes_of, loads
from assay.engineer.codegen.schedule import Schedule as HostSchedule
from assay.engineer.triton.elements import Elements, Scope, label
from assay.engineer.triton.frame import Tile, contiguous_axis
from assay.engineer.triton.text import COMBINE, MEMORY, REDUCE, SCAN, TYPES, size, start


class Nest:
    """Writes one kernel. `shared` are the temporaries that have memory between kernels."""

    def __init__(self, program: Program, kernel: Kernel, shared: set[str]) -> None:
        self._program, self._kernel = program, kernel
        self._form = Form(program, kernel, shared, HostSchedule(), contiguous_axis(kernel))
        self.tile = Tile.of(self._form)
        self._levels = self._form.levels
        self._elements = Elements(program, kernel, self.tile)
        self._stored: dict[str, None] = {}

    @property
    def can_loop(self) -> bool:
        """Whether a row may be longer than a tile: what a scan made cannot be computed again in a later pass."""
        scanned = {s.buffer: self._levels[id(s)] for s in self._kernel.steps if _kind(s) is Kind.SCAN}
        return not any(
            one.buffer in scanned and self._levels[id(step)] > scanned[one.buffer]
            for step in self._kernel.steps for one in loads(step.body)
        )  # fmt: skip

    @property
    def by_lanes(self) -> bool:
        """Whether memory is contiguous along an axis that is not reduced."""
        return self._form.by_lanes

    @property
    def turned(self) -> bool:
        """Whether memory is contiguous along both dimensions of the tile, each for another tensor."""
        return self._form.other_axis is not None

    @property
    def buffers(self) -> tuple[str, ...]:
        """What the kernel reads and writes, known once a body is written."""
        return tuple(dict.fromkeys((*self._elements.used, *self._stored)))

    def held(self) -> list[str]:
        """The body whose tile holds whole rows, or a plain map's."""
        scope, lines = Scope(), self.tile.places()
        if self.tile.looped:
            lines += ["col = tl.arange(0, BLOCK)[None, :]", *self.tile.columns_from("col")]
        for steps in self._passes():
            for step in steps:
                self._held_step(step, scope)
        return [*lines, *scope.lines]

    def looped(self) -> list[str]:
        """The body that goes along rows of any length."""
        scope = Scope(lines=self.tile.places())
        for steps in self._passes():
            for step in steps:
                if not self._is_full(step):
                    self._held_step(step, scope)
            inner = [one for one in steps if self._is_full(one) and (_kind(one) is not Kind.MAP or self._real(one))]
            if inner:
                self._pass(inner, scope)
        return scope.lines

    def _pass(self, steps: list[Statement], outer: Scope) -> None:
        scope, after = Scope(outer), Scope(outer)
        scope.lines += ["col = start + tl.arange(0, BLOCK)[None, :]", *self.tile.columns_from("col")]
        for step in steps:
            name, begin = self._name(step), start(step.operation, step.body.dtype)
            kind = _total(step)
            if _kind(step) is Kind.MAP:
                self._store(step, self._elements.value(step.body, scope), scope)
                continue
            edge = self._masked(step, scope)
            if _kind(step) is Kind.REDUCE:
                outer.lines.append(f"{name} = tl.full((ROWS, BLOCK), {begin}, {kind})")
                scope.lines.append(f"{name} = {COMBINE[step.operation].format(a=name, b=edge)}")
                after.lines.append(f"{name} = {self._shrunk(step, name)}")
                self._elements.finished[step.buffer] = name
                self._store(step, name, after)
            else:
                outer.lines.append(f"{name} = tl.full((ROWS, 1), {begin}, {kind})")
                run = self._elements.name()
                combine, scanned = COMBINE[step.operation], SCAN[step.operation].format(v=edge)
                scope.lines.append(f"{run} = {combine.format(a=name, b=scanned)}")
                scope.lines.append(f"{name} = {combine.format(a=name, b=self._shrunk(step, edge))}")
                self._made(step, run, scope)
        head = f"for start in range(0, {size(self.tile.columns)}, BLOCK):"
        outer.lines += [head, *("    " + line for line in scope.lines), *after.lines]

    def _held_step(self, step: Statement, scope: Scope) -> None:
        if _kind(step) is Kind.MAP:
            value = self._elements.value(step.body, scope)
            if not self._is_full(step):
                self._elements.finished[step.buffer] = value
            self._store(step, value, scope)
            return
        name, edge = self._name(step), self._masked(step, scope)
        if _kind(step) is Kind.REDUCE:
            scope.lines.append(f"{name} = {self._shrunk(step, edge)}")
            self._elements.finished[step.buffer] = name
            self._store(step, name, scope)
        else:
            scope.lines.append(f"{name} = {SCAN[step.operation].format(v=edge)}")
            self._made(step, name, scope)

    def _made(self, step: Statement, name: str, scope: Scope) -> None:
        """A scan's value is known under its buffer, as a reduction's is."""
        self._elements.finished[step.buffer] = name
        self._store(step, name, scope)

    def _masked(self, step: Statement, scope: Scope) -> str:
        """The value with what counts as nothing beyond the edge; bool is counted as int32."""
        value, name = self._elements.value(step.body, scope), self._elements.name()
        kind = _total(step)
        value = f"{value}.to({kind})" if kind != TYPES[step.body.dtype] else value
        nothing = f"tl.full((1, 1), {start(step.operation, step.body.dtype)}, {kind})"
        scope.lines.append(f"{name} = tl.where(both, {value}, {nothing})")
        return name

    def _shrunk(self, step: Statement, value: str) -> str:
        found = REDUCE[step.operation].format(v=value)
        return f"({found} != 0)" if _total(step) != TYPES[step.body.dtype] else found

    def _store(self, step: Statement, value: str, scope: Scope) -> None:
        if not self._real(step):
            return
        self._stored[step.buffer] = None
        axes = axes_of(step.target) | set(step.axes)
        axes -= set(step.reduced) if _kind(step) is Kind.REDUCE else set()
        second = bool(self.tile.second) and bool(axes & set(self.tile.second))
        mask, shape = ("both", "(ROWS, BLOCK)") if second else ("inside", "(ROWS, 1)")
        place, name = self._elements.place(step.target, scope), label(self._program.buffers[step.buffer])
        where, what = (f"tl.broadcast_to({text}, {shape})" for text in (f"{name} + {place}", value))
        scope.lines.append(f"tl.store({where}, {what}, mask={mask})")

    def _real(self, step: Statement) -> bool:
        return self._form.is_real(step.buffer)

    def _is_full(self, step: Statement) -> bool:
        """Whether a statement runs along the second dimension."""
        return bool(set(step.axes) & set(self._kernel.reduced)) or not self._kernel.reduced

    def _passes(self) -> list[list[Statement]]:
        """The statements of each pass, those over rows only first."""
        return [sorted(steps, key=self._is_full) for steps in self._form.passes()]

    def _name(self, step: Statement) -> str:
        if len([s for s in self._kernel.producers(step.buffer) if s.kind is not Kind.MAP]) > 1:
            raise Unsupported("several reductions into one buffer")
        return f"v_{step.buffer}"


def _kind(step: Statement) -> Kind:
    """What a statement does here: over axes of size one, which are none, nothing is reduced."""
    return step.kind if step.reduced else Kind.MAP


def _total(step: Statement) -> str:
    """What a reduction is gathered in."""
    return TYPES[step.body.dtype].replace("tl.int1", "tl.int32")


def function(name: str, parameters: list[str], constants: list[str], casts: list[str], body: list[str]) -> str:
    """A kernel's text."""
    given = ", ".join([*parameters, *(f"{constant}: tl.constexpr" for constant in constants)])
    lines = ["@triton.jit", f"def {name}({given}):", *("    " + line for line in (*casts, *body))]
    return "\n".join(lines) + "\n"


def cast(program: Program, name: str) -> list[str]:
    """Scratch memory is bytes until a kernel says what lies there."""
    buffer = program.buffers[name]
    if buffer.place is not Place.TEMPORARY:
        return []
    return [f"{name} = {name}.to(tl.pointer_type({MEMORY[buffer.dtype]}))"]
