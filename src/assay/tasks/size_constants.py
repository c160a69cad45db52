"""The sizes in a KernelBench program: its module-level integers, and the input shapes that they spell.

Everything is read from the syntax tree. Limits: sizes that are computed by calls, or that stand as literals inside a
class, are not seen and therefore never changed.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assay.tasks.source_reading import PythonFacts

_DRAWS = frozenset({"rand", "randn", "randint", "zeros", "ones", "empty", "full", "normal", "randperm", "arange"})

LEAST_LITERAL = 64
"""Smallest literal of get_inputs that counts as a size; below are channels and ranges of random integers."""

LITERAL_NAME = "get_inputs"
"""Name under which such literals are listed."""


@dataclass(frozen=True, slots=True)
class SizeConstant:
    """One integer of the module level; `node` is the text that a new value would replace."""

    label: str
    value: int
    node: ast.expr

    @property
    def name(self) -> str:
        """The variable's name without the position in a tuple."""
        return self.label.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of an input: the label of the constant that sets it, or None for a literal or a computed one."""

    label: str | None
    value: int

    def size(self, sizes: Mapping[str, int]) -> int:
        """Its size where the constants have these values."""
        return self.value if self.label is None else sizes[self.label]


@dataclass(frozen=True, slots=True)
class ProgramSizes:
    """The constants of a program by label, the shapes of its inputs, and the labels that its constructor gets."""

    constants: Mapping[str, SizeConstant]
    shapes: tuple[tuple[Dimension, ...], ...]
    init_labels: frozenset[str]
    repeats: int


def read_sizes(facts: PythonFacts) -> ProgramSizes:
    """The sizes of a program that defines get_inputs and get_init_inputs."""
    reader = _Reader(facts)
    shapes = tuple(tuple(shape) for shape in reader.input_shapes(facts.functions["get_inputs"]) if shape)
    init = facts.functions["get_init_inputs"]
    labels = {
        dimension.label
        for node in ast.walk(init)
        if isinstance(node, ast.Name)
        for dimension in reader.dimensions(node)
        if dimension.label is not None
    }
    return ProgramSizes(reader.constants, shapes, frozenset(labels), reader.repeats(labels))


class _Reader:
    """Collects integers bound at module level, alone, in tuples and lists, or as another name for one of these."""

    def __init__(self, facts: PythonFacts) -> None:
        self.constants: dict[str, SizeConstant] = {}
        self._bound: dict[str, ast.expr] = {}
        self._anonymous = itertools.count()
        self._list_lengths: dict[str, int] = {}
        for node in facts.tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
            for one, its_value in zip(target.elts, value.elts, strict=False):
                self._bind(one, its_value)
        elif isinstance(target, ast.Name):
            self._bound[target.id] = value
            if (number := whole_number(value)) is not None:
                self.constants[target.id] = SizeConstant(target.id, number, value)
            for position, element in enumerate(self._elements(target.id, value)):
                if (number := whole_number(element)) is not None:
                    label = f"{target.id}[{position}]"
                    self.constants[label] = SizeConstant(label, number, element)

    def _elements(self, name: str, value: ast.expr) -> list[ast.expr]:
        """The elements of a tuple or list, or of `[n] * times`."""
        times = 1
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult) and isinstance(value.left, ast.List):
            times, value = whole_number(value.right) or 1, value.left
        if not isinstance(value, (ast.Tuple, ast.List)):
            return []
        self._list_lengths[name] = times * len(value.elts)
        return value.elts

    def dimensions(self, node: ast.expr) -> list[Dimension]:
        """The dimensions that an expression in a shape stands for; none where it cannot be read."""
        if isinstance(node, ast.Starred):
            return self.dimensions(node.value)
        if isinstance(node, (ast.Tuple, ast.List)):
            return [dimension for element in node.elts for dimension in self.dimensions(element)]
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if (number := whole_number(node)) is not None:
            return [Dimension(None, number)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            left, right = self.dimensions(node.left), self.dimensions(node.right)
            return [Dimension(None, left[0].value * right[0].value)] if len(left) == len(right) == 1 else []
        return []

    def _named(self, name: str) -> list[Dimension]:
        if name in self.constants:
            return [Dimension(name, self.constants[name].value)]
        value = self._bound.get(name)
        if isinstance(value, ast.Name) and value.id != name:
            return self._named(value.id)
        found: list[Dimension] = []
        for position, element in enumerate(self._elements(name, value) if value is not None else []):
            label = f"{name}[{position}]"
            known = label in self.constants
            found += [Dimension(label, self.constants[label].value)] if known else self.dimensions(element)
        return found

    def input_shapes(self, function: ast.FunctionDef) -> Iterator[list[Dimension]]:
        """The shape of every tensor that the function draws, in the order of the text."""
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DRAWS:
                yield [d for argument in _shape_arguments(node) for d in self._argument(argument)]

    def _argument(self, node: ast.expr) -> list[Dimension]:
        """The dimensions of one argument; an image size written as a literal there becomes a constant of its own."""
        number = whole_number(node) if isinstance(node, ast.Constant) else None
        if number is None or number < LEAST_LITERAL:
            return self.dimensions(node)
        label = f"{LITERAL_NAME}[{next(self._anonymous)}]"
        self.constants[label] = SizeConstant(label, number, node)
        return [Dimension(label, number)]

    def repeats(self, init_labels: set[str]) -> int:
        """How often the program repeats its layers, as far as small constructor arguments tell."""
        counts = [1]
        for label in init_labels:
            constant = self.constants[label]
            if constant.name in ("num_layers", "depth", "n_layer", "stages") and constant.value < 32:
                counts.append(constant.value)
            if constant.name == "layers":
                counts.append(sum(c.value for c in self.constants.values() if c.name == "layers"))
            counts.append(self._list_lengths.get(constant.name, 1) if "size" in constant.name else 1)
        return max(counts)


def _shape_arguments(call: ast.Call) -> list[ast.expr]:
    """The arguments of a drawing call that spell the shape."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in ("randint", "full", "normal"):
        tuples = [argument for argument in call.args if isinstance(argument, (ast.Tuple, ast.List))]
        return [*tuples[-1:], *(word.value for word in call.keywords if word.arg == "size")]
    return call.args


def whole_number(node: ast.expr | None) -> int | None:
    """The value of an integer literal or a product of such, or None."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = whole_number(node.left), whole_number(node.right)
        return None if left is None or right is None else left * right
    return None
