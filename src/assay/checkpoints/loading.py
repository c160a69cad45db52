"""From a model folder to a model: its make_model, its conversions, then its weights, every key of them.

This runs the folder's model.py in the calling process, as any import would: only for folders that you trust.
`assay judge-model` loads strangers' folders in confined processes instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from assay.checkpoints.conversions.registry import apply_conversions
from assay.checkpoints.folder import SOURCE, ModelFolder, damaged, read_description
from assay.errors import InputError

ALIASES = "assay-aliases"
"""In a weights file's metadata: JSON from a tied tensor's name to the name under which it is stored."""
_MOST_NAMED = 5


def load_model(path: str | Path, seed: int | None = None) -> nn.Module:
    """The model of a folder in eval mode on the CPU, with the weights of `seed` (of the first one without).

    torch's random numbers are as before afterwards. Raises InputError for a folder that is none, is damaged or was
    changed, for a model.py that fails, and for weights whose names, shapes or types do not fit the model.
    """
    folder = read_description(Path(path))
    name = folder.weights_name(seed)
    folder.check(SOURCE)
    return load_weights(make_converted(folder), folder.check(name)).eval()


def make_converted(folder: ModelFolder) -> nn.Module:
    """What make_model makes, converted; its weights are still to be loaded. Raises InputError."""
    source = folder.source
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model = _run(folder).make_model()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"[:300]
            raise InputError("the model's source fails", value=said, rule=f"{source} defines make_model()") from error
        if not isinstance(model, nn.Module):
            raise InputError("make_model() makes no nn.Module", value=type(model).__name__, rule=str(source))
        return apply_conversions(model, folder.conversions)


def load_weights(model: nn.Module, file: Path) -> nn.Module:
    """The model with the weights of a safetensors file in it. Raises InputError for a file that does not fit."""
    state = _read(file)
    own = model.state_dict()
    _refuse(file, [f"{key} is {state[key].dtype}, the model's is {own[key].dtype}" for key in state
                   if key in own and state[key].dtype != own[key].dtype])  # fmt: skip
    try:
        found = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        raise _unfit(file, " ".join(str(error).split())[:600]) from error
    _refuse(file, [*(f"{key} is missing" for key in found.missing_keys),
                   *(f"{key} is not of this model" for key in found.unexpected_keys)])  # fmt: skip
    return model


def _run(folder: ModelFolder) -> Any:
    """model.py as a module; its name is its content's, for another folder's model.py is another module."""
    spec = spec_from_file_location(f"assay_model_{folder.files[SOURCE][:12]}", folder.source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder.source} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - it is no mapping
            aliases = json.loads((opened.metadata() or {}).get(ALIASES, "{}"))
            return state | {alias: state[name] for alias, name in aliases.items()}
    except (OSError, SafetensorError, ValueError, KeyError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}"[:300]
        raise damaged(file, said, "a safetensors file whose tied names are names in it") from error


def _refuse(file: Path, problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise _unfit(file, "; ".join(found[:_MOST_NAMED]) + more)


def _unfit(file: Path, value: str) -> InputError:
    return InputError(
        "the weights do not fit the model", value=f"{file}: {value}",
        rule="names, shapes and types are those of the model that model.py and the conversions make",
        next_step="write the folder with the model.py that the weights were trained with",
    )  # fmt: skip
