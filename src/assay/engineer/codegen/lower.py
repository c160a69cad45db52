"""From a graph to a program: views and maps are composed, reductions and scans become statements.

The graph's operators are PyTorch's prims, some sixty in all, and a few ATen operators that the tracer keeps whole.
Raises `Unsupported` for any other, with its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.convolution import GENERATORS as CONVOLUTIONS
from assay.engineer.codegen.index import Lookup, Size
from assay.engineer.codegen.program import Buffer, Kind, Place, Product, Program, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, call, constant, position, start_program
from assay.engineer.codegen.values import Value
from assay.engineer.codegen.windows import GENERATORS as WINDOWS
from assay.engineer.graph import Graph, Node, Reference

_MAPS = {
    "add", "sub", "mul", "div", "neg", "abs", "sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log1p",
    "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "erf", "erfc", "floor",
    "ceil", "trunc", "round", "sign", "maximum", "minimum", "pow", "eq", "ne", "lt", "le", "gt", "ge", "where",
    "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "remainder", "fmod", "atan2", "isfinite",
}  # fmt: skip
"""prims.NAME is the prelude's function NAME."""
_HEAVY = {
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin",
    "acos", "atan", "erf", "erfc", "pow", "atan2",
}  # fmt: skip
"""Costs ten to thirty instructions an element."""
_SAME = {"prims.clone", "prims.view_of", "aten.alias", "prims.copy_strided", "aten.clone", "prims.device_put"}
_VIEWS = {"aten.as_strided", "prims.broadcast_in_dim", "prims.transpose", "prims.split_dim", "prims.collapse_view",
          "prims.squeeze", "prims.view_of", "aten.alias"}  # fmt: skip
_REDUCTIONS = {"prims.sum": "sum", "prims.amax": "max", "prims.amin": "min", "prims.prod": "prod"}
_GENERATORS = WINDOWS | CONVOLUTIONS
_SCANS = {"aten.cumsum": "sum", "aten.cumprod": "prod", "aten.cummax": "max"}


def lower(graph: Graph, *, keep: bool = True) -> Program:
    """The program of a graph; `keep` stores heavy values that several others use, instead of computing them again."""
    start_program()
    return Lowering(graph, keep).run()


