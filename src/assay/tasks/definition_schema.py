"""What Definition JSON says, checked once: axes, tensors, and the arithmetic of derived axes.

One reader for the schemas of SOL-ExecBench (const, var and expr axes, custom inputs) and FlashInfer-Bench (const and
var axes). Limits: element types below 8 bits and the 8-bit floating ones have no reference arithmetic on a CPU and are
refused.
"""

from __future__ import annotations

import ast
import json
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.dtypes import DType
from assay.errors import AssayError, TaskError
from assay.tasks.source_reading import PythonFacts, parse_python

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.UAdd, ast.USub)
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, ast.Constant, *_OPERATORS)


@dataclass(frozen=True, slots=True)
class TensorField:
    """An input or output: its axes' names (None for a Python number) and its element type."""

    name: str
    shape: tuple[str, ...] | None
    dtype: DType
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked Definition. `expressions` are in an order in which each uses only what stands before it."""

    name: str
    family: str
    description: str
    constants: Mapping[str, int]
    variables: tuple[str, ...]
    expressions: Mapping[str, str]
    inputs: tuple[TensorField, ...]
    outputs: tuple[TensorField, ...]
    reference: str
    custom_entry: str | None
    constraints: tuple[str, ...]


def read_json(text: str, where: str, error: type[AssayError] = TaskError) -> dict[str, Any]:
    """A JSON object. Raises `error` with the line where the text is not one."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{where} is not JSON", value=f"line {problem.lineno}: {problem.msg}") from None
    if not isinstance(data, dict):
        raise error(f"{where} is not a JSON object", value=type(data).__name__)
    return data


def parse_definition(data: Mapping[str, Any], where: str) -> Definition:
    """Check a Definition. Raises TaskError with the field that is missing or wrong."""
    for key, kind in (("name", str), ("axes", dict), ("inputs", dict), ("outputs", dict), ("reference", str)):
        if not isinstance(data.get(key), kind) or not data[key]:
            raise TaskError(
                f"{where} lacks {key}",
                value=repr(data.get(key))[:80],
                rule="a Definition has name, axes, inputs, outputs and reference",
            )
    constants, variables, expressions = _axes(data["axes"], where)
    axes = {*constants, *variables, *expressions}
    facts = parse_python(data["reference"], f"the reference of {data['name']}")
    custom = data.get("custom_inputs_entrypoint")
    _check_functions(facts, data["name"], custom)
    return Definition(
        name=data["name"],
        family=str(data.get("op_type") or "other"),
        description=str(data.get("description") or ""),
        constants=constants,
        variables=variables,
        expressions=expressions,
        inputs=tuple(_tensor(name, spec, axes, where) for name, spec in data["inputs"].items()),
        outputs=tuple(_tensor(name, spec, axes, where) for name, spec in data["outputs"].items()),
        reference=data["reference"],
        custom_entry=custom,
        constraints=tuple(map(str, data.get("constraints") or ())),
    )


def expression_code(expression: str, known: Iterable[str], table: str, where: str) -> str:
    """Python code for a derived axis, its axes looked up in the dict called `table`.

    Raises TaskError for anything but numbers, known axes and arithmetic: the schema allows no more, and this text
    becomes part of a program.
    """
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError):
        raise TaskError(f"{where} has an expression that is not arithmetic", value=expression[:100]) from None
    names = set(known)
    for node in ast.walk(tree):
        bad_number = isinstance(node, ast.Constant) and type(node.value) not in (int, float)
        unknown = isinstance(node, ast.Name) and node.id not in names
        if not isinstance(node, _NODES) or bad_number or unknown:
            raise TaskError(
                f"{where} has an expression that cannot be used",
                value=f"{expression[:100]}: {ast.unparse(node)}" if isinstance(node, ast.expr) else expression[:100],
                rule="axes, numbers and + - * / // % ** with parentheses",
            )
    return ast.unparse(_Lookup(table).visit(tree))


class _Lookup(ast.NodeTransformer):
    """Replaces each name by a look-up in a dict."""

    def __init__(self, table: str) -> None:
        self._table = table

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """One look-up."""
        return ast.Subscript(ast.Name(self._table, ast.Load()), ast.Constant(node.id), ast.Load())


def _axes(axes: Mapping[str, Any], where: str) -> tuple[dict[str, int], tuple[str, ...], dict[str, str]]:
    constants: dict[str, int] = {}
    variables: list[str] = []
    open_ones: dict[str, str] = {}
    for name, axis in axes.items():
        kind = axis.get("type") if isinstance(axis, dict) else None
        if kind == "const" and isinstance(axis.get("value"), int) and not isinstance(axis["value"], bool):
            constants[name] = axis["value"]
        elif kind == "var":
            variables.append(name)
        elif kind == "expr" and isinstance(axis.get("expression"), str):
            open_ones[name] = axis["expression"]
        else:
            raise TaskError(
                f"{where} has an axis that cannot be read",
                value=f"{name}: {axis!r}"[:120],
                rule="const with an integer value, var, or expr with an expression",
            )
    return constants, tuple(variables), _ordered(open_ones, {*constants, *variables}, where)


def _ordered(open_ones: dict[str, str], known: set[str], where: str) -> dict[str, str]:
    """Expressions in an order in which each can be computed. Raises TaskError for circles and unknown names."""
    ordered: dict[str, str] = {}
    while len(ordered) < len(open_ones):
        ready = [
            name
            for name, text in open_ones.items()
            if name not in ordered and _names_in(text) <= known | ordered.keys()
        ]
        if not ready:
            rest = {name: text for name, text in open_ones.items() if name not in ordered}
            raise TaskError(f"{where} has axes that cannot be computed", value=repr(rest)[:120])
        for name in ready:
            expression_code(open_ones[name], known | ordered.keys(), "axes", where)
            ordered[name] = open_ones[name]
    return ordered


def _names_in(expression: str) -> set[str]:
    try:
        return {node.id for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError):
        return set()


def _tensor(name: str, spec: Any, axes: set[str], where: str) -> TensorField:
    shape = spec.get("shape") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not (shape is None or isinstance(shape, list)):
        raise TaskError(f"{where} describes {name} wrongly", value=repr(spec)[:100], rule="shape and dtype")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise TaskError(f"{where} has a tensor whose name is not an identifier", value=name)
    unknown = [axis for axis in shape or () if axis not in axes]
    if unknown:
        raise TaskError(f"{where} uses an axis that it does not declare", value=f"{unknown[0]} in {name}")
    try:
        dtype = DType(spec.get("dtype"))
    except ValueError:
        raise TaskError(
            f"{name} in {where} has an element type that Assay cannot judge",
            value=str(spec.get("dtype")),
            rule="one of " + ", ".join(item.value for item in DType),
            next_step="8-bit and 4-bit floating types need a GPU; choose another definition",
        ) from None
    return TensorField(name, None if shape is None else tuple(shape), dtype, str(spec.get("description") or ""))


def _check_functions(facts: PythonFacts, name: str, custom: object) -> None:
    for wanted, role in (("run", "the reference"), (custom, "custom_inputs_entrypoint")):
        if wanted is not None and wanted not in facts.functions:
            raise TaskError(
                f"the reference of {name} does not define {wanted}",
                value=f"it defines {', '.join(facts.functions) or 'no function'}",
                rule=f"{role} is a function at the top level of the reference",
            )
