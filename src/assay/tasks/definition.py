"""Definition JSON with workloads (SOL-ExecBench, FlashInfer-Bench) as one program.

The reference's text stays as it is; what follows it declares the variable axes, lists the workloads, and draws inputs:
normally distributed numbers where the schema says "random" (scaled or made positive where the input's name says that
it is a weight, a table of cosines or a variance), the literal for scalars, and the definition's own function for custom
inputs. Not covered: workloads whose tensors lie in safetensors files are left out, and the schemas' tolerances (1e-2,
99 % of the elements) are not used: Assay's error budget applies.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.definition_schema import Definition, TensorField, expression_code, parse_definition, read_json
from assay.tasks.source_reading import parse_python, read_text
from assay.tasks.workloads import Workload, read_workloads, workload_file

PROGRAM_PATH = "task.py"
WORKLOAD_AXIS = "workload"

_ADAPTER = """

# Added by Assay: the Definition's axes and workloads.
import torch as _assay_torch

TASK = {declared!r}
_ASSAY_CONSTANTS = {constants!r}
_ASSAY_SCALARS = {scalars!r}
_ASSAY_CUSTOM = {custom!r}
_ASSAY_INPUTS = {inputs!r}
_assay_custom_inputs = {custom_entry}


def _assay_draw(style, shape, dtype):
    if style == "boolean":
        return _assay_torch.randint(0, 2, shape).bool()
    if style == "integer":
        limit = 128 if dtype == _assay_torch.int8 else 1024
        return _assay_torch.randint(-limit, limit, shape).to(dtype)
    values = _assay_torch.randn(shape)
    if style == "scale":
        values = 1 + 0.1 * values
    elif style == "positive":
        values = values.abs() + 0.1
    elif style == "cosine":
        values = _assay_torch.cos(values * 3)
    elif style == "matrix":
        values = values * max(shape[-1], 1) ** -0.5
    return values.to(dtype)


def get_inputs(**given):
    number = given.pop({workload_axis!r}, 0)
    axes = {{**_ASSAY_CONSTANTS, **given}}
{derived}
    scalars, custom = _ASSAY_SCALARS[number], {{}}
    if _ASSAY_CUSTOM[number]:
        custom = _assay_custom_inputs({{**axes, **scalars}}, _assay_torch.device("cpu"))
    drawn = []
    for name, shape, dtype, style in _ASSAY_INPUTS:
        if name in scalars:
            drawn.append(scalars[name])
        elif name in custom:
            drawn.append(custom[name])
        else:
            sizes = [axes[axis] for axis in shape]
            drawn.append(_assay_draw(style, sizes, getattr(_assay_torch, dtype)))
    return drawn
"""

_UNPACK = """

_assay_run = run


def run({names}):
    found = _assay_run({names})
    return tuple(found[name] for name in {outputs!r}) if isinstance(found, dict) else found