class Lowering:
    """One graph on its way to a program."""

    def __init__(self, graph: Graph, keep: bool) -> None:
        self._graph, self._keep = graph, keep
        self.program = Program(hints=graph.hints)
        self._values: dict[str, Value | tuple[Value | None, ...]] = {}
        self._roots: dict[str, str] = {}
        # With the value itself, so that its identity stays its own.
        self._reductions: dict[tuple[int, tuple[int, ...], str, DType], tuple[Value, Value]] = {}
        self._uses = Counter(
            name
            for node in graph.nodes
            for name in dict.fromkeys(_references([*node.arguments, *node.options.values()]))
        )

    def run(self) -> Program:
        """All of the graph; once."""
        for index, name in enumerate(self._graph.inputs):
            self._placeholder(name, Place.INPUT, index)
        for name, index in self._graph.scalars.items():
            self._placeholder(name, Place.NUMBER, index)
        for index, name in enumerate(self._graph.weights):
            self._placeholder(name, Place.WEIGHT, index)
        for node in self._graph.nodes:
            self._lower(node)
        for index, name in enumerate(self._graph.outputs):
            self._output(name, index)
        return self.program

    def _placeholder(self, name: str, place: Place, index: int) -> None:
        kind = self._node(name).type
        self.program.buffers[name] = Buffer(name, kind.shape, kind.stride, kind.dtype, place, index)
        self._values[name] = vs.stored(name, kind.shape, kind.stride, kind.dtype)

    def _lower(self, node: Node) -> None:
        if node.operator in ("placeholder", "size") or node.operator.startswith("aten.sym_"):
            return
        if node.operator == "getitem":
            self._values[node.name] = self._many(node.arguments[0])[node.arguments[1]] or self._missing(node)
            return
        found = self._value(node)
        if len(node.types) == 1 and isinstance(found, Value):
            found = Value(found.shape, node.type.dtype, found.at, found.buffer, found.heavy)
            if self._keep and found.heavy and found.buffer is None and self._uses[node.name] > 1:
                found = self.stored(found)
        self._values[node.name] = found
        if node.operator in _VIEWS:
            base = node.arguments[0].name
            self._roots[node.name] = self._roots.get(base, base)

    def _value(self, node: Node) -> Value | tuple[Value | None, ...]:
        operator, arguments = node.operator, node.arguments
        name = operator.removeprefix("prims.")
        if operator.startswith("prims.") and name in _MAPS:
            heavy = name in _HEAVY and not (name == "pow" and not isinstance(arguments[1], Reference))
            return vs.mapped(name, node.type.dtype, self._operands(node), heavy=heavy)
        if operator in _SAME:
            return self.one(arguments[0])
        if operator in _REDUCTIONS:
            return self.reduced(self.one(arguments[0]), arguments[1], _REDUCTIONS[operator], node.type.dtype)
        if operator in _SCANS:
            return self._scanned(node)
        if operator in _GENERATORS:
            made: Value | tuple[Value | None, ...] = _GENERATORS[operator](self, node)
            return made
        method = getattr(self, "_" + operator.replace("prims.", "prim_").replace(".", "_"), None)
        if method is None:
            raise Unsupported(f"no generator for {operator}")
        found: Value | tuple[Value | None, ...] = method(node)
        return found

    # Arguments

    def one(self, argument: Any) -> Value:
        """The tensor that an argument names."""
        found = self._values[argument.name]
        if not isinstance(found, Value):
            raise Unsupported(f"{argument.name} is not one tensor")
        return found

    def _many(self, argument: Reference) -> tuple[Value | None, ...]:
        found = self._values[argument.name]
        return found if isinstance(found, tuple) else (found,)

    def _missing(self, node: Node) -> Value:
        raise Unsupported(f"the part of {node.arguments[0].name} that {node.name} wants is not generated")

    def _operands(self, node: Node) -> list[Value]:
        """Tensors as they are, numbers as tensors of the type that the other operand has."""
        tensors = [self.one(a) for a in node.arguments if isinstance(a, Reference)]
        shape = node.type.shape
        others = [t.dtype for t in tensors if t.dtype is not DType.BOOL or len(tensors) == 1]
        number = others[-1] if others else node.type.dtype
        if node.operator == "prims.where":
            number = node.type.dtype
        found = []
        for argument in node.arguments:
            if isinstance(argument, Reference):
                value = self.one(argument)
                found.append(value if value.shape or not shape else vs.broadcast(value, shape, ()))
            elif isinstance(argument, sympy.Expr):
                found.append(_positions(shape, number, argument))
            else:
                found.append(vs.filled(shape, number, argument))
        return found

    # Statements

    def new(self, shape: Sequence[Size], dtype: DType) -> Buffer:
        """A temporary without gaps."""
        buffer = Buffer(
            f"t{len(self.program.buffers)}", tuple(shape), ix.contiguous(tuple(shape)), dtype, Place.TEMPORARY
        )
        self.program.buffers[buffer.name] = buffer
        return buffer

    def stored(self, value: Value) -> Value:
        """The value in a buffer of its own, without gaps."""
        if value.buffer is not None:
            return value
        buffer = self.new(value.shape, value.dtype)
        axes = value.loops()
        target = ix.flatten(axes, buffer.stride)
        self.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, value.at(axes)))
        return vs.held(buffer)

    def reduced(self, value: Value, dims: Sequence[int], operation: str, dtype: DType) -> Value:
        """Reduced over dimensions, which go."""
        dims = [d % len(value.shape) for d in dims]
        key = (id(value), tuple(dims), operation, dtype)
        if key not in self._reductions:
            self._reductions[key] = (value, self._reduce(value, dims, operation, dtype))
        return self._reductions[key][1]

    def _reduce(self, value: Value, dims: Sequence[int], operation: str, dtype: DType) -> Value:
        axes = value.loops()
        rest = [d for d in range(len(axes)) if d not in dims]
        buffer = self.new([value.shape[d] for d in rest], dtype)
        target = ix.flatten([axes[d] for d in rest], buffer.stride)
        body = call(dtype, "convert", value.at(axes))
        reduced = tuple(axes[d] for d in dims)
        self.program.steps.append(Statement(Kind.REDUCE, buffer.name, axes, target, body, operation, reduced))
        return vs.held(buffer)

    def _scanned(self, node: Node) -> Value | tuple[Value | None, ...]:
        value, dtype = self.one(node.arguments[0]), (node.types[0] or node.type).dtype
        axes = value.loops()
        if not axes:
            return value
        along = axes[node.arguments[1] % len(axes)]
        buffer = self.new(value.shape, dtype)
        body = call(dtype, "convert", value.at(axes))
        target = ix.flatten(axes, buffer.stride)
        operation = _SCANS[node.operator]
        self.program.steps.append(Statement(Kind.SCAN, buffer.name, axes, target, body, operation, (along,)))
        found = vs.held(buffer)
        return found if len(node.types) == 1 else (found, None)

    def _output(self, name: str, index: int) -> None:
        """Give the output a buffer: the one that holds it already, or a copy."""
        value = self.one(Reference(name))
        order = self._graph.orders[index]
        dense = all(order[d] <= order[d + 1] for d in range(len(order) - 1))
        found = self.program.buffers.get(value.buffer or "")
        if found is None or found.place is not Place.TEMPORARY or not dense:
            found = self._copied(value, order)
        found.place, found.index = Place.OUTPUT, index
        self.program.outputs.append(found.name)

    def _copied(self, value: Value, order: Sequence[int]) -> Buffer:
        """A buffer that holds the value with its dimensions in this order in memory."""
        buffer = self.new(value.shape, value.dtype)
        strides = dict(zip(order, ix.contiguous([value.shape[d] for d in order]), strict=True))
        buffer.stride = tuple(strides[d] for d in range(len(order)))
        axes = value.loops()
        target = ix.flatten(axes, buffer.stride)
        body = value.at(axes)
        self.program.steps.append(Statement(Kind.MAP, buffer.name, tuple(axes[d] for d in order), target, body))
        return buffer

    def _aten_copy_(self, node: Node) -> Value:
        """Written over something; the tracer's operators do that only to what they have just made themselves."""
        value = self.one(node.arguments[1])
        made = value if value.shape == node.type.shape else vs.broadcast(value, node.type.shape, ())
        self._values[node.arguments[0].name] = made
        return made

    # Views

    def _prim_broadcast_in_dim(self, node: Node) -> Value:
        return vs.broadcast(self.one(node.arguments[0]), node.type.shape, node.arguments[2])

    def _prim_transpose(self, node: Node) -> Value:
        return vs.permuted(self.one(node.arguments[0]), node.arguments[1])

    def _prim_split_dim(self, node: Node) -> Value:
        return vs.split(self.one(node.arguments[0]), node.arguments[1], sympy.sympify(node.arguments[2]))

    def _prim_collapse_view(self, node: Node) -> Value:
        return vs.collapsed(self.one(node.arguments[0]), node.arguments[1], node.arguments[2])

    _prim_collapse = _prim_collapse_view

    def _prim_squeeze(self, node: Node) -> Value:
        value = self.one(node.arguments[0])
        gone = {d % len(value.shape) for d in node.arguments[1]}
        rest = [d for d in range(len(value.shape)) if d not in gone]

        def where(at: vs.Index) -> vs.Index:
            inner = iter(at)
            return tuple(sympy.Integer(0) if d in gone else next(inner) for d in range(len(value.shape)))

        return vs.viewed(value, [value.shape[d] for d in rest], where, same_order=True)

    def _aten_as_strided(self, node: Node) -> Value:
        base = node.arguments[0].name
        root = self._roots.get(base, base)
        value, kind = self.one(Reference(root)), self._node(root).type
        shape, stride, *rest = node.arguments[1:]
        offset = sympy.sympify(rest[0] if rest and rest[0] is not None else 0)
        shape, stride = [sympy.sympify(s) for s in shape], [sympy.sympify(s) for s in stride]
        if not ix.is_contiguous(kind.shape, kind.stride):
            raise Unsupported("as_strided of a tensor that is not contiguous")
        return vs.strided(value, shape, stride, offset)

    def _node(self, name: str) -> Node:
        return next(node for node in self._graph.nodes if node.name == name)

    def _prim_rev(self, node: Node) -> Value:
        value = self.one(node.arguments[0])
        turned = {d % len(value.shape) for d in node.arguments[1]}
        shape = value.shape
        return vs.viewed(
            value, shape, lambda at: tuple(shape[d] - 1 - i if d in turned else i for d, i in enumerate(at))
        )

    def _prim_cat(self, node: Node) -> Value:
        """Each part is written to its place."""
        dim = node.arguments[1]
        buffer = self.new(node.type.shape, node.type.dtype)
        start = sympy.Integer(0)
        for argument in node.arguments[0]:
            part = self.one(argument)
            axes = part.loops()
            at = tuple(i + start if d == dim else i for d, i in enumerate(axes))
            target = ix.flatten(at, buffer.stride)
            self.program.steps.append(Statement(Kind.MAP, buffer.name, axes, target, part.at(axes)))
            start = start + part.shape[dim]
        return vs.held(buffer)

    # Making

    def _prim_iota(self, node: Node) -> Value:
        start, step = node.options.get("start", 0), node.options.get("step", 1)
        dtype = node.type.dtype
        return Value(node.type.shape, dtype, lambda at: position(dtype, sympy.expand(start + step * at[0])))

    def _filled(self, node: Node) -> Value:
        value = node.arguments[-1]
        if isinstance(value, Reference) or not isinstance(value, (bool, int, float)):
            raise Unsupported(f"{node.operator} of something that is not a number")
        return vs.filled(node.type.shape, node.type.dtype, value)

    _aten_full_like = _filled
    _aten_scalar_tensor = _filled
    _prim_scalar_tensor = _filled
    _aten_full = _filled
    _prim_full = _filled
    _constant = _filled

    def _undefined(self, node: Node) -> Value:
        return vs.filled(node.type.shape, node.type.dtype, 0)

    _prim_empty_strided = _undefined
    _aten_empty_memory_format = _undefined
    _aten_empty_like = _undefined

    def _prim_convert_element_type(self, node: Node) -> Value:
        return vs.mapped("convert", node.type.dtype, [self.one(node.arguments[0])])

    # Statistics

    def _prim_var(self, node: Node) -> Value:
        value, dims = self.one(node.arguments[0]), node.arguments[1]
        correction = node.arguments[2] if len(node.arguments) > 2 else node.options.get("correction", 1.0)
        dims = [d % len(value.shape) for d in dims]
        dtype = node.type.dtype
        count = ix.product(value.shape[d] for d in dims)
        sums = self.reduced(value, dims, "sum", dtype)
        mean = vs.mapped("div", dtype, [sums, _positions(sums.shape, dtype, count)])
        kept = [d for d in range(len(value.shape)) if d not in dims]
        away = vs.mapped("sub", dtype, [value, vs.broadcast(mean, value.shape, kept)])
        squares = self.reduced(vs.mapped("mul", dtype, [away, away]), dims, "sum", dtype)
        # Corrected for the rounding of the mean (Chan, Golub and LeVeque 1983): far from zero it was 2 % of the result.
        left = self.reduced(away, dims, "sum", dtype)
        excess = vs.mapped("div", dtype, [vs.mapped("mul", dtype, [left, left]), _positions(left.shape, dtype, count)])
        total = vs.mapped("sub", dtype, [squares, excess])
        return vs.mapped("div", dtype, [total, _positions(squares.shape, dtype, count - int(correction))])

    def _arg(self, node: Node, operation: str) -> Value:
        """The first place of the extreme value: the value first, then the least place that has it."""
        value = self.one(node.arguments[0])
        dim = node.arguments[1] if len(node.arguments) > 1 else None
        if dim is None:
            raise Unsupported(f"{node.operator} over all dimensions")
        keep = len(node.arguments) > 2 and bool(node.arguments[2])
        dim %= len(value.shape)
        best = self.reduced(value, [dim], operation, value.dtype)
        size = value.shape[dim]

        def at(index: vs.Index) -> Scalar:
            here = call(DType.BOOL, "eq", value.at(index), best.at((*index[:dim], *index[dim + 1 :])))
            return call(DType.INT64, "where", here, position(DType.INT64, index[dim]), position(DType.INT64, size))

        found = self.reduced(Value(value.shape, DType.INT64, at), [dim], "min", DType.INT64)
        return vs.reshaped(found, node.type.shape) if keep else found

    def _aten_argmax(self, node: Node) -> Value:
        return self._arg(node, "max")

    def _aten_argmin(self, node: Node) -> Value:
        return self._arg(node, "min")

    # Looking up

    def _aten_gather(self, node: Node) -> Value:
        value, dim, index = self.one(node.arguments[0]), node.arguments[1], self.one(node.arguments[2])
        dim %= len(value.shape)

        def at(where: vs.Index) -> Scalar:
            return value.at((*where[:dim], Lookup(index.at(where)), *where[dim + 1 :]))

        return Value(index.shape, value.dtype, at, heavy=value.heavy)

    def _aten_index_select(self, node: Node) -> Value:
        value, dim, index = self.one(node.arguments[0]), node.arguments[1], self.one(node.arguments[2])
        dim %= len(value.shape)

        def at(where: vs.Index) -> Scalar:
            return value.at((*where[:dim], Lookup(index.at((where[dim],))), *where[dim + 1 :]))

        return Value(node.type.shape, value.dtype, at, heavy=value.heavy)

    def _aten_embedding(self, node: Node) -> Value:
        table, index = self.one(node.arguments[0]), self.one(node.arguments[1])

        def at(where: vs.Index) -> Scalar:
            return table.at((Lookup(index.at(where[:-1])), where[-1]))

        return Value(node.type.shape, table.dtype, at, heavy=table.heavy)

    def _aten_index_Tensor(self, node: Node) -> Value:
        value = self.one(node.arguments[0])
        if len(node.arguments[1]) != 1 or not isinstance(node.arguments[1][0], Reference):
            raise Unsupported("indexing by more than one tensor")
        index = self.one(node.arguments[1][0])
        if index.dtype is DType.BOOL:
            raise Unsupported("indexing by a mask")
        rank = len(index.shape)

        def at(where: vs.Index) -> Scalar:
            raw = index.at(where[:rank])
            turned = call(raw.dtype, "add", raw, position(raw.dtype, value.shape[0]))
            negative = call(DType.BOOL, "lt", raw, constant(raw.dtype, 0))
            return value.at((Lookup(call(raw.dtype, "where", negative, turned, raw)), *where[rank:]))

        return Value(node.type.shape, value.dtype, at, heavy=value.heavy)

    def _copied_first(self, value: Value) -> Buffer:
        """A buffer of its own that begins as the value, for a scatter to change."""
        buffer = self.new(value.shape, value.dtype)
        axes = value.loops()
        self.program.steps.append(
            Statement(Kind.MAP, buffer.name, axes, ix.flatten(axes, buffer.stride), value.at(axes))
        )
        return buffer

    def _aten_index_add(self, node: Node) -> Value:
        base, index, source = (self.one(node.arguments[place]) for place in (0, 2, 3))
        if node.options.get("alpha", 1) != 1:
            raise Unsupported("index_add with a factor")
        buffer, axes = self._copied_first(base), source.loops()
        dim = node.arguments[1] % len(axes)
        at = [Lookup(index.at((axis,))) if d == dim else axis for d, axis in enumerate(axes)]
        target = ix.flatten(at, buffer.stride)
        self.program.steps.append(
            Statement(Kind.SCATTER, buffer.name, axes, target, source.at(axes), "sum", (axes[dim],))
        )
        return vs.held(buffer)

    def _aten_scatter_value(self, node: Node) -> Value:
        base, index = self.one(node.arguments[0]), self.one(node.arguments[2])
        buffer, axes = self._copied_first(base), index.loops()
        dim = node.arguments[1] % len(axes)
        at = [Lookup(index.at(axes)) if d == dim else axis for d, axis in enumerate(axes)]
        target = ix.flatten(at, buffer.stride)
        body = constant(buffer.dtype, node.arguments[3])
        self.program.steps.append(Statement(Kind.SCATTER, buffer.name, axes, target, body, "set", (axes[dim],)))
        return vs.held(buffer)

    def _aten__embedding_bag(self, node: Node) -> tuple[Value | None, ...]:
        """Bags of one size, which the offsets say as an arange."""
        table, ids, offsets = (self.one(a) for a in node.arguments[:3])
        rest = [*node.arguments[3:], *[None] * 4][:4]
        starts = self._node(node.arguments[2].name)
        mode, factors = rest[1] or 0, rest[3]
        if starts.operator != "prims.iota" or starts.options.get("start", 0) != 0 or mode not in (0, 1):
            raise Unsupported("bags of different sizes, or their maximum")
        bag = sympy.sympify(starts.options.get("step", 1))
        weights = self.one(factors) if isinstance(factors, Reference) else None
        dtype = table.dtype

        def at(where: vs.Index) -> Scalar:
            place = sympy.expand(where[0] * bag + where[2])
            one = table.at((Lookup(ids.at((place,))), where[1]))
            return one if weights is None else call(dtype, "mul", one, weights.at((place,)))

        shape = (offsets.shape[0], table.shape[1], bag)
        found = self.reduced(Value(shape, dtype, at), [2], "sum", dtype)
        if mode == 1:
            found = vs.mapped("div", dtype, [found, _positions(found.shape, dtype, bag)])
        return (found, None, None, None)

    def _aten_select_int(self, node: Node) -> Value:
        value, dim, place = self.one(node.arguments[0]), node.arguments[1], sympy.sympify(node.arguments[2])
        dim %= len(value.shape)
        if place.is_negative:
            place = place + value.shape[dim]
        return vs.viewed(value, node.type.shape, lambda at: (*at[:dim], place, *at[dim:]))

    # Products

    def _aten_mm(self, node: Node) -> Value:
        return self._product(self.one(node.arguments[0]), self.one(node.arguments[1]), node)

    def _aten_bmm(self, node: Node) -> Value:
        return self._product(self.one(node.arguments[0]), self.one(node.arguments[1]), node)

    def _aten_addmm(self, node: Node) -> Value:
        if any(node.options.get(name, 1) != 1 for name in ("alpha", "beta")):
            raise Unsupported("addmm with factors")
        bias, left, right = (self.one(a) for a in node.arguments[:3])
        made = self._product(left, right, node)
        kept = list(range(2 - len(bias.shape), 2))
        return vs.mapped("add", node.type.dtype, [made, vs.broadcast(bias, made.shape, kept)])

    def _product(self, left: Value, right: Value, node: Node) -> Value:
        dtype = node.type.dtype
        if dtype is not DType.FLOAT32:
            raise Unsupported(f"a matrix product of {dtype.value}")
        (a, a_turned), (b, b_turned) = self._operand(left), self._operand(right)
        batch = left.shape[0] if len(left.shape) == 3 else sympy.Integer(1)
        buffer = self.new(node.type.shape, dtype)
        m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
        self.program.steps.append(Product(buffer.name, a, b, batch, m, n, k, a_turned, b_turned))
        return vs.held(buffer)

    def _operand(self, value: Value) -> tuple[str, bool]:
        """A buffer that holds the operand or its transpose without gaps."""
        if value.buffer is not None:
            return value.buffer, False
        axes = value.loops()
        body = value.at(axes)
        turned = ix.flatten(
            (*axes[:-2], axes[-1], axes[-2]), ix.contiguous((*value.shape[:-2], value.shape[-1], value.shape[-2]))
        )
        buffer = self.program.buffers.get(getattr(body, "buffer", ""))
        whole = buffer is not None and ix.same(ix.product(buffer.shape), ix.product(value.shape))
        if whole and buffer is not None and ix.same(body.offset, turned):  # type: ignore[attr-defined]
            return buffer.name, True
        return self.stored(value).buffer or "", False


def _positions(shape: Sequence[Size], dtype: DType, size: Size) -> Value:
    """A symbolic number as a tensor."""
    return Value(tuple(shape), dtype, lambda _: position(dtype, size))


def _references(arguments: Sequence[Any]) -> list[str]:
    found = []
    for argument in arguments:
        if isinstance(argument, Reference):
            found.append(argument.name)
        elif isinstance(argument, list):
            found += _references(argument)
    return found
