"""Where Assay keeps caches and keys, and how a file gets there whole or not at all.

`ASSAY_HOME` puts everything in one folder; without it the XDG base directory specification decides:
`$XDG_CACHE_HOME/assay` (default `~/.cache/assay`) for what can be measured or built again, `$XDG_DATA_HOME/assay`
(default `~/.local/share/assay`) for what cannot, such as signing keys. The environment is read at each call, never at
import. A relative path in an XDG variable is ignored, as that specification demands; in `ASSAY_HOME` it is an error.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.errors import InputError, MachineError
from assay.machine.folders import sync_folder

HOME_VARIABLE = "ASSAY_HOME"
"""The one variable that moves everything."""

_PRIVATE_FOLDER = 0o700
"""Keys and caches are their owner's alone: a cache that another user may write is a way to forge peaks."""


@dataclass(frozen=True, slots=True)
class CacheDirs:
    """The folders, not yet made. `variable` names what a person would set to move them."""

    cache: Path
    data: Path
    variable: str = HOME_VARIABLE

    @property
    def keys(self) -> Path:
        """Signing keys: lost means lost."""
        return self.data / "keys"

    @property
    def peaks(self) -> Path:
        """Measured peaks, one file for each machine identity."""
        return self.cache / "peaks"

    @property
    def builds(self) -> Path:
        """Compiled artifacts and precompiled headers."""
        return self.cache / "builds"


def find_dirs(environ: Mapping[str, str] | None = None) -> CacheDirs:
    """The folders that the environment asks for (default: this process's). Raises InputError for a bad ASSAY_HOME."""
    env = os.environ if environ is None else environ
    home = env.get(HOME_VARIABLE)
    if home:
        root = Path(home)
        if not root.is_absolute():
            raise InputError(
                f"{HOME_VARIABLE} is a relative path.",
                value=home,
                rule="caches and keys must not depend on the working folder",
                next_step=f"Set {HOME_VARIABLE} to an absolute path.",
            )
        return CacheDirs(root / "cache", root / "data")
    return CacheDirs(_xdg(env, "XDG_CACHE_HOME", ".cache"), _xdg(env, "XDG_DATA_HOME", ".local/share"))


def ensure_folder(folder: Path) -> Path:
    """Make a folder, private to its owner, with its parents. Raises MachineError naming it and ASSAY_HOME."""
    try:
        folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("make the folder", folder, error) from error
    return folder


def atomic_write(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all, and durably: readers see the old file or the new one.

    A temporary file in the same folder is written, synced and renamed (rename(2) is atomic within a file system), then
    the folder is synced so that the rename survives a power cut. On failure the temporary file is removed and an
    existing `path` is untouched. The file is readable by its owner only,
    as mkstemp makes it.

    Raises:
        MachineError: read-only or full file system, missing right; names the path and ASSAY_HOME.
    """
    ensure_folder(path.parent)
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot("write", path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    value = env.get(variable, "")
    if os.path.isabs(value):
        return Path(value) / "assay"
    home = env.get("HOME") or os.path.expanduser("~")
    return Path(home) / default / "assay"


def _cannot(verb: str, path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"Assay cannot {verb} {path}: {error.strerror or error}.",
        value=str(path),
        rule="Assay keeps caches and keys in a folder that it can write to",
        next_step=f"Free some space or set {HOME_VARIABLE} to a writable folder.",
    )
