"""The user's own module, from FILE.py:Class. It is loaded into this process: it is their code, not a stranger's."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.core.own_file import import_own_file, words_of
from assay.errors import InputError

_SPEC = re.compile(r"(?P<path>.+\.py):(?P<name>[A-Za-z_]\w*)")


def is_own_module(spec: str) -> bool:
    """Whether this names a class in a file, and not a task."""
    return _SPEC.fullmatch(spec) is not None


def load_own_module(spec: str) -> tuple[Any, list[Any]]:
    """The module in eval mode, and its example inputs.

    The file's `get_inputs()` gives these, its `get_init_inputs()`, where there is one, the arguments of the class.
    Raises InputError for a file that is missing or fails, and for one without that class or without inputs.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InputError("not a module", value=spec, rule="a Python file and a class in it, such as model.py:Model")
    path, name = Path(match["path"]), match["name"]
    loaded = import_own_file(path)
    kind, inputs = getattr(loaded, name, None), getattr(loaded, "get_inputs", None)
    if not isinstance(kind, type):
        raise InputError("the file has no such class", value=name, rule=f"classes of {path} are {_classes(loaded)}")
    if not callable(inputs):
        raise InputError("the file has no get_inputs()", value=str(path), rule="it returns the list of example inputs")
    arguments = getattr(loaded, "get_init_inputs", list)
    try:
        module, example_inputs = kind(*arguments()), list(inputs())
    except Exception as error:
        raise InputError("the module could not be made", value=words_of(error)) from error
    if not callable(getattr(module, "eval", None)):
        raise InputError("not an nn.Module", value=name)
    return module.eval(), example_inputs


def _classes(loaded: ModuleType) -> str:
    names = [name for name, value in vars(loaded).items() if isinstance(value, type)]
    return ", ".join(names) or "none"
