"""KernelBench files: a class Model, get_inputs and get_init_inputs, and no TASK.

Faithful to its harness in what it leaves unsaid: modules stay in training mode (KernelBench never calls eval), and
weights are live. What each input may be is read from how get_inputs draws it: a plain torch.randn may be anything, a
plain torch.rand too unless the file takes logarithms or roots, and everything else only what get_inputs draws.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import PurePosixPath

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.errors import TaskError
from assay.tasks.scaling import scaled_text
from assay.tasks.source_reading import PythonFacts, parse_python, refuse_cuda

PROGRAM_PATH = "task.py"
_POSITIVE_ONLY = re.compile(r"\b(log|log2|log10|log1p|sqrt|rsqrt|pow)\(|\*\*")
_TRAIN_NOTE = "KernelBench never calls eval(): judged in training mode"


def is_kernelbench(facts: PythonFacts) -> bool:
    """Whether a file keeps KernelBench's convention and nothing beyond it."""
    required = {"get_inputs", "get_init_inputs"}
    takes_axes = "get_inputs" in facts.functions and bool(facts.functions["get_inputs"].args.args)
    return (
        required <= facts.functions.keys()
        and "Model" in facts.classes
        and "TASK" not in facts.values
        and not takes_axes
    )


def kernelbench_task(text: str, path: str, profile: str) -> Task:
    """The task of a KernelBench file, at full size or scaled down. Raises TaskError where it needs a GPU to load."""
    facts = parse_python(text, path)
    refuse_cuda(facts, path)
    _refuse_downloads(facts, path)
    notes: tuple[str, ...] = (_TRAIN_NOTE,)
    if profile == "scaled":
        text, changes = scaled_text(text, facts)
        notes += changes or ("scaled: nothing had to change",)
    pure = PurePosixPath(path)
    declared = {
        "family": f"kernelbench {pure.parent.name}" if pure.parent.name.startswith("level") else "kernelbench",
        "domains": input_domains(facts, text),
        "mode": "train",
        "weights": "live",
    }
    text += f"\n\n# Added by Assay.\nTASK = {declared!r}\n"
    task = Task(pure.stem, TaskFormat.KERNELBENCH, (SourceFile(PROGRAM_PATH, text),), f"{PROGRAM_PATH}:Model")
    return replace(task, profile=profile, notes=notes)


def input_domains(facts: PythonFacts, text: str) -> dict[str, str]:
    """What values each argument of Model.forward may take, for those that are not simply drawn by torch.randn."""
    positive = bool(_POSITIVE_ONLY.search(text))
    names = _forward_arguments(facts)
    drawn = _returned_expressions(facts.functions["get_inputs"])
    if len(drawn) != len(names):
        return dict.fromkeys(names, "fixed")
    return {name: _domain(node, positive) for name, node in zip(names, drawn, strict=True)}


def _domain(node: ast.expr, positive: bool) -> str:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return "fixed"
    method = ast.unparse(node.func)
    if method == "torch.randn":
        return "real"
    if method == "torch.rand":
        return "unit" if positive else "real"
    return "fixed"


def _forward_arguments(facts: PythonFacts) -> list[str]:
    for item in facts.classes["Model"].body:
        if isinstance(item, ast.FunctionDef) and item.name == "forward":
            arguments = [*item.args.posonlyargs, *item.args.args][1:]
            return [argument.arg for argument in arguments]
    return []


def _returned_expressions(function: ast.FunctionDef) -> list[ast.expr]:
    """The elements of the returned list, with local names replaced by what they were last bound to."""
    bound: dict[str, ast.expr] = {}
    returned: list[ast.expr] = []
    for node in function.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            bound[node.targets[0].id] = node.value
        elif isinstance(node, ast.Return) and isinstance(node.value, (ast.List, ast.Tuple)):
            returned = node.value.elts
    return [bound.get(node.id, node) if isinstance(node, ast.Name) else node for node in returned]


def _refuse_downloads(facts: PythonFacts, where: str) -> None:
    """Level 4 builds its models from weights on a server, which no sandbox reaches."""
    for node in ast.walk(facts.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("from_pretrained"):
            raise TaskError(
                f"{where} downloads its model",
                value=f"line {node.lineno}: {ast.unparse(node)[:80]}",
                rule="tasks run without a network",
                next_step="build the module from a configuration in the file itself",
            )
