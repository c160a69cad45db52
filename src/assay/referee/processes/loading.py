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


_VECTOR_FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh",
    "asin", "acos", "atan", "erf", "erfc", "erfinv", "sqrt", "rsqrt", "trunc",
)  # fmt: skip


def initialise_math() -> None:
    """Use the mathematics library once, on one thread: called by the zygote, so that every child finds it set up.

    MKL 2024.2 sets itself up on first use. Where two threads of a fresh process do that at once, one of them now and
    then computes its share of the first exp to about eleven bits: in 4 of 110 processes half of an attention was off by
    4e-4, the reference's as well as a candidate's, and never again in the same process.
    """
    torch = sys.modules["torch"]
    with torch.no_grad():
        for dtype in (torch.float32, torch.float64):
            half, square = torch.full((64,), 0.5, dtype=dtype), torch.ones(8, 8, dtype=dtype)
            for name in _VECTOR_FUNCTIONS:
                getattr(torch, name)(half)
            torch.mm(square, square)
            torch.bmm(square.view(1, 8, 8), square.view(1, 8, 8))


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
