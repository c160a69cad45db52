"""Workloads of a Definition: JSON lines that give every variable axis a size and every input a source.

Reads both the bare workload of SOL-ExecBench and the trace line of FlashInfer-Bench, which wraps it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import TaskError
from assay.tasks.definition_schema import Definition
from assay.tasks.source_reading import read_text

_KINDS = ("random", "scalar", "custom", "safetensors")


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the workload file."""

    axes: dict[str, int]
    scalars: dict[str, float]
    custom: bool
    missing_file: str | None


def workload_file(file: Path, name: str) -> Path:
    """Where the workloads lie: beside the definition, or in the `workloads` folder of the data set around it."""
    beside = [file.with_suffix(".jsonl"), file.parent / "workload.jsonl", file.parent / "workloads.jsonl"]
    around = [
        found
        for parent in list(file.resolve().parents)[:5]
        if (parent / "workloads").is_dir()
        for found in sorted((parent / "workloads").rglob(f"{name}.jsonl"))
    ]
    for place in (*beside, *around):
        if place.is_file():
            return place
    raise TaskError(
        f"{name} has no workloads",
        value=str(beside[0]),
        rule="a Definition needs workloads: a .jsonl file with a value for every var axis",
        next_step='for example: {"uuid": "1", "axes": {"M": 128}, "inputs": {"A": {"type": "random"}}}',
    )


def read_workloads(path: Path, definition: Definition) -> list[Workload]:
    """Every workload of a JSON-lines file. Raises TaskError with the line that is wrong."""
    found: list[Workload] = []
    for number, line in enumerate(read_text(path, "workload file").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            data = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(f"{where} is not JSON", value=error.msg) from None
        data = data.get("workload", data) if isinstance(data, dict) else data
        if not isinstance(data, dict) or not isinstance(data.get("axes"), dict):
            raise TaskError(f"{where} is not a workload", value=line[:80], rule="a JSON object with axes and inputs")
        found.append(_workload(data, definition, where))
    return found


def _workload(data: Mapping[str, Any], definition: Definition, where: str) -> Workload:
    axes = {}
    for axis in definition.variables:
        value = data["axes"].get(axis)
        if type(value) is not int or value < 0:
            raise TaskError(f"{where} gives no size to axis {axis}", value=repr(value), rule="a whole number")
        axes[axis] = value
    sources = data.get("inputs") or {}
    scalars: dict[str, float] = {}
    custom, missing = False, None
    for field in definition.inputs:
        source = sources.get(field.name, {"type": "random"})
        kind = source.get("type") if isinstance(source, dict) else None
        if kind not in _KINDS:
            raise TaskError(f"{where}: {field.name} has an unknown type", value=repr(kind), rule=", ".join(_KINDS))
        if kind == "scalar":
            scalars[field.name] = _number(source.get("value"), f"{where}: {field.name}")
        elif field.shape is None and kind == "random":
            raise TaskError(f"{where} gives no value to the number {field.name}", rule='{"type": "scalar", "value": 1}')
        elif kind == "custom" and definition.custom_entry is None:
            raise TaskError(f"{where}: {field.name} is custom", rule="the definition names custom_inputs_entrypoint")
        custom = custom or kind == "custom"
        if kind == "safetensors":
            missing = f"{field.name}: {source.get('path')} ({source.get('tensor_key')})"
    return Workload(axes, scalars, custom, missing)


def _number(value: Any, where: str) -> float:
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
        raise TaskError(f"{where} is not a finite number", value=repr(value)[:60])
    return value
