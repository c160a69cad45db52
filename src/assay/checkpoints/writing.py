"""Writes a model folder, there whole or not at all, and never one that does not load.

Everything is written into a hidden sibling folder, synced, loaded once, and renamed. A writer that is killed leaves at
most that sibling; the next writer of the same folder removes it. A folder that has something in it is never replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from assay.checkpoints.conversions.registry import Conversion
from assay.checkpoints.folder import DESCRIPTION, SCHEMA, SOURCE, VERSION, WEIGHTS, ModelFolder, read_folder, seed_file
from assay.checkpoints.loading import ALIASES, load_model
from assay.errors import InputError, MachineError
from assay.machine.folders import locked, sync_folder, write_new

_GRACE_S = 60
"""A sibling younger than this may be between being made and being locked."""


def write_folder(
    path: str | Path, model_source: str, models: nn.Module | Mapping[int, nn.Module],
    conversions: Sequence[Conversion] = (),
) -> ModelFolder:  # fmt: skip
    """Write a model, or several seeds of one architecture, as a folder that `load_model` loads in a fresh process.

    Args:
        path: of the folder, which must not be there yet or be empty.
        model_source: the text of model.py, which defines make_model() and imports only what is installed.
        models: the model as it is to be loaded, conversions done; or one for each seed.
        conversions: what leads from make_model()'s model to this one.

    Raises InputError for a model that this source and these conversions do not make, and for an occupied path;
    MachineError where it cannot be written, a full disk included. Nothing is left then.
    """
    path = Path(path)
    by_seed = models if isinstance(models, Mapping) else {None: models}
    if not by_seed or any(seed is not None and seed < 0 for seed in by_seed):
        raise InputError("these are no seeds", value=str(list(by_seed)), rule="one model at least, seeds from 0 on")
    try:
        with _sibling(path) as temporary:
            names = {SOURCE: _write(temporary / SOURCE, model_source.encode())}
            for seed, model in by_seed.items():
                name = WEIGHTS if seed is None else seed_file(seed)
                names[name] = _save(temporary / name, *_state(model))
            description = {"schema": SCHEMA, "version": VERSION, "assay": _version(),
                           "conversions": [one.to_json() for one in conversions], "files": names}  # fmt: skip
            _write(temporary / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())
            for seed in by_seed:
                load_model(temporary, seed)
            sync_folder(temporary)
            temporary.rename(path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise _cannot_write(path, error) from error
    return read_folder(path)


def _state(model: nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """What a file stores of a model, and the tied names that it does not store twice."""
    stored: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    places: dict[tuple[object, ...], str] = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise InputError("the model keeps a state that is no tensor", value=f"{name}: {type(value).__name__}",
                             rule="a folder holds tensors only", next_step="make it a buffer")  # fmt: skip
        place = (value.data_ptr(), value.dtype, value.shape, value.stride()) if value.numel() else (name,)
        if place in places:
            aliases[name] = places[place]
        else:
            places[place] = name
            stored[name] = value.detach().cpu().contiguous().clone()  # a slice of another tensor gets its own memory
    return stored, aliases


@contextlib.contextmanager
def _sibling(path: Path) -> Iterator[Path]:
    """A locked hidden folder beside `path`, gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError("there is something at this path", value=str(path), rule="a model folder is never replaced",
                         next_step="choose another path, or remove it")  # fmt: skip
    prefix = f".{path.name}.writing-"
    _remove_leftovers(path.parent, prefix)
    temporary = path.with_name(f"{prefix}{os.getpid()}-{os.urandom(4).hex()}")
    temporary.mkdir()
    try:
        with locked(temporary):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path, prefix: str) -> None:
    """Of dead writers: old enough to have been locked, and locked by nobody."""
    for leftover in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _GRACE_S:
                with locked(leftover):
                    shutil.rmtree(leftover, ignore_errors=True)


def _write(file: Path, content: bytes) -> str:
    write_new(file, content)
    return hashlib.sha256(content).hexdigest()


def _save(file: Path, state: dict[str, torch.Tensor], aliases: dict[str, str]) -> str:
    file.parent.mkdir(exist_ok=True)
    file.touch()
    mode = file.stat().st_mode  # as this user's files are; safetensors makes its own readable by their owner only
    save_file(state, file, metadata={ALIASES: json.dumps(aliases)} if aliases else None)
    file.chmod(mode)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _version() -> str:
    try:
        return version("assay")
    except PackageNotFoundError:
        return "unknown"  # run from its sources, without having been installed


def _cannot_write(path: Path, error: Exception) -> MachineError:
    return MachineError(
        "the model folder cannot be written", value=f"{path}: {error}"[:300],
        rule="a folder takes the size of its weights, in a place that can be written",
        next_step="free some space, or choose another path",
    )  # fmt: skip
