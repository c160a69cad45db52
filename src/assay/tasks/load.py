"""One door for every task format: a builtin's name, a file, a folder or a module becomes a Task, as text.

Nothing here runs a task's code: formats are told apart by their files and by the syntax tree alone.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.sources import Task, TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.definition import definition_task
from assay.tasks.kernelbench import is_kernelbench, kernelbench_task
from assay.tasks.modules import find_module, local_helpers
from assay.tasks.plain import plain_task
from assay.tasks.robust_kbench import directions_in, is_robust_kbench, robust_kbench_task
from assay.tasks.source_reading import dict_entries, literal, parse_python, read_text

BUILTIN_FOLDER = Path(__file__).parent / "builtin"
PROFILES = ("full", "scaled")
TASK_KEYS = (
    "family",
    "axes",
    "workloads",
    "limits",
    "domains",
    "weights",
    "mode",
    "linear",
    "deterministic",
    "jumps",
    "error_factor",
    "error_reason",
)
"""Keys of TASK that an override may replace: all of docs/task-format.md but `flops`, which is a function."""


def load_task(
    spec: str | Path,
    *,
    profile: str = "full",
    workload: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Task:
    """The task that `spec` names.

    Args:
        spec: a builtin's name (`softmax`), a Python file (`file.py`, `file.py:Class`), a module
            (`package.module:Class`, found, not imported), a robust-kbench folder (`folder`, `folder:backward`), or a
            Definition (`file.json`, or a folder with definition.json and workload.jsonl).
        profile: "full", or "scaled" for a KernelBench task with sizes for a small machine.
        workload: which of the task's workloads is timed, from 0; the others are still checked.
        overrides: replacements for keys of the program's TASK, for example {"weights": "frozen"}.

    Raises InputError where the argument is wrong and TaskError where what it names is not a usable task.
    """
    if profile not in PROFILES:
        raise InputError("unknown profile", value=str(profile), rule=f"one of {', '.join(PROFILES)}")
    task = _read(spec, profile)
    if profile == "scaled" and task.profile != "scaled":
        raise InputError(
            "only KernelBench tasks have a scaled profile",
            value=f"{task.name} ({task.format.value})",
            next_step="leave the profile out, or override the axes",
        )
    changes = dict(overrides or {})
    _check_overrides(changes)
    if workload is not None:
        changes["workloads"] = _workload_first(task, workload)
    return replace(task, overrides={**task.overrides, **changes})


def _read(spec: str | Path, profile: str) -> Task:
    text = str(spec)
    if text in builtin_names():
        return _builtin(text)
    path, _, symbol = text.rpartition(":") if ":" in text and not Path(text).exists() else (text, "", "")
    place = Path(path)
    if place.is_dir():
        return _folder(place, symbol)
    if place.is_file():
        return _file(place, symbol or None, profile)
    if symbol and not path.endswith((".py", ".json")) and "/" not in path:
        found = find_module(path)
        return plain_task(found.text, found.path, symbol, found.others)
    raise _unknown(text)


def _folder(path: Path, symbol: str) -> Task:
    if is_robust_kbench(path):
        return robust_kbench_task(path, symbol or directions_in(path)[0])
    return definition_task(path)


def _file(path: Path, symbol: str | None, profile: str) -> Task:
    if path.suffix == ".json":
        return definition_task(path)
    if path.suffix != ".py":
        raise InputError(
            "this kind of file cannot be a task", value=str(path), rule="a .py file, or a Definition as .json"
        )
    text = read_text(path, "task file")
    if symbol in (None, "Model") and is_kernelbench(parse_python(text, path.name)):
        return kernelbench_task(text, "/".join(path.resolve().parts[-2:]), profile)
    return plain_task(text, path.name, symbol, local_helpers(path.parent, text, path.name))


def builtin_names() -> list[str]:
    """Names of Assay's own tasks."""
    return sorted(path.stem for path in BUILTIN_FOLDER.glob("*.py") if path.stem != "__init__")


def _builtin(name: str) -> Task:
    task = plain_task((BUILTIN_FOLDER / f"{name}.py").read_text(encoding="utf-8"), f"{name}.py")
    return replace(task, name=name, format=TaskFormat.BUILTIN)


def _unknown(text: str) -> InputError:
    if text.endswith((".py", ".json")) or "/" in text:
        return InputError("the task does not exist", value=text, next_step="check the path; relative ones start here")
    names = builtin_names()
    close = difflib.get_close_matches(text, names, n=5, cutoff=0.5)
    return InputError(
        "there is no such task",
        value=text,
        rule="a builtin's name, a .py file, a folder, a .json Definition, or module:Class",
        next_step=f"did you mean {', '.join(close)}?" if close else f"builtins: {', '.join(names)}",
    )


def _check_overrides(overrides: Mapping[str, Any]) -> None:
    for key, value in overrides.items():
        if key not in TASK_KEYS:
            close = difflib.get_close_matches(key, TASK_KEYS, n=2)
            raise InputError(
                "unknown override", value=key, rule=f"one of {', '.join(close or TASK_KEYS)}; see docs/task-format.md"
            )
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError("an override must be plain data", value=f"{key}: {value!r}"[:100]) from None


def _workload_first(task: Task, index: int) -> list[Any]:
    """The task's workloads with one of them first, for the first one is timed."""
    file = next(file for file in task.files if file.path == task.entry.partition(":")[0])
    node = dict_entries(parse_python(file.text, file.path).values.get("TASK")).get("workloads")
    workloads = task.overrides.get("workloads", literal(node) if node is not None else [{}])
    if not isinstance(workloads, list):
        raise TaskError(
            "the task's workloads are computed, so none can be chosen here", value=ast.unparse(node) if node else ""
        )
    if not 0 <= index < len(workloads):
        raise InputError("no such workload", value=str(index), rule=f"0 to {len(workloads) - 1} for {task.name}")
    return [workloads[index], *workloads[:index], *workloads[index + 1 :]]
