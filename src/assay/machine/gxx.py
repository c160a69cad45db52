"""Compiles native code of Assay's own, which is trusted and needs no sandbox; candidates are built in build/."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from assay.errors import MachineError

_SECONDS = 300.0
"""A bound for broken machines: the longest took 2 s, and 8 s at load 8."""


def find_gxx(what_for: str) -> str:
    """The compiler's path; raises MachineError that says what it was wanted for."""
    found = shutil.which("g++")
    if found is None:
        raise MachineError(
            f"There is no C++ compiler to {what_for} with.",
            value="g++ is not on PATH",
            rule="g++ 10 or later",
            next_step="Install it (Debian: apt-get install g++).",
        )
    return found


def compile_trusted(sources: Sequence[Path], flags: Sequence[str], target: Path, what_for: str) -> None:
    """Compile and link `sources` into `target`; raises MachineError, with the compiler's words where it failed."""
    command = [find_gxx(what_for), *flags, *map(str, sources), "-o", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode == 0:
            return
        why = done.stderr.strip()[:2000] or f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    raise MachineError(
        f"Assay's own native code does not compile here, which is needed to {what_for}.",
        value=why,
        next_step="Check that g++ works and that TMPDIR has room.",
    )
