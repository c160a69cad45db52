"""Where a phase of a training stands: one file for each, from which a killed run goes on.

Written whole or not at all (a hidden file, synced, renamed), read with `weights_only=True`: a state can hold tensors
and numbers, and no code. It is trusted no further than that; a folder that others can write is theirs.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from assay.errors import InputError, MachineError
from assay.machine.cache_dirs import atomic_write

_VERSION = 1


@dataclass(frozen=True, slots=True)
class State:
    """Of a phase after as many steps as it has losses; `optimizer` is None once the phase is done."""

    model: Mapping[str, Any]
    optimizer: Mapping[str, Any] | None
    losses: list[float]
    random: torch.Tensor = field(default_factory=torch.get_rng_state)


class States:
    """The states of a run, by the names of its phases, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, state: State) -> None:
        """Put it in the place of the one before. Raises MachineError where it cannot be written, a full disk too."""
        content = io.BytesIO()
        torch.save({"version": _VERSION, **{key: getattr(state, key) for key in State.__slots__}}, content)
        write_file(self._file(name), content.getvalue())

    def read(self, name: str) -> State | None:
        """The last one; None where there is none. Raises InputError for a damaged file and one of another version."""
        file = self._file(name)
        try:
            data = torch.load(io.BytesIO(file.read_bytes()), weights_only=True)
            if data.pop("version") != _VERSION:
                raise ValueError("another version")
            return State(**data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, EOFError,
                pickle.UnpicklingError) as error:  # fmt: skip
            raise InputError("the state of a training is damaged", value=f"{file}: {error}"[:300],
                             next_step="remove this file: its phase starts again") from error  # fmt: skip

    def remove(self) -> None:
        """All of them, and what a writer that was killed left."""
        for file in [*self._folder.glob("*.pt"), *self._folder.glob(".*.tmp")]:
            file.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.pt"


def write_file(path: Path, content: bytes) -> None:
    """Whole or not at all. Raises MachineError, a full disk included; what was there before stays then."""
    try:
        atomic_write(path, content)
    except MachineError as error:
        raise MachineError(
            "the output folder cannot be written", value=error.what, rule=f"a place for {len(content):,} bytes",
            next_step="free some space and go on with --resume, or choose another -o",
        ) from error  # fmt: skip
