"""What tasks there are: the builtins, or everything recognisable below a folder."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.core.sources import Task, TaskFormat
from assay.errors import AssayError, InputError
from assay.tasks.load import BUILTIN_FOLDER, builtin_names, load_task
from assay.tasks.robust_kbench import directions_in
from assay.tasks.source_reading import dict_entries, literal, parse_python

MAX_LISTED = 2000
"""Most tasks of one listing; all of KernelBench and robust-kbench together have fewer than 600."""

_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist"})
_SOURCE_FILES = ("func_forward.py", "func_backward.py")


@dataclass(frozen=True, slots=True)
class TaskListing:
    """One line of a listing; `spec` is what load_task takes, `problem` says why it would fail, or None."""

    name: str
    format: TaskFormat
    family: str
    summary: str
    spec: str
    problem: str | None = None


def list_tasks(path: Path | None = None) -> list[TaskListing]:
    """Assay's own tasks, or all that a folder holds (at most `MAX_LISTED`, hidden folders skipped), sorted by place.

    Files that are not tasks at all are left out; those that nearly are come with their problem. Raises InputError
    where the path does not exist.
    """
    if path is None:
        return [_listing(name, TaskFormat.BUILTIN) for name in builtin_names()]
    if not path.exists():
        raise InputError("the folder does not exist", value=str(path), next_step="check the path")
    found: list[TaskListing] = []
    for spec, format_ in _recognised(path):
        found.append(_listing(spec, format_))
        if len(found) == MAX_LISTED:
            break
    return found


def _recognised(path: Path) -> Iterator[tuple[str, TaskFormat]]:
    """What looks like a task below a path: its spec and format."""
    if path.is_file():
        yield from _file(path)
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        place = Path(folder)
        directions = directions_in(place)
        for direction in directions:
            yield f"{place}:{direction}", TaskFormat.ROBUST_KBENCH
        for name in sorted(files):
            if not directions or name.endswith(".json"):
                yield from _file(place / name)


def _file(path: Path) -> Iterator[tuple[str, TaskFormat]]:
    """Whether a file looks like a task, by a few words in its text."""
    if path.suffix not in (".py", ".json") or path.name in _SOURCE_FILES or not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return
    if path.suffix == ".json" and '"axes"' in text and '"reference"' in text:
        yield str(path), TaskFormat.DEFINITION
    if path.suffix == ".py" and ("def get_inputs" in text or "example_inputs" in text) and "torch" in text:
        plain = "def get_init_inputs" not in text or "\nTASK" in text
        yield str(path), TaskFormat.PLAIN if plain else TaskFormat.KERNELBENCH


def _listing(spec: str, expected: TaskFormat) -> TaskListing:
    name = Path(spec).stem if expected is not TaskFormat.ROBUST_KBENCH else Path(spec.rpartition(":")[0]).name
    try:
        task = load_task(BUILTIN_FOLDER / f"{spec}.py" if expected is TaskFormat.BUILTIN else spec)
    except AssayError as error:
        return TaskListing(name, expected, "unknown", "", spec, f"{error.what}: {error.value}".rstrip(": "))
    family, summary = _described(task)
    format_ = expected if expected is TaskFormat.BUILTIN else task.format
    return TaskListing(task.name, format_, family, summary, spec)


def _described(task: Task) -> tuple[str, str]:
    """Family and summary as the program declares them."""
    path, _, symbol = task.entry.partition(":")
    facts = parse_python(next(file.text for file in task.files if file.path == path), path)
    family = literal(dict_entries(facts.values.get("TASK")).get("family"))
    node = facts.classes.get(symbol) or facts.functions.get(symbol)
    own = (ast.get_docstring(node) or "").strip().partition("\n")[0] if node is not None else ""
    return (family if isinstance(family, str) else "other"), facts.summary or own
