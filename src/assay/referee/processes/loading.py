"""From source files to a Python callable, inside a confined process; shared by worker and oracle."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from assay.referee.processes.wire import Status

_SOURCE_ROOT = "/scratch/source"


class LoadError(Exception):
    """A candidate or task that cannot be loaded; `status` goes back over the wire."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def import_sources(files: list[dict[str, str]], entry_file: str) -> Any:
    """Write the files below a folder of this process's own, import the entry file, return its module."""
    for file in files:
        path = os.path.join(_SOURCE_ROOT, file["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.write(file["text"])
    sys.path.insert(0, _SOURCE_ROOT)
    folder = os.path.dirname(entry_file)
    name = entry_file.removesuffix(".py").replace("/", ".")
    if folder and not os.path.exists(os.path.join(_SOURCE_ROOT, folder, "__init__.py")):
        sys.path.insert(0, os.path.join(_SOURCE_ROOT, folder))
        name = name.rpartition(".")[2]
    return importlib.import_module(name)


def load_python(payload: Mapping[str, Any]) -> Any:
    """The callable of a payload: an instance of its nn.Module class in the task's mode, or its function.

    Raises LoadError where the entry's symbol does not exist.
    """
    file, _, symbol = str(payload["entry"]).partition(":")
    module = import_sources(payload["files"], file)
    try:
        target = getattr(module, symbol)
    except AttributeError:
        raise LoadError(Status.RAISED, f"{file} defines no {symbol}") from None
    if isinstance(target, type):
        target = target(*payload["init_arguments"])
        if hasattr(target, "train"):
            target.train(payload["mode"] == "train")
    return target


def bind_weights(target: Any, weights: Mapping[str, Any], parameters: set[str]) -> None:
    """Load the task's weights into a module, after its construction.

    Parameters become views of the shared read-only block, so that the referee can change them between calls; buffers
    are copied, for training mode updates them. Matches by name, else by order where all shapes agree. Raises LoadError
    where neither fits.
    """
    if not weights:
        return
    own = target.state_dict(keep_vars=True) if hasattr(target, "state_dict") else {}
    for mine, name in zip(own.values(), _matching_names(own, weights), strict=True):
        mine.data = weights[name] if name in parameters else weights[name].clone()


def _matching_names(own: Mapping[str, Any], weights: Mapping[str, Any]) -> list[str]:
    """For each of the module's own tensors the name of the task's tensor that it takes."""
    if set(own) == set(weights) and all(own[name].shape == weights[name].shape for name in own):
        return list(own)
    shapes = [[tuple(tensor.shape) for tensor in side.values()] for side in (own, weights)]
    if shapes[0] == shapes[1]:
        return list(weights)
    wanted = ", ".join(f"{n} {tuple(w.shape)}" for n, w in weights.items())
    found = ", ".join(f"{n} {tuple(w.shape)}" for n, w in own.items()) or "none"
    raise LoadError(Status.BAD_WEIGHTS, f"the module's weights do not match the task's: wanted {wanted}; found {found}")


def flatten(torch: Any, result: Any) -> list[Any]:
    """The tensors in a result: a tensor, a number, or nested tuples, lists and dicts of them, in order."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (bool, int, float)):
        return [torch.tensor(result)]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [tensor for item in result for tensor in flatten(torch, item)]
    return [result]
