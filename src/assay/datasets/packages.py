"""A file of a Debian package: where that is installed, else in Assay's cache, fetched there by any user."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from assay.errors import MachineError
from assay.machine.cache_dirs import atomic_write, find_dirs

_FETCH_S = 300
"""For each of the two commands; the largest package so far has 31 MB."""


def file_of_package(package: str, inside: str, otherwise: str = "") -> Path:
    """Where the file is now: `inside` is its path below the root, such as usr/share/datasets/x.gz.

    `otherwise` is what a caller can do without it, for the error: ", or ...".

    Without root it is downloaded with apt and kept in Assay's cache. Raises MachineError where there is neither the
    package, nor apt with a network, nor room for it.
    """
    installed = Path("/") / inside
    if installed.exists():
        return installed
    kept = find_dirs().cache / "packages" / package / Path(inside).name
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="assay-package-") as folder:
            atomic_write(kept, (_fetch(package, Path(folder), otherwise) / inside).read_bytes())
    return kept


def _fetch(package: str, folder: Path, otherwise: str) -> Path:
    """Download and unpack it below a folder."""
    try:
        _run(["apt-get", "download", package], folder)
        (archive,) = folder.glob("*.deb")
        _run(["dpkg", "-x", str(archive), str(folder)], folder)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise MachineError(
            f"Debian's package {package} is not here and cannot be fetched.",
            value=" ".join(said.split())[-300:],
            rule="a Debian system with network, or the package installed",
            next_step=f"Run `apt-get install {package}` as root{otherwise}.",
        ) from error
    return folder


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_FETCH_S)
