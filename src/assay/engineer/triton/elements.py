"""The Triton of one tile's elements: every part gets a name once, and what a loop has in common goes before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Lookup, Loop, Size
from assay.engineer.codegen.program import Buffer, Kind, Place, Program
from assay.engineer.codegen.scalars import Call, Constant, Load, Position, Scalar, axes_of, positions
from assay.engineer.triton.frame import Tile
from assay.engineer.triton.text import HALVES, TYPES, called, number, size

_COMPARED = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_SMALL = 1 << 30


@dataclass(slots=True)
class Scope:
    """Lines of one body and the names of what was computed there; `outer` is where the body stands.

    Where `guard` is the name of a mask, memory is read under it too.
    """

    outer: Scope | None = None
    lines: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    guard: str = ""

    def known(self, scalar: Scalar) -> str | None:
        """The name of a value that was computed here or further out."""
        found = self.names.get(id(scalar))
        return found if found or self.outer is None else self.outer.known(scalar)


class Elements:
    """Writes the values of one kernel. `finished` names what earlier passes have reduced, by buffers.

    `used` collects the buffers whose memory is read.
    """

    def __init__(self, program: Program, kernel: Kernel, tile: Tile) -> None:
        self._program, self._kernel, self._tile = program, kernel, tile
        self.finished: dict[str, str] = {}
        self.used: dict[str, None] = {}
        self._count = 0

    def name(self) -> str:
        """A new one."""
        self._count += 1
        return f"x{self._count}"

    def value(self, scalar: Scalar, scope: Scope) -> str:
        """The name of a value, after the lines that compute it."""
        if (found := scope.known(scalar)) is not None:
            return found
        if scope.outer is not None and not scope.guard and not self._varies(scalar):
            return self.value(scalar, scope.outer)
        if isinstance(scalar, Load) and (found := self._made_here(scalar, scope)) is not None:
            return found
        name = self.name()
        written = self._written(scalar, scope)
        scope.lines.append(f"{name} = {written}")
        scope.names[id(scalar)] = name
        return name

    def place(self, where: Size, scope: Scope) -> str:
        """A position, after the lines that look up what it is made of."""
        for one in sorted(where.atoms(Lookup), key=str):
            line = f"{one.name} = {self.value(one.scalar, scope)}"
            if line not in scope.lines:
                scope.lines.append(line)
        return size(where)

    def mask(self, axes: set[Loop], guard: str = "") -> str:
        """What an access along these axes is masked with; empty where every program has the one place."""
        first, second = bool(axes & set(self._tile.first)), bool(axes & set(self._tile.second))
        edge = "both" if first and second else "inside" if first else "within" if second else ""
        return f"{edge} & {guard}" if edge and guard else edge or guard

    def _written(self, scalar: Scalar, scope: Scope) -> str:
        if isinstance(scalar, Constant):
            return number(scalar.dtype, scalar.value)
        if isinstance(scalar, Position):
            if scalar.value.is_Integer:
                return number(scalar.dtype, int(scalar.value))
            return f"tl.cast({self.place(scalar.value, scope)}, {TYPES[scalar.dtype]})"
        if isinstance(scalar, Load):
            return self._loaded(scalar, scope)
        assert isinstance(scalar, Call)
        if scalar.function == "guarded":
            condition, body, otherwise = scalar.arguments
            wanted, rest = self.value(condition, scope), self.value(otherwise, scope)
            inner = Scope(scope, scope.lines, {}, self._both(scope.guard, wanted, scope))
            return f"tl.where({wanted}, {self.value(body, inner)}, {rest})"
        if scalar.function in _COMPARED and (plain := _plain(scalar)) is not None:
            return plain
        return called(scalar, [self.value(a, scope) for a in scalar.arguments])

    def _both(self, guard: str, wanted: str, scope: Scope) -> str:
        """A mask inside of another: what the outer one leaves out was not looked up either, and may say anything."""
        if not guard:
            return wanted
        name = self.name()
        scope.lines.append(f"{name} = {guard} & {wanted}")
        return name

    def _loaded(self, one: Load, scope: Scope) -> str:
        self.used[one.buffer] = None
        buffer = self._program.buffers[one.buffer]
        if buffer.place is Place.NUMBER:
            return f"tl.cast({label(buffer)}, {TYPES[one.dtype]})"
        axes = axes_of(one.offset)
        guard = scope.guard if axes & set(self._tile.second) else ""
        place = f"{label(buffer)} + {self.place(one.offset, scope)}"
        place += f" + {guard}.to(tl.int32) * 0" if guard else ""  # the mask's own shape
        mask = self.mask(axes, guard)
        text = f"tl.load({place}, mask={mask}, other=0)" if mask else f"tl.load({place})"
        return f"{text}.to(tl.float32)" if one.dtype in HALVES else text

    def _made_here(self, one: Load, scope: Scope) -> str | None:
        """The value where a statement of this kernel fills the buffer: finished already, or computed again."""
        if one.buffer in self.finished:
            return self.finished[one.buffer]
        producers = self._kernel.producers(one.buffer)
        if not producers:
            return None
        step = producers[-1]
        if (found := scope.known(step.body)) is not None and (step.kind is Kind.MAP or not step.reduced):
            return found
        return self.value(step.body, scope)

    def _varies(self, scalar: Scalar) -> bool:
        """Whether a value changes along the second dimension."""
        axes = {axis for where in positions(scalar) for axis in axes_of(where)}
        return bool(axes & set(self._tile.second))


def _plain(scalar: Scalar) -> str | None:
    """A comparison of places and their differences, which need no 64 bits where places need none."""
    match scalar:
        case Position(value=value) if isinstance(value, Loop):
            return str(value.name)
        case Constant(value=int() as value) if not isinstance(value, bool) and abs(value) < _SMALL:
            return str(value)
        case Call(function=name, arguments=(a, b)) if name == "sub" or name in _COMPARED:
            left, right = _plain(a), _plain(b)
            return None if left is None or right is None else f"({left} {_COMPARED.get(name, '-')} {right})"
    return None


def label(buffer: Buffer) -> str:
    """What a kernel and its plan call a buffer: by its place, for a task's own names may mean something here."""
    role = {Place.INPUT: "in", Place.WEIGHT: "weight", Place.OUTPUT: "out", Place.NUMBER: "scalar"}.get(buffer.place)
    return buffer.name if role is None else f"{role}{buffer.index}"
