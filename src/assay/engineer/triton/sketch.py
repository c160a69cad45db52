"""Programs written down as formulas, for the families: tensors of any sizes, and terms that broadcast as PyTorch's do.

    s = Sketch()
    x = s.input(0, DType.FLOAT32, (None, None))
    e = (x - x.max(1)).exp()
    s.output(e / e.sum(1), DType.FLOAT32)
    source = s.source(Schedule())

A size that is None is read from the call. Reductions keep their dimensions. Half-precision tensors become float32 as
they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.finish import finished
from assay.engineer.codegen.fuse import fuse
from assay.engineer.codegen.index import Lookup, Size
from assay.engineer.codegen.lower import Lowering
from assay.engineer.codegen.program import Buffer, Kind, Place, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, position, start_program
from assay.engineer.codegen.values import Value
from assay.engineer.graph import Graph
from assay.engineer.triton.attention import with_attention
from assay.engineer.triton.emit import write
from assay.engineer.triton.operands import StridedProduct
from assay.engineer.triton.products import Precision
from assay.engineer.triton.scatters import without_scatters
from assay.engineer.triton.schedule import Schedule
from assay.engineer.triton.source import DeviceSource
from assay.engineer.triton.splitting import with_splits
from assay.engineer.triton.text import HALVES

Sizes = Sequence[int | None]
"""A shape whose None's are read from the call."""


