"""Tasks in installed or importable modules: `package.module:Class`, found on the search path without importing.

importlib's own find_spec imports the parents of a dotted name, which would run their code here; this walk does not.
Limits: plain folders and .py files only, no zip files, no namespace packages spread over several folders.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.core.sources import SourceFile
from assay.errors import InputError
from assay.tasks.source_reading import MAX_SOURCE_BYTES, parse_python, read_text

MAX_MODULE_FILES = 400
"""Most files of a package that travel with a task; larger ones hold more than one task could need."""


@dataclass(frozen=True, slots=True)
class FoundModule:
    """A module's text, its path within its root, and the other files that travel with it."""

    path: str
    text: str
    others: tuple[SourceFile, ...]


def find_module(name: str, search: Iterable[str] | None = None) -> FoundModule:
    """The module of this dotted name on the search path (sys.path), with all of its package's files.

    Raises InputError where there is none, or where its package is larger than `MAX_MODULE_FILES` or 4 MiB.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise InputError("not a module's name", value=name, rule="identifiers joined by dots")
    for entry in sys.path if search is None else search:
        root = Path(entry or ".")
        target = root.joinpath(*parts)
        for file in (target.with_suffix(".py"), target / "__init__.py"):
            if file.is_file():
                return _with_package(root, file, parts[0])
    raise InputError(
        "there is no such module",
        value=name,
        rule="it must be a .py file on Python's search path",
        next_step="install it here, run in its folder with PYTHONPATH=., or give the file's path",
    )


def _with_package(root: Path, file: Path, top: str) -> FoundModule:
    own = file.relative_to(root).as_posix()
    text = read_text(file, "module")
    if not (root / top).is_dir():
        return FoundModule(own, text, tuple(local_helpers(root, text, own)))
    paths = sorted(path for path in (root / top).rglob("*.py") if path != file)
    if len(paths) >= MAX_MODULE_FILES:
        raise _too_large(top, f"{len(paths) + 1} files", f"at most {MAX_MODULE_FILES} files")
    size = len(text) + sum(path.stat().st_size for path in paths)
    if size > MAX_SOURCE_BYTES:
        raise _too_large(top, f"{size} bytes", f"at most {MAX_SOURCE_BYTES} bytes")
    others = [SourceFile(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]
    return FoundModule(own, text, tuple(others))


def local_helpers(folder: Path, text: str, path: str) -> Iterator[SourceFile]:
    """Files beside a program that it imports by their plain names, and what those import, each once."""
    seen, waiting = {path}, [(text, path)]
    while waiting and len(seen) <= MAX_MODULE_FILES:
        text, path = waiting.pop()
        for name in _imported_names(parse_python(text, path).tree):
            helper = folder / f"{name}.py"
            if helper.name in seen or not helper.is_file():
                continue
            seen.add(helper.name)
            source = SourceFile(helper.name, read_text(helper, "imported file"))
            waiting.append((source.text, source.path))
            yield source


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _too_large(name: str, value: str, rule: str) -> InputError:
    return InputError(
        f"the package {name} is too large to travel with a task",
        value=value,
        rule=rule,
        next_step="copy the class and what it needs into a file of its own",
    )
