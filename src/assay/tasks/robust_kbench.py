"""robust-kbench folders: func_forward.py with config_forward.json, and the same for backward.

A configuration has three parts: input (arguments of get_inputs), init (arguments of Model) and shared (both). The task
takes the first combination of the `single_` lists; the `multi_input_configs` become further workloads, for they change
inputs only. Other inits would be other weights, hence other tasks: a note counts what was left out.

A backward folder's own reference is torch's gradient of forward_fn; the task's module returns those gradients, first of
the floating-point inputs, then of the parameters in the order of Model.parameters(), unused ones left out.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.definition_schema import read_json
from assay.tasks.source_reading import PythonFacts, parse_python, read_text, refuse_cuda, required_arguments

DIRECTIONS = ("forward", "backward")
PROGRAM_PATH = "task.py"

_ADAPTER = """

# Added by Assay: the chosen configuration.
import inspect as _assay_inspect

TASK = {declared!r}
_ASSAY_INIT = {init!r}
_ASSAY_FIXED = {fixed!r}
_assay_draw = get_inputs


def get_init_inputs():
    bound = _assay_inspect.signature(Model).bind(**_ASSAY_INIT)
    bound.apply_defaults()
    return list(bound.args)


def get_inputs(**axes):
    drawn = _assay_draw(**_ASSAY_FIXED, **axes)
    return [value.detach() if torch.is_tensor(value) else value for value in drawn]
