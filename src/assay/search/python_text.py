"""Python by its syntax tree: a form without comments, layout, docstrings and names of locals; and one local renamed.

A name counts as a local only where that is beyond doubt: assigned as a plain name in a function that never looks at its
own names, neither a parameter nor bound in any inner scope.
"""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef

LOOKS_AT_NAMES = frozenset({"locals", "globals", "vars", "dir", "eval", "exec", "inspect"})
"""Functions that name one of these keep all their names."""

INNER_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.ClassDef)


def normal_form(text: str) -> str:
    """The tree as text; the text itself if it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text
    _drop_docstrings(tree)
    for function in _outer_functions(tree):
        numbers = {name: f"$local{number}" for number, name in enumerate(locals_of(function))}
        for node in ast.walk(function):
            if isinstance(node, ast.Name):
                node.id = numbers.get(node.id, node.id)
    return ast.dump(tree)


def rename_one(text: str, number: int) -> str:
    """The same text with one local under a new name; unchanged if there is none beyond doubt."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text
    choices = [(function, name) for function in _outer_functions(tree) for name in locals_of(function)]
    if not choices:
        return text
    function, old = choices[number % len(choices)]
    new = f"{old}_v{number}"
    while new in text:
        new += "_"
    lines = text.encode().splitlines(keepends=True)
    places = {(n.lineno, n.col_offset) for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == old}
    for line, column in sorted(places, reverse=True):
        row = lines[line - 1]
        if row[column : column + len(old.encode())] != old.encode():
            return text  # form feeds and the like shift lines; a knockoff does without the renaming
        lines[line - 1] = row[:column] + new.encode() + row[column + len(old.encode()) :]
    return b"".join(lines).decode()


def locals_of(function: Function) -> list[str]:
    """Names that are certainly plain locals of a function, by first appearance."""
    nodes = list(ast.walk(function))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if LOOKS_AT_NAMES & ({name.id for name in names} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}):
        return []
    doubtful = {bound for node in nodes for bound in _bound_otherwise(node)} | _names_of_head(function)
    for node in nodes:
        inner = isinstance(node, INNER_SCOPES) or (isinstance(node, Function) and node is not function)
        if inner:
            doubtful |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        elif isinstance(node, ast.JoinedStr):
            # Before Python 3.12 names inside f-strings have no usable position.
            doubtful |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    stored = sorted(
        (name for name in names if isinstance(name.ctx, ast.Store)), key=lambda name: (name.lineno, name.col_offset)
    )
    return list(dict.fromkeys(name.id for name in stored if name.id not in doubtful and not _is_private(name.id)))


def _names_of_head(function: Function) -> set[str]:
    """Names in decorators, defaults and annotations: these belong to the scope outside."""
    body = {id(node) for statement in function.body for node in ast.walk(statement)}
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and id(node) not in body}


def _is_private(name: str) -> bool:
    """Names with two leading underscores are mangled in classes."""
    return name.startswith("__")


def _bound_otherwise(node: ast.AST) -> list[str]:
    """Names that a node binds or declares as plain strings, which a renaming of names would miss."""
    match node:
        case ast.arg(arg=name):
            return [name]
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return names
        case ast.alias(name=name, asname=alias):
            return [alias or name.split(".")[0]]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
    return []


def _outer_functions(tree: ast.Module) -> list[Function]:
    """Functions of the module and methods of its classes, not functions within functions."""
    found: list[Function] = []
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function):
            found.append(node)
        else:
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
