"""Plain PyTorch files: an nn.Module class, or a function, beside its example inputs."""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Iterable
from pathlib import PurePosixPath

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.errors import TaskError
from assay.tasks.source_reading import PythonFacts, dict_entries, parse_python, refuse_cuda, required_arguments

_INPUT_FUNCTIONS = ("get_inputs", "get_init_inputs", "example_inputs")
_TAKEN_NAMES = frozenset({"torch", "numpy", "assay"})

_EXAMPLE_ADAPTER = """

# Added by Assay: tensors like those of `example_inputs`, drawn anew for every call. Floating ones keep their shape,
# element type, mean and spread; integers and booleans stay as they are, for they may be indices.
def get_inputs():
    import torch

    def like(value):
        if not torch.is_tensor(value) or not value.is_floating_point():
            return value
        values = value.detach().double()
        mean = values.mean().item() if values.numel() else 0.0
        spread = values.std(correction=0).item() if values.numel() > 1 else 1.0
        return (torch.randn(values.shape) * (spread or 1.0) + mean).to(value.dtype)

    examples = example_inputs() if callable(example_inputs) else example_inputs
    return [like(value) for value in (examples if isinstance(examples, (list, tuple)) else [examples])]
"""


def plain_task(text: str, path: str, symbol: str | None = None, helpers: Iterable[SourceFile] = ()) -> Task:
    """A task from the text of a Python file; `symbol` names its class or function, `helpers` are files it imports.

    Raises TaskError where the file does not hold a usable reference.
    """
    facts = parse_python(text, path)
    refuse_cuda(facts, path)
    symbol = choose_symbol(facts, path, symbol)
    _check_constructor(facts, path, symbol)
    if "get_inputs" not in facts.functions:
        text += _adapter_for_examples(facts, path)
    else:
        _check_axes(facts, path)
    path = safe_path(path)
    files = (SourceFile(path, text), *helpers)
    return Task(PurePosixPath(path).stem, TaskFormat.PLAIN, files, f"{path}:{symbol}")


def safe_path(path: str) -> str:
    """The path under which a program is imported: its own, or `task.py` where that name would not import as itself."""
    pure = PurePosixPath(path)
    if len(pure.parts) > 1:
        return path
    taken = pure.stem in sys.stdlib_module_names or pure.stem in _TAKEN_NAMES
    return path if pure.stem.isidentifier() and not taken else "task.py"


def choose_symbol(facts: PythonFacts, where: str, wanted: str | None) -> str:
    """The reference's name: the one asked for, `Model`, the only nn.Module class, or else the only function."""
    functions = [name for name in facts.functions if name not in _INPUT_FUNCTIONS and not name.startswith("_")]
    if wanted is not None:
        if wanted in facts.classes or wanted in facts.functions:
            return wanted
        known = [*facts.module_classes, *functions]
        close = difflib.get_close_matches(wanted, known, n=3) or known
        raise TaskError(
            f"{where} defines no {wanted}",
            value=wanted,
            next_step=f"it defines: {', '.join(close) or 'nothing usable'}",
        )
    if "Model" in facts.classes:
        return "Model"
    choices = list(facts.module_classes) or functions
    if len(choices) == 1:
        return choices[0]
    kind = "several nn.Module classes" if facts.module_classes else "several functions and no nn.Module class"
    raise TaskError(
        f"{where} defines {kind if choices else 'no nn.Module class'}",
        value=", ".join(choices),
        rule="the reference is the class Model, the only nn.Module class, or the one that you name",
        next_step=f"name it: {where}:{choices[0]}" if choices else "define class Model(torch.nn.Module) with forward",
    )


def _check_constructor(facts: PythonFacts, where: str, symbol: str) -> None:
    node = facts.classes.get(symbol)
    if node is None or "get_init_inputs" in facts.functions:
        return
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    needed = required_arguments(methods["__init__"], skip=1) if "__init__" in methods else []
    if needed:
        raise TaskError(
            f"{symbol} in {where} cannot be constructed",
            value=f"__init__ needs {', '.join(needed)}",
            rule="constructor arguments come from get_init_inputs()",
            next_step=f"add get_init_inputs() that returns [{', '.join(needed)}], or give them defaults",
        )


def _check_axes(facts: PythonFacts, where: str) -> None:
    """Compare what get_inputs takes with the axes that TASK declares, where both can be read."""
    function = facts.functions["get_inputs"]
    needed = required_arguments(function)
    declared = dict_entries(facts.values.get("TASK")).get("axes")
    if not needed or (declared is not None and not isinstance(declared, ast.Dict)):
        return
    missing = [name for name in needed if name not in dict_entries(declared)]
    if missing:
        raise TaskError(
            f"get_inputs in {where} takes arguments that no axis names",
            value=", ".join(missing),
            rule='every argument of get_inputs is a key of TASK["axes"]',
            next_step=f'add TASK = {{"axes": {{"{missing[0]}": 128}}}} or give the argument a default',
        )


def _adapter_for_examples(facts: PythonFacts, where: str) -> str:
    value = facts.values.get("example_inputs")
    if value is None and "example_inputs" not in facts.functions:
        raise TaskError(
            f"{where} does not say what the inputs are",
            rule="a task defines get_inputs(), or a value named example_inputs",
            next_step="add: def get_inputs(): return [torch.randn(64, 128)]",
        )
    if isinstance(value, ast.Dict):
        raise TaskError(
            f"example_inputs in {where} is a dict",
            rule="inputs are positional: a tensor, a list or a tuple",
            next_step="list the values in the order of forward's arguments",
        )
    return _EXAMPLE_ADAPTER
