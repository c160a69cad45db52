"""A reference as a graph: what `tracer.py` wrote, read without trusting it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen.index import Size, floor_div, modulo
from assay.errors import InputError

_SYMBOL, _NAME = re.compile(r"[a-z]{1,4}[0-9]{1,6}"), re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
"""Names go into C++ as they are."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """What is known of a tensor: sizes and strides (in elements) are numbers or expressions of the task's sizes."""

    shape: tuple[Size, ...]
    stride: tuple[Size, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Reference:
    """An argument that is another node's result."""

    name: str


@dataclass(frozen=True, slots=True)
class Node:
    """One operator. `arguments` holds `Reference`s, sizes, numbers, lists of these, strings or None."""

    name: str
    operator: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    types: tuple[TensorType | None, ...]

    @property
    def type(self) -> TensorType:
        """Of the only result; raises InputError where that is no tensor."""
        if len(self.types) != 1 or self.types[0] is None:
            raise InputError(f"{self.operator} gives no single tensor", value=self.name)
        return self.types[0]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in order. `inputs` and `weights` are the names of the placeholders, `outputs` those of the results.

    `scalars` are inputs that are numbers: their position among forward's numbers.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    scalars: Mapping[str, int]
    weights: tuple[str, ...]
    outputs: tuple[str, ...]
    orders: tuple[tuple[int, ...], ...]
    """For each output its dimensions from the slowest in memory to the fastest."""
    hints: Mapping[str, int] = field(default_factory=dict)
    """What each size is at the task's own axes: for choices of form, never for results."""

    @property
    def signature(self) -> tuple[str, ...]:
        """Its operators in order, without those that only name or move things."""
        return tuple(node.operator for node in self.nodes if node.operator not in ("placeholder", "getitem", "size"))


def read_graph(data: Mapping[str, Any]) -> Graph:
    """The graph in a tracer's answer. Raises InputError with the tracer's reason where there is none."""
    if "error" in data:
        raise InputError("the task has no graph", value=str(data["error"])[:500], rule="see docs/engineer.md")
    nodes = tuple(_node(each) for each in data["nodes"])
    placeholders = [str(name) for name in data["placeholders"]]
    passed = [kind for kind in data["arguments"] if kind in ("tensor", "scalar")]
    numbers = [kind for kind in data["arguments"] if kind != "tensor"]
    inputs, scalars = [], {}
    count = -1
    for name, kind in zip(placeholders, passed, strict=False):
        if kind == "tensor":
            inputs.append(name)
        else:
            count = numbers.index("scalar", count + 1)
            scalars[name] = count
    outputs = tuple(str(each["node"]) for each in data["outputs"])
    orders = tuple(tuple(int(d) for d in order) for order in data["orders"])
    hints = {str(name): int(value) for name, value in data.get("hints", {}).items()}
    return Graph(nodes, tuple(inputs), scalars, tuple(placeholders[len(passed) :]), outputs, orders, hints)


def _node(data: Mapping[str, Any]) -> Node:
    if not _NAME.fullmatch(str(data["name"])):
        raise InputError("an operator has a strange name", value=str(data["name"])[:50])
    operator = str(data["op"]).removesuffix(".default")
    if "built-in function" in operator or "<function" in operator:
        operator = "size"
    options = {str(key): _argument(value) for key, value in data.get("kwargs", {}).items()}
    types = tuple(_type(each) for each in data["out"])
    return Node(str(data["name"]), operator, tuple(_argument(a) for a in data["args"]), options, types)


def _type(data: Any) -> TensorType | None:
    if not isinstance(data, Mapping) or "shape" not in data:
        return None
    sizes, strides = (tuple(_size(each) for each in data[key]) for key in ("shape", "stride"))
    return TensorType(sizes, strides, DType(data["dtype"]))


def _argument(value: Any) -> Any:
    if isinstance(value, list):
        return [_argument(each) for each in value]
    if isinstance(value, Mapping):
        if "node" in value:
            return Reference(str(value["node"]))
        if "size" in value:
            return _size(value["size"])
        if "dtype" in value:
            return DType(value["dtype"])
        return float(value["float"]) if "float" in value else None
    return value


def _size(tree: Any) -> Size:
    """A size from nested lists; nothing is parsed, so nothing can be executed."""
    if isinstance(tree, int):
        return sympy.Integer(tree)
    if isinstance(tree, Mapping):
        return sympy.Float(float(tree["float"]))
    operator, *operands = tree
    if operator == "s":
        name = str(operands[0])
        if not _SYMBOL.fullmatch(name):
            raise InputError("a size has a strange name", value=name[:50])
        return sympy.Symbol(name, integer=True, positive=True)
    values = [_size(each) for each in operands]
    if operator in ("//", "%"):
        return (floor_div if operator == "//" else modulo)(*values)
    if operator == "/":
        return values[0] / values[1]
    makers = {"+": sympy.Add, "*": sympy.Mul, "max": sympy.Max, "min": sympy.Min}
    return makers[operator](*values)
