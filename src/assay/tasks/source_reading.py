"""Reading other people's Python as text: what a file defines, without ever running it.

Limits: names are read from the syntax tree alone, so a class whose base is computed, or that another module defines, is
not recognised as an nn.Module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.errors import AssayError, InputError, TaskError

MAX_SOURCE_BYTES = 4 * 2**20
"""Largest source that Assay reads, all files of one task or candidate together."""

_CUDA_NAME = re.compile(r"cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What the top level of a Python file defines."""

    tree: ast.Module
    functions: dict[str, ast.FunctionDef]
    classes: dict[str, ast.ClassDef]
    values: dict[str, ast.expr]
    module_classes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """First line of the docstring, or nothing."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0].strip()


def read_text(path: Path, what: str) -> str:
    """The text of a file. Raises InputError if it is missing, a folder, unreadable, empty, too large or not UTF-8."""
    if path.is_dir():
        raise InputError(f"the {what} is a folder", value=str(path), rule="a file is needed here")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"the {what} does not exist", value=str(path), next_step="check the path; relative ones start here"
        ) from None
    except OSError as error:
        raise InputError(f"the {what} cannot be read", value=f"{path}: {error.strerror}") from None
    if len(data) > MAX_SOURCE_BYTES:
        raise InputError(f"the {what} is too large", value=f"{len(data)} bytes", rule=f"at most {MAX_SOURCE_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the {what} is not UTF-8 text", value=f"{path}: byte {error.start}") from None
    if not text.strip():
        raise InputError(f"the {what} is empty", value=str(path))
    return text


def parse_python(text: str, where: str, error: type[AssayError] = TaskError) -> PythonFacts:
    """The facts of a Python source. Raises `error` with the line where the text is not Python."""
    try:
        tree = ast.parse(text, filename=where)
    except SyntaxError as problem:
        line = (problem.text or "").strip()
        raise error(
            f"{where} is not Python",
            value=f"line {problem.lineno}: {problem.msg}" + (f": {line[:100]}" if line else ""),
            next_step="correct the line; the file must parse with Python 3.11",
        ) from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{where} is not Python", value=str(problem)[:200]) from None
    return _facts(tree)


def _facts(tree: ast.Module) -> PythonFacts:
    functions, classes, values = {}, {}, {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            classes[node.name] = node
        elif isinstance(node, ast.Assign):
            values.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            values[node.target.id] = node.value
    return PythonFacts(tree, functions, classes, values, tuple(_module_classes(classes)))


def _module_classes(classes: dict[str, ast.ClassDef]) -> list[str]:
    """Classes that derive from torch.nn, directly or through a class of the same file, in the file's order."""
    found: list[str] = []
    for name, node in classes.items():
        for base in map(ast.unparse, node.bases):
            prefix, _, last = base.rpartition(".")
            if (last == "Module" or prefix in ("nn", "torch.nn") or base in found) and name not in found:
                found.append(name)
    return found


def literal(node: ast.expr | None) -> object:
    """The value of a literal expression, or None where it is not one."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def dict_entries(node: ast.expr | None) -> dict[str, ast.expr]:
    """The entries of a dict display that have literal string keys."""
    if not isinstance(node, ast.Dict):
        return {}
    pairs = zip(node.keys, node.values, strict=True)
    return {key.value: value for key, value in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def required_arguments(function: ast.FunctionDef, skip: int = 0) -> list[str]:
    """Names of the arguments that have no default, the first `skip` left out."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = positional[: len(positional) - len(arguments.defaults)][skip:]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [a.arg for a in without_default] + [a.arg for a, default in pairs if default is None]


def refuse_cuda(facts: PythonFacts, where: str) -> None:
    """Raise TaskError where the module level or the input functions insist on a GPU."""
    for node in _executed_statements(facts):
        for part in _walk_unguarded(node):
            named = isinstance(part, ast.Constant) and isinstance(part.value, str) and _CUDA_NAME.fullmatch(part.value)
            called = isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "cuda"
            if named or called:
                raise TaskError(
                    f"{where} needs a GPU to load or to draw its inputs",
                    value=f"line {node.lineno}: {ast.unparse(node).splitlines()[0][:100]}",
                    rule="a task builds its module and draws its inputs without naming a device",
                    next_step="leave the device out; Assay moves tensors where they are needed",
                )


def _executed_statements(facts: PythonFacts) -> Iterator[ast.stmt]:
    """Statements that run when the file is imported or asked for inputs."""
    for node in facts.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in ("get_inputs", "get_init_inputs"):
            yield from node.body
        elif not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) and not _is_main_guard(node):
            yield node


def _walk_unguarded(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, except those that depend on torch.cuda.is_available() and docstrings."""
    if isinstance(node, (ast.If, ast.IfExp)) and "is_available" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk_unguarded(child)


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ ==")
