"""A module that somebody has in memory as a task: its graph as Python text, its weights and inputs as distributions.

`torch.export` gives the graph, in ATen operators with this call's sizes; nothing of the module's own source is needed.
The task draws weights and inputs with the mean and spread that they have here, so that a certificate is about numbers
like these, and carries none of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from assay.core.identity import identity
from assay.core.sources import SourceFile, Task, TaskFormat
from assay.errors import InputError

_FILE, _NOTE = "converted.py", "graph "
_SPREAD = 0.1
"""Of what is all alike, relative to its mean. A new normalisation's weights are all 1: with a spread of 1 some were
near 0, the next normalisation amplified their channel's rounding, and right gradients missed the error budget."""

_TEXT = '''"""Converted from a module: {name}."""

import torch
from math import inf, nan
from torch import device, nn, tensor


def drawn(shape, dtype, mean, spread, least, most):
    if dtype.is_floating_point:
        values = (torch.randn(shape) * spread + mean).to(dtype)
        return values.abs() if least >= 0 else values
    return torch.randint(least, most + 1, shape).to(dtype)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
{weights}

    def forward(self, {arguments}):
{forward}

{graph}

def get_inputs():
    return [{inputs}]
'''


@dataclass(frozen=True, slots=True)
class Converted:
    """A module's graph as a task. `key` tells two modules with the same graph, shapes and types alike.

    `weight_names` are the module's own names of the tensors that the task's state_dict has, in its order.
    """

    task: Task
    key: str
    weight_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """A module as torch exports it: its graph as text, its tensors by the graph's names for them, and whose they are.

    `owned` are the module's own names; `results` say of each result which buffer it is the new value of, None for a
    result of forward.
    """

    code: str
    arguments: tuple[str, ...]
    owned: Mapping[str, str]
    tensors: Mapping[str, Any]
    parameters: frozenset[str]
    results: tuple[str | None, ...]


def convert(module: Any, example_inputs: Sequence[Any], name: str) -> Converted:
    """The task of a module on inputs like these (tensors and numbers, positional).

    Raises InputError where it cannot be exported, with torch's own words: data-dependent control flow, an operator
    without a description, inputs that are neither tensors nor numbers.
    """
    exported = export(module, example_inputs, name)
    if any(exported.results):
        raise InputError("the module changes its buffers", value=name, next_step="call its eval() first")
    call = f"return self.graph({', '.join([*(f'self.{one}' for one in exported.owned), *exported.arguments])})"
    return as_task(exported, example_inputs, name, [call])


def export(module: Any, example_inputs: Sequence[Any], name: str) -> Exported:
    """A module's graph in ATen operators with this call's sizes. Raises as `convert` does."""
    import torch

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch about itself
            exported = torch.export.export(module, tuple(example_inputs), strict=False).run_decompositions({})
    except Exception as error:
        raise InputError(
            "the module cannot be exported", value=f"{name}: {type(error).__name__}: {error}"[:600],
            rule="control flow must not depend on data; inputs are tensors and numbers",
            next_step="optimise a part of it, or write the task as a file (docs/task-format.md)",
        ) from error  # fmt: skip
    signature = exported.graph_signature
    if signature.user_inputs_to_mutate:
        raise InputError("the module changes its inputs", value=name, next_step="work on a copy of them in forward")
    if exported.constants:
        raise InputError("the module holds constant tensors in its forward", value=", ".join(exported.constants)[:200])
    placeholders = [node.name for node in exported.graph.nodes if node.op == "placeholder"]
    owners = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers)
    owned = {place: owners[place] for place in placeholders if place in owners}
    changed = dict(signature.buffers_to_mutate)
    return Exported(
        exported.graph_module.code, tuple(place for place in placeholders if place not in owned), owned,
        {place: exported.state_dict.get(full) for place, full in owned.items()},
        frozenset(signature.inputs_to_parameters), tuple(changed.get(spec.arg.name) for spec in signature.output_specs),
    )  # fmt: skip


def as_task(
    exported: Exported, example_inputs: Sequence[Any], name: str, forward: Sequence[str],
    declared: Mapping[str, Any] = MappingProxyType({}),
) -> Converted:  # fmt: skip
    """The task whose forward is these lines; its graph is the static method `graph` of all tensors and inputs.

    `declared` is its TASK (docs/task-format.md).
    """
    import torch

    graph = _graph_text(exported.code)
    text = _TEXT.format(
        name=name.replace('"', ""),
        weights=_weights_text(torch, exported),
        arguments=", ".join(exported.arguments),
        forward="\n".join("        " + line for line in forward),
        graph=graph,
        inputs=", ".join(_drawn(torch, value) for value in example_inputs),
    )
    text += f"\n\nTASK = {dict(declared)!r}\n" if declared else ""
    layouts = [_layout(torch, value) for value in (*exported.tensors.values(), *example_inputs)]
    key = identity([graph, list(forward), layouts])
    task = Task(name, TaskFormat.PLAIN, (SourceFile(_FILE, text),), f"{_FILE}:Model", notes=(_NOTE + key,))
    return Converted(task, key, tuple(exported.owned.values()))


def key_of(task: Task) -> str | None:
    """The key of a task that was converted from a module; None for any other."""
    return next((note.removeprefix(_NOTE) for note in task.notes if note.startswith(_NOTE)), None)


def _graph_text(code: str) -> str:
    """The exported forward as a static method `graph`."""
    body = code.strip().replace("def forward(self, ", "def graph(", 1)
    lines = [line for line in body.splitlines() if line.strip()]
    return "\n".join(["    @staticmethod", *("    " + line for line in lines), ""])


def _weights_text(torch: Any, exported: Exported) -> str:
    lines = []
    for place, value in exported.tensors.items():
        if place in exported.parameters:
            lines.append(f"self.{place} = nn.Parameter({_drawn(torch, value)}, requires_grad={value.requires_grad})")
        else:
            lines.append(f'self.register_buffer("{place}", {_drawn(torch, value)})')
    return "\n".join("        " + line for line in lines) or "        pass"


def _drawn(torch: Any, value: Any) -> str:
    """An expression that draws something like a value."""
    if not isinstance(value, torch.Tensor):
        return repr(value)
    shape, dtype = tuple(value.shape), value.dtype
    if dtype.is_floating_point:
        wide = value.detach().double()
        mean = float(wide.mean()) if wide.numel() else 0.0
        spread = float(wide.std(correction=0)) if wide.numel() > 1 else 1.0
        sign = 0 if wide.numel() and float(wide.min()) >= 0 else -1  # a variance stays one
        return f"drawn({shape}, {dtype}, {mean:.6g}, {spread or _SPREAD * (abs(mean) or 1.0):.6g}, {sign}, 0)"
    least, most = (int(value.min()), int(value.max())) if value.numel() else (0, 0)
    return f"drawn({shape}, {dtype}, 0.0, 1.0, {least}, {most})"


def _layout(torch: Any, value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return [type(value).__name__, repr(value)]
    return [str(value.dtype), list(value.shape), list(value.stride())]