"""


def definition_task(path: Path) -> Task:
    """The task of a Definition file or of a folder that holds one. Raises InputError or TaskError."""
    file = find_definition(path)
    definition = parse_definition(read_json(read_text(file, "definition"), str(file)), str(file))
    workloads = read_workloads(workload_file(file, definition.name), definition)
    usable = [workload for workload in workloads if workload.missing_file is None]
    if not usable:
        raise TaskError(
            f"every workload of {definition.name} needs a tensor file",
            value=str(workloads[0].missing_file),
            rule="inputs are random, scalar or custom; tensors from safetensors files are not read",
            next_step="add a workload with random inputs",
        )
    notes = ["tolerances of the workload file are not used: Assay's error budget applies"]
    if len(usable) < len(workloads):
        notes.append(f"left out: {len(workloads) - len(usable)} workloads that need safetensors files")
    files = (SourceFile(PROGRAM_PATH, _program(definition, usable)),)
    return Task(definition.name, TaskFormat.DEFINITION, files, f"{PROGRAM_PATH}:run", notes=tuple(notes))


def find_definition(path: Path) -> Path:
    """The Definition that a path means: itself, its definition.json, or the only one of a trace data set."""
    if path.is_file():
        return path
    if (path / "definition.json").is_file():
        return path / "definition.json"
    found = sorted((path / "definitions").rglob("*.json"))[:50]
    if len(found) == 1:
        return found[0]
    raise InputError(
        "the folder holds several definitions" if found else "the folder holds no task",
        value=str(path),
        rule="definition.json, a definitions folder, or config_forward.json with func_forward.py",
        next_step="name one: " + ", ".join(str(file) for file in found[:5]) if found else "give a file",
    )


def _program(definition: Definition, workloads: Sequence[Workload]) -> str:
    styles = [(f.name, list(f.shape or ()), f.dtype.value, _style(f)) for f in definition.inputs]
    names = ", ".join(field.name for field in definition.inputs)
    text = definition.reference.rstrip() + "\n"
    if _returns_dict(definition):
        text += _UNPACK.format(names=names, outputs=[field.name for field in definition.outputs])
    return text + _ADAPTER.format(
        declared=_declared(definition, workloads),
        constants=dict(definition.constants),
        scalars=[workload.scalars for workload in workloads],
        custom=[workload.custom for workload in workloads],
        inputs=styles,
        custom_entry=definition.custom_entry,
        workload_axis=WORKLOAD_AXIS,
        derived="\n".join(_derived_axes(definition)) or "    # no derived axes",
    )


def _declared(definition: Definition, workloads: Sequence[Workload]) -> dict[str, Any]:
    """TASK: the first workload's axes, and what the others change; a number tells workloads apart where axes do not."""
    same_sources = all(w.scalars == workloads[0].scalars and w.custom == workloads[0].custom for w in workloads)
    tables = [w.axes if same_sources else {**w.axes, WORKLOAD_AXIS: n} for n, w in enumerate(workloads)]
    changes = [{axis: size for axis, size in table.items() if size != tables[0][axis]} for table in tables]
    unique = [change for n, change in enumerate(changes) if change not in changes[:n]]
    custom = any(workload.custom for workload in workloads)
    domains = {
        field.name: "fixed" if custom or style == "cosine" else "positive"
        for field in definition.inputs
        if (style := _style(field)) in ("positive", "cosine") or (custom and field.dtype.is_floating)
        if field.shape is not None
    }
    return {
        "family": definition.family,
        "axes": tables[0],
        "workloads": unique,
        "limits": {} if custom or definition.constraints else _limits(definition, workloads),
        "domains": domains,
    }


def _limits(definition: Definition, workloads: Sequence[Workload]) -> dict[str, dict[str, int]]:
    """A range for the one axis that varies among the workloads; where several vary, they may depend on each other."""
    varying = [axis for axis in definition.variables if len({workload.axes[axis] for workload in workloads}) > 1]
    if len(varying) != 1:
        return {}
    sizes = [workload.axes[varying[0]] for workload in workloads]
    step = math.gcd(*sizes)
    return {varying[0]: {"min": min(sizes), "max": max(sizes), "multiple_of": max(step, 1)}}


def _derived_axes(definition: Definition) -> list[str]:
    known = [*definition.constants, *definition.variables]
    lines = []
    for axis, expression in definition.expressions.items():
        lines.append(f"    axes[{axis!r}] = int({expression_code(expression, known, 'axes', definition.name)})")
        known.append(axis)
    return lines


def _style(field: TensorField) -> str:
    """How to draw a random input, by its element type and its name."""
    name = field.name.lower()
    if not field.dtype.is_floating:
        return "boolean" if field.dtype.value == "bool" else "integer"
    if "norm" in name and "weight" in name:
        return "scale"
    if name.rstrip("0123456789").endswith(("std", "variance", "_var")) or name == "var":
        return "positive"
    if name.split("_")[0] in ("cos", "sin") or name.endswith(("_cos", "_sin")):
        return "cosine"
    if len(field.shape or ()) > 1 and ("weight" in name or "proj" in name):
        return "matrix"
    return "normal"


def _returns_dict(definition: Definition) -> bool:
    run = parse_python(definition.reference, definition.name).functions["run"]
    return any(
        isinstance(node, ast.Return) and isinstance(node.value, (ast.Dict, ast.DictComp)) for node in ast.walk(run)
    )
