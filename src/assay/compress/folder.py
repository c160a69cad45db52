"""A run's output folder, held by one process at a time.

plan.json       what is done, and the sha256 of the training: a run goes on only with its own plan
states/         where unfinished phases stand; gone once the models are written
training.json   layers, losses and what else was found out; with it the training is done
dense/, cheap/  the model folders
data.py         the held-out data, where the training file has none of its own
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.compress.states import States, write_file
from assay.core.strict_json import parse_object
from assay.errors import InputError, MachineError
from assay.machine.folders import locked

_PLAN, _TRAINING = "plan.json", "training.json"


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """Where everything of a run lies."""

    path: Path

    @property
    def dense(self) -> Path:
        """The dense model, trained as long as the other."""
        return self.path / "dense"

    @property
    def cheap(self) -> Path:
        """The cheaper model."""
        return self.path / "cheap"

    @property
    def runs(self) -> Path:
        """Certificates and pages."""
        return self.path / "runs"

    @property
    def states(self) -> States:
        """Of unfinished phases."""
        return States(self.path / "states")

    def training(self) -> dict[str, Any] | None:
        """What the training brought; None until it is done. Raises InputError for a damaged file."""
        return _read(self.path / _TRAINING)

    def finish_training(self, found: Mapping[str, Any]) -> None:
        """Keep what the training brought, and let the states go. Raises MachineError where that cannot be written."""
        write_file(self.path / _TRAINING, _json(found))
        self.states.remove()


@contextlib.contextmanager
def open_folder(path: Path, plan: Mapping[str, Any], *, resume: bool) -> Iterator[OutputFolder]:
    """The folder, new or with `resume` an earlier run's of the same plan, locked meanwhile.

    Raises InputError for a folder that is occupied, of another plan, or in use; MachineError if it cannot be made.
    """
    if not resume:
        _refuse_occupied(path)
    elif not path.exists():
        raise InputError("there is no run to go on with", value=str(path), rule="-o names an earlier run's folder",
                         next_step="leave --resume out")  # fmt: skip
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError("the output folder cannot be made", value=f"{path}: {error.strerror or error}",
                           next_step="choose another -o") from error  # fmt: skip
    with _held(path):
        known = _read(path / _PLAN)
        if known is None:
            _refuse_occupied(path)
            write_file(path / _PLAN, _json(plan))
        elif known != plan:
            raise _other_plan(path, known, plan)
        yield OutputFolder(path)


def _refuse_occupied(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    ours = (path / _PLAN).is_file()
    done = (path / _TRAINING).is_file()
    raise InputError(
        "there is a run in this folder already" if ours else "there is something at this path", value=str(path),
        rule="nothing is overwritten",
        next_step="choose another -o" + (f", or {'judge it again' if done else 'go on'} with --resume" if ours else ""),
    )  # fmt: skip


def _other_plan(path: Path, known: Mapping[str, Any], plan: Mapping[str, Any]) -> InputError:
    names = [name for name in {**known, **plan} if known.get(name) != plan.get(name)]
    differing = "; ".join(f"{name} was {known.get(name)}, is {plan.get(name)}" for name in names)
    return InputError(
        "the run in this folder was another one", value=f"{path}: {differing}"[:600],
        rule="--resume goes on with the same training file and options", next_step="choose another -o",
    )  # fmt: skip


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except BlockingIOError as error:
            raise InputError("another process is at work in this folder", value=str(folder),
                             next_step="wait for it, or choose another -o") from error  # fmt: skip
        yield


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return parse_object(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError("a file of the run is damaged", value=f"{file}: {error}"[:300],
                         next_step="choose another -o") from error  # fmt: skip


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()
