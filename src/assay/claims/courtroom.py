"""What a judgement of two models needs around it: copies of the folders that nobody changes, and a zygote for each.

Each model's processes see their own copy, read-only, and nothing of the other model, the data file or the score.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.checkpoints import ModelFolder, read_folder
from assay.checkpoints.folder import DESCRIPTION
from assay.claims.settings import ClaimSettings
from assay.errors import InputError, MachineError
from assay.machine.cache_dirs import HOME_VARIABLE, find_dirs
from assay.machine.facts import MachineFacts
from assay.native.library import built
from assay.sandbox.spawn import Zygote
from assay.sparse.library import kernels

_PRELOAD = ("torch", "numpy", "assay.referee.processes.loading", "assay.claims.worker")
_TRAINING = ("torch._dynamo",)
"""What torch.optim imports on first use: 2 s in every fresh process."""
_DEFAULT_MEMORY_BYTES = 4 << 30
SIDES = ("dense", "cheap")
"""In this order everywhere: side 0 and side 1."""


@dataclass(frozen=True, slots=True)
class Courtroom:
    """Both folders as they are judged, the seeds that are, their zygotes, and what a process may use."""

    folders: tuple[ModelFolder, ModelFolder]
    seeds: tuple[int | None, ...]
    zygotes: tuple[Zygote, Zygote]
    memory_bytes: int


@contextlib.contextmanager
def open_courtroom(
    dense: Path, cheap: Path, settings: ClaimSettings, facts: MachineFacts, *, trains: bool
) -> Iterator[Courtroom]:
    """Copy, check and start; `trains` where models will be trained.

    Raises InputError for a bad folder, MachineError where copies or sandbox cannot be had.
    """
    memory_bytes = settings.memory_bytes or (facts.memory_available_bytes or 2 * _DEFAULT_MEMORY_BYTES) // 2
    with contextlib.ExitStack() as stack:
        folders = tuple(_copy(path, stack) for path in (dense, cheap))
        seeds = seeds_of(folders[0], folders[1], settings.seeds)
        converted = any(folder.conversions for folder in folders)
        if converted:
            kernels()  # built outside the sandbox, where there is a compiler and a cache to keep them
        zygotes = tuple(stack.enter_context(_zygote(folder, settings.threads, converted, trains))
                        for folder in folders)  # fmt: skip
        for zygote in zygotes:
            zygote.wait_ready()
        yield Courtroom((folders[0], folders[1]), seeds, (zygotes[0], zygotes[1]), memory_bytes)


def seeds_of(dense: ModelFolder, cheap: ModelFolder, chosen: tuple[int, ...] | None) -> tuple[int | None, ...]:
    """The seeds to judge, paired by number; a None stands for folders of one model each. Raises InputError."""
    if not dense.seeds and not cheap.seeds and chosen is None:
        return (None,)
    wanted = chosen if chosen is not None else tuple(sorted({*dense.seeds, *cheap.seeds}))
    for name, folder in zip(SIDES, (dense, cheap), strict=True):
        lacking = [str(seed) for seed in wanted if seed not in folder.seeds]
        if lacking:
            held = ", ".join(map(str, folder.seeds)) or "none: it holds one model"
            raise InputError(
                f"the {name} folder has fewer seeds", value=f"it lacks seed {', '.join(lacking)}",
                rule=f"models are paired by seed; it holds {held}",
                next_step="train the missing ones, or choose those that both have with --seeds",
            )  # fmt: skip
    return wanted


def _zygote(folder: ModelFolder, threads: int, converted: bool, trains: bool) -> Zygote:
    dirs = find_dirs()
    home = os.environ.get(HOME_VARIABLE)
    return Zygote(
        (*_PRELOAD, *(_TRAINING if trains else ())), threads=threads, libraries=[str(built())],
        visible=[str(folder.path), *([str(dirs.cache)] if converted else [])],
        prepare=["assay.referee.processes.loading:initialise_math", *(["assay.claims.worker:load_kernels"] if converted
                                                                      else [])],
        environment={HOME_VARIABLE: home} if home else {"XDG_CACHE_HOME": str(dirs.cache.parent)},
    )  # fmt: skip


def _copy(path: Path, stack: contextlib.ExitStack) -> ModelFolder:
    """A checked copy that every user may read: a model's process has a uid of its own."""
    original = read_folder(path)
    temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-model-")))
    temporary.chmod(0o755)
    try:
        for name in (DESCRIPTION, *original.files):
            target = temporary / name
            target.parent.mkdir(mode=0o755, exist_ok=True)
            shutil.copyfile(path / name, target)
            target.chmod(0o644)
    except OSError as error:
        raise MachineError("a model folder cannot be copied", value=f"{path}: {error}"[:300],
                           rule="what is judged is a copy in the system's temporary folder",
                           next_step="free some space there, or set TMPDIR") from error  # fmt: skip
    copied = read_folder(temporary)
    if copied.identity != original.identity:
        raise InputError("the model folder changed while it was read", value=str(path), next_step="run it again")
    return copied