"""

_BACKWARD = '''

class Backward(Model):
    """Gradients of Model: of its floating-point inputs, then of its parameters."""

    def forward(self, {names}, grad_output):
        with torch.enable_grad():
            given = [{names}]
            floating = [torch.is_tensor(value) and value.is_floating_point() for value in given]
            given = [v.detach().requires_grad_() if real else v for v, real in zip(given, floating)]
            wanted = [value for value, real in zip(given, floating) if real] + list(self.parameters())
            output = super().forward(*given)
            found = torch.autograd.grad(output, wanted, grad_output, allow_unused=True)
        return tuple(gradient for gradient in found if gradient is not None)


_assay_forward_inputs = get_inputs


def get_inputs(**axes):
    given = _assay_forward_inputs(**axes)
    with torch.device("meta"), torch.no_grad():
        shapes = [value.to("meta") if torch.is_tensor(value) else value for value in given]
        output = Model(*get_init_inputs())(*shapes)
    return [*given, torch.randn(output.shape).to(output.dtype)]
'''


def is_robust_kbench(folder: Path) -> bool:
    """Whether a folder holds at least one direction of a robust-kbench task."""
    return any(_has(folder, direction) for direction in DIRECTIONS)


def directions_in(folder: Path) -> list[str]:
    """The directions that a folder holds."""
    return [direction for direction in DIRECTIONS if _has(folder, direction)]


def robust_kbench_task(folder: Path, direction: str = "forward") -> Task:
    """The forward or backward task of a folder. Raises InputError or TaskError where that direction is not usable."""
    if direction not in directions_in(folder):
        raise InputError(
            f"the folder has no {direction} task",
            value=str(folder),
            rule="a direction has config_<direction>.json and func_<direction>.py",
            next_step=f"it has: {', '.join(directions_in(folder)) or 'neither'}",
        )
    where = f"{folder.name}/func_{direction}.py"
    text = read_text(folder / f"func_{direction}.py", "task file")
    facts = parse_python(text, where)
    if "Model" not in facts.classes or "get_inputs" not in facts.functions:
        raise TaskError(f"{where} lacks Model or get_inputs", value=", ".join([*facts.classes, *facts.functions]))
    refuse_cuda(facts, where)
    config_path = folder / f"config_{direction}.json"
    config = read_json(read_text(config_path, "configuration"), str(config_path))
    program, notes = _program(text, facts, config, str(config_path), folder, direction)
    backward = direction == "backward"
    place = folder.resolve()
    name = f"{place.parent.name}_{place.name}" if place.name.startswith("task_") else place.name
    name += "_backward" if backward else ""
    entry = f"{PROGRAM_PATH}:{'Backward' if backward else 'Model'}"
    return Task(name, TaskFormat.ROBUST_KBENCH, (SourceFile(PROGRAM_PATH, program),), entry, notes=notes)


def _program(
    text: str, facts: PythonFacts, config: Mapping[str, Any], where: str, folder: Path, direction: str
) -> tuple[str, tuple[str, ...]]:
    init, inputs, shared = (_first(config, f"single_{part}_configs", where) for part in ("init", "input", "shared"))
    accepted = _accepted(facts.functions["get_inputs"])
    given = {key: value for key, value in {**inputs, **shared}.items() if key in accepted}
    axes = {key: value for key, value in given.items() if type(value) is int}
    declared = {
        "family": "backward" if direction == "backward" else "robust-kbench",
        "axes": axes,
        "workloads": _workloads(config, axes),
        "mode": "train",
        "weights": "live",
    }
    fixed = {key: value for key, value in given.items() if key not in axes}
    init = _for_constructor({**init, **shared}, facts)
    program = text + _ADAPTER.format(declared=declared, init=init, fixed=fixed)
    if "torch" not in {alias.name for node in facts.tree.body if isinstance(node, ast.Import) for alias in node.names}:
        program += "\n\nimport torch\n"
    if direction == "backward":
        program += _BACKWARD.format(names=", ".join(_input_names(facts, folder)))
    return program, _notes(config)


def _workloads(config: Mapping[str, Any], axes: Mapping[str, int]) -> list[dict[str, int]]:
    """The timed configuration, and every other input configuration of the same axes."""
    found: list[dict[str, int]] = [{}]
    for other in config.get("multi_input_configs") or ():
        if not isinstance(other, dict):
            continue
        changed = {key: value for key, value in other.items() if key in axes and value != axes[key]}
        if changed and changed not in found and all(type(value) is int for value in changed.values()):
            found.append(changed)
    return found


def _notes(config: Mapping[str, Any]) -> tuple[str, ...]:
    singles = [len(config.get(f"single_{part}_configs") or ()) for part in ("input", "init", "shared")]
    notes = ["robust-kbench never calls eval(): judged in training mode"]
    if max(singles) > 1:
        notes.append(f"the first of {singles[0] * singles[1] * singles[2]} single configurations")
    others = [len(config.get(f"multi_{part}_configs") or ()) for part in ("init", "shared")]
    if max(others) > 1:
        notes.append(f"left out: {others[0]} init and {others[1]} shared configurations that change the weights")
    return tuple(notes)


def _first(config: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = config.get(key)
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        raise TaskError(f"{where} lacks {key}", value=repr(value)[:80], rule="a list of at least one JSON object")
    return dict(value[0])


def _for_constructor(init: dict[str, Any], facts: PythonFacts) -> dict[str, Any]:
    """The part of a configuration that Model's constructor takes; one published folder names more."""
    methods = {item.name: item for item in facts.classes["Model"].body if isinstance(item, ast.FunctionDef)}
    if "__init__" not in methods:
        return {}
    if methods["__init__"].args.kwarg is not None:
        return init
    accepted = _accepted(methods["__init__"])
    return {key: value for key, value in init.items() if key in accepted}


def _accepted(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    return {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def _input_names(facts: PythonFacts, folder: Path) -> list[str]:
    methods = {item.name: item for item in facts.classes["Model"].body if isinstance(item, ast.FunctionDef)}
    names = required_arguments(methods["forward"], skip=1) if "forward" in methods else []
    if not names:
        raise TaskError(f"Model.forward in {folder.name} takes no inputs", rule="gradients need an input")
    return names


def _has(folder: Path, direction: str) -> bool:
    return (folder / f"func_{direction}.py").is_file() and (folder / f"config_{direction}.json").is_file()
