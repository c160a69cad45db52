"""From a graph to a program: views and maps are composed, reductions and scans become statements.

The graph's operators are PyTorch's prims, some sixty in all, and a few ATen operators that the tracer keeps whole.
Raises `Unsupported` for any other, with its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.dtypes import DType
from assay.engineer.codegen import convolution, elementwise, lookups, padding, products, reductions, views, windows
from assay.engineer.codegen import index as ix
from assay.engineer.codegen import values as vs
from assay.engineer.codegen.index import Size
from assay.engineer.codegen.program import Buffer, Kind, Place, Program, Statement, Unsupported
from assay.engineer.codegen.scalars import call, start_program
from assay.engineer.codegen.values import Lowered, Value
from assay.engineer.graph import Graph, Node, Reference

_GENERATORS: dict[str, vs.Generator] = (
    elementwise.GENERATORS
    | views.GENERATORS
    | reductions.GENERATORS
    | lookups.GENERATORS
    | products.GENERATORS
    | padding.GENERATORS
    | windows.GENERATORS
    | convolution.GENERATORS
)


def lower(graph: Graph, *, keep: bool = True) -> Program:
    """The program of a graph; `keep` stores heavy values that several others use, instead of computing them again."""
    start_program()
    return Lowering(graph, keep).run()


class Lowering:
    """One graph on its way to a program."""

    def __init__(self, graph: Graph, keep: bool) -> None:
        self._graph, self._keep = graph, keep
        self.program = Program(hints=graph.hints)
        self.nodes: Mapping[str, Node] = {node.name: node for node in graph.nodes}
        self._values: dict[str, Lowered] = {}
        self.roots: dict[str, str] = {}
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
        kind = self.nodes[name].type
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
        if node.operator in views.VIEWS:
            base = node.arguments[0].name
            self.roots[node.name] = self.roots.get(base, base)

    def _value(self, node: Node) -> Lowered:
        if node.operator == "aten.copy_":
            return self._copied_over(node)
        generator = _GENERATORS.get(node.operator)
        if generator is None:
            raise Unsupported(f"no generator for {node.operator}")
        return generator(self, node)

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
        if (found := vs.in_memory(self.program, value, range(len(value.shape)))) is not None:
            return Value(value.shape, value.dtype, value.at, found.name)
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

    def _output(self, name: str, index: int) -> None:
        """Give the output a buffer: the one that holds it already, or a copy."""
        value = self.one(Reference(name))
        order = self._graph.orders[index]
        found = vs.in_memory(self.program, value, order)
        if found is None or found.place is not Place.TEMPORARY:
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

    def _copied_over(self, node: Node) -> Value:
        """Written over something; the tracer's operators do that only to what they have just made themselves."""
        value = self.one(node.arguments[1])
        made = value if value.shape == node.type.shape else vs.broadcast(value, node.type.shape, ())
        self._values[node.arguments[0].name] = made
        return made


def _references(arguments: Sequence[Any]) -> list[str]:
    found = []
    for argument in arguments:
        if isinstance(argument, Reference):
            found.append(argument.name)
        elif isinstance(argument, list):
            found += _references(argument)
    return found