class Sketch:
    """One program on its way. `hints` say what a size will be, by its name: for tiles, never for results."""

    def __init__(self, hints: Mapping[str, int] | None = None) -> None:
        start_program()
        self.lowering = Lowering(Graph((), (), {}, (), (), (), hints or {}), keep=False)
        self.sizes: dict[str, str] = {}

    def size(self, expression: str) -> Size:
        """A size by its place in a plan, such as `in0.shape[1]`."""
        name = "".join(c if c.isalnum() else "_" for c in expression).strip("_")
        self.sizes[name] = expression
        return sympy.Symbol(name, integer=True, positive=True)

    def input(
        self, index: int, dtype: DType, shape: Sequence[Size | int | None], *, place: Place = Place.INPUT,
        strided: bool = False,
    ) -> Term:  # fmt: skip
        """A tensor of the call: `in0`, or `weight0`. `strided`: its strides are read too, the last one excepted."""
        name = f"{'in' if place is Place.INPUT else 'weight'}{index}"
        sizes = tuple(self.size(f"{name}.shape[{d}]") if n is None else sympy.sympify(n) for d, n in enumerate(shape))
        strides = ix.contiguous(sizes)
        if strided:
            outer = (self.size(f"{name}.stride[{d}]") for d in range(len(sizes) - 1))
            strides = (*outer, *strides[len(sizes) - 1 :])
        self.lowering.program.buffers[name] = Buffer(name, sizes, strides, dtype, place, index)
        value = vs.stored(name, sizes, strides, dtype)
        return Term(self, value).to(DType.FLOAT32) if dtype in HALVES else Term(self, value)

    def filled(self, like: Term, number: float) -> Term:
        """The same number everywhere, in the type and shape of a term."""
        return Term(self, vs.filled(like.value.shape, like.value.dtype, number))

    def places(self, like: Term, dim: int) -> Term:
        """The place along a dimension, as int64."""
        return Term(self, Value(like.value.shape, DType.INT64, lambda at: position(DType.INT64, at[dim])))

    def output(self, term: Term, dtype: DType) -> None:
        """The next result; it lies without gaps."""
        term, order = term.to(dtype), range(len(term.value.shape))
        held = vs.in_memory(self.lowering.program, term.value, order)
        found = held if held is not None and held.place is Place.TEMPORARY else self.lowering._copied(term.value, order)
        found.shape, found.stride = term.value.shape, ix.contiguous(term.value.shape)
        found.place, found.index = Place.OUTPUT, len(self.lowering.program.outputs)
        self.lowering.program.outputs.append(found.name)

    def strided_product(self, product: StridedProduct) -> Term:
        """The product of operands that say where they lie, [batch, m, n]; its `buffer` is made here."""
        buffer = self.lowering.new((product.batch, product.m, product.n), DType.FLOAT32)
        self.lowering.program.steps.append(replace(product, buffer=buffer.name))
        return Term(self, vs.held(buffer))

    def stored(self, term: Term) -> str:
        """The name of a buffer that holds a term."""
        buffer = self.lowering.stored(term.value).buffer
        assert buffer is not None
        return buffer

    def scattered(self, base: Term, dim: int, lookup: Term, source: Term) -> Term:
        """`base` with the rows of `source` added where `lookup` [rows] says, along a dimension."""
        buffer = self.lowering._copied(base.value, range(len(base.value.shape)))
        axes = source.value.loops()
        at = [Lookup(lookup.value.at((a,))) if d == dim else a for d, a in enumerate(axes)]
        target, body = ix.flatten(at, buffer.stride), source.value.at(axes)
        step = Statement(Kind.SCATTER, buffer.name, axes, target, body, "sum", (axes[dim],))
        self.lowering.program.steps.append(step)
        return Term(self, vs.held(buffer))

    def source(self, schedule: Schedule, precision: Precision = Precision.IEEE) -> DeviceSource:
        """The candidate's file; once."""
        program = without_scatters(self.lowering.program)
        steps = with_attention(program, finished(fuse(program, apart=schedule.apart)))
        return write(program, with_splits(program, steps, schedule), schedule, precision, self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A tensor that need not exist, with PyTorch's operators."""

    sketch: Sketch
    value: Value

    def to(self, dtype: DType) -> Term:
        """Converted."""
        return self if self.value.dtype is dtype else self._made("convert", dtype)

    def apply(self, function: str, *others: Term | float | Size, dtype: DType | None = None) -> Term:
        """A function of the generator's by name; numbers and sizes take this term's type."""
        return self._made(function, dtype or self.value.dtype, *others)

    def _made(self, function: str, dtype: DType, *others: Term | float | Size) -> Term:
        terms = [self, *(self._term(other) for other in others)]
        shape = broadcast_shape([term.value.shape for term in terms])
        spread = [vs.broadcast(t.value, shape, range(len(shape))) for t in terms]
        return Term(self.sketch, vs.mapped(function, dtype, spread))

    def _term(self, other: Term | float | Size) -> Term:
        if isinstance(other, Term):
            return other
        shape = (sympy.Integer(1),) * len(self.value.shape)
        if isinstance(other, (bool, int, float)):
            return Term(self.sketch, vs.filled(shape, self.value.dtype, other))
        return Term(self.sketch, vs.numbers(shape, self.value.dtype, other))

    def __add__(self, other: Term | float) -> Term:
        return self.apply("add", other)

    def __sub__(self, other: Term | float) -> Term:
        return self.apply("sub", other)

    def __rsub__(self, other: float) -> Term:
        return self._term(other).apply("sub", self)

    def __mul__(self, other: Term | float) -> Term:
        return self.apply("mul", other)

    def __truediv__(self, other: Term | float) -> Term:
        return self.apply("div", other)

    def __neg__(self) -> Term:
        return self.apply("neg")

    __radd__, __rmul__ = __add__, __mul__

    def is_(self, comparison: str, other: Term | float) -> Term:
        """Compared: "lt", "le", "gt", "ge", "eq" or "ne"."""
        return self.apply(comparison, other, dtype=DType.BOOL)

    def exp(self) -> Term:
        """e to its power."""
        return self.apply("exp")

    def log(self) -> Term:
        """Its natural logarithm."""
        return self.apply("log")

    def larger(self, other: Term | float) -> Term:
        """The larger one of both."""
        return self.apply("maximum", other)

    def where(self, condition: Term, otherwise: Term | float) -> Term:
        """Itself where the condition holds."""
        rest = otherwise if isinstance(otherwise, Term) else self._term(otherwise)
        return condition._made("where", self.value.dtype, self, rest)

    def sum(self, *dims: int) -> Term:
        """Over dimensions, which become 1."""
        return self.reduced("sum", dims)

    def mean(self, *dims: int) -> Term:
        """Over dimensions, which become 1."""
        return self.sum(*dims).apply("div", ix.product(self.value.shape[d] for d in dims))

    def max(self, *dims: int) -> Term:
        """Over dimensions, which become 1; NaN where one is."""
        return self.reduced("max", dims)

    def reduced(self, operation: str, dims: Sequence[int]) -> Term:
        """Over dimensions by "sum", "prod", "max" or "min"; they become 1."""
        rank = len(self.value.shape)
        dims = sorted(d % rank for d in dims)
        found = self.sketch.lowering.reduced(self.value, dims, operation, self.value.dtype)
        shape = tuple(sympy.Integer(1) if d in dims else n for d, n in enumerate(self.value.shape))
        kept = [d for d in range(rank) if d not in dims]
        return Term(self.sketch, vs.viewed(found, shape, lambda at: tuple(at[d] for d in kept), same_order=True))

    def squeezed(self, *dims: int) -> Term:
        """Without dimensions of size one."""
        rank = len(self.value.shape)
        gone = {d % rank for d in dims}
        kept = [d for d in range(rank) if d not in gone]
        zero = sympy.Integer(0)

        def where(at: vs.Index) -> vs.Index:
            places = dict(zip(kept, at, strict=True))
            return tuple(places.get(d, zero) for d in range(rank))

        shape = [self.value.shape[d] for d in kept]
        return Term(self.sketch, vs.viewed(self.value, shape, where, same_order=True))

    def unsqueezed(self, *dims: int) -> Term:
        """With dimensions of size one, at these places of the result."""
        rank = len(self.value.shape) + len(dims)
        kept = [d for d in range(rank) if d not in dims]
        sizes = dict(zip(kept, self.value.shape, strict=True))
        shape = tuple(sizes.get(d, sympy.Integer(1)) for d in range(rank))
        return Term(self.sketch, vs.viewed(self.value, shape, lambda at: tuple(at[d] for d in kept), same_order=True))

    def spread(self, shape: Sequence[Size]) -> Term:
        """Repeated along dimensions of size one."""
        return Term(self.sketch, vs.broadcast(self.value, tuple(shape), range(len(shape))))

    def reshaped(self, shape: Sequence[Size]) -> Term:
        """The same elements in the same order."""
        return Term(self.sketch, vs.reshaped(self.value, [sympy.sympify(n) for n in shape]))

    def looked_up(self, dim: int, lookup: Term) -> Term:
        """The elements along a dimension that `lookup`, of the result's shape, says."""
        value = self.value

        def at(where: vs.Index) -> Scalar:
            rest = tuple(sympy.Integer(0) if n == 1 else i for i, n in zip(where, value.shape, strict=True))
            return value.at((*rest[:dim], Lookup(lookup.value.at(where)), *rest[dim + 1 :]))

        return Term(self.sketch, Value(lookup.value.shape, value.dtype, at))

    def scanned(
        self, operation: str, dim: int, dtype: DType, *, reverse: bool = False, exclusive: bool = False
    ) -> Term:
        """Each element from those before it, itself included unless `exclusive`, or from those behind it.

        It is stored as `dtype`, and carried in this term's type.
        """
        value, lowering = self.value, self.sketch.lowering
        dim %= len(value.shape)
        buffer, axes = lowering.new(value.shape, dtype), value.loops()
        along = axes[dim]
        place = value.shape[dim] - 1 - along if reverse else along
        at = (*axes[:dim], place, *axes[dim + 1 :])
        body = value.at(at)
        if exclusive:
            first = call(DType.BOOL, "gt", position(DType.INT64, along), position(DType.INT64, sympy.Integer(0)))
            before = value.at((*axes[:dim], place + 1 if reverse else place - 1, *axes[dim + 1 :]))
            body = call(value.dtype, "guarded", first, before, self._term(operation == "prod").value.at(at))
        step = Statement(Kind.SCAN, buffer.name, axes, ix.flatten(at, buffer.stride), body, operation, (along,))
        lowering.program.steps.append(step)
        return Term(self.sketch, vs.held(buffer))


def broadcast_shape(shapes: Sequence[Sequence[Size]]) -> tuple[Size, ...]:
    """The common shape of tensors of one rank. Raises Unsupported where there is none."""
    found: list[Size] = []
    for sizes in zip(*shapes, strict=True):
        large = [n for n in sizes if n != 1]
        if any(not ix.same(n, large[0]) for n in large):
            raise Unsupported(f"sizes that do not broadcast: {sizes}")
        found.append(large[0] if large else sympy.Integer(1))
    return tuple(found)
