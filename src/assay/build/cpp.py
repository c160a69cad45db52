"""C++ candidates: sources to a shared object, in a confined builder, cached by everything that decides the bytes."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

from assay.build.artifact import Artifact
from assay.build.builder import ConfinedBuilder
from assay.build.flags import BASE, check_flags
from assay.build.in_sandbox import OUTPUT
from assay.core.identity import identity
from assay.core.sources import Candidate
from assay.errors import MachineError
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs
from assay.machine.gxx import find_gxx

PACKAGE_INCLUDE = Path(__file__).parent / "include"
"""Our own headers, the folder to include from."""


class CppBuilder:
    """Builds C++ candidates; a context manager that holds one light zygote.

    Raises MachineError where there is no g++.
    """

    def __init__(self) -> None:
        self._compiler = find_compiler()
        self._prelude = _precompile_prelude(self._compiler)
        self._confined = ConfinedBuilder([str(self._prelude.parent), str(PACKAGE_INCLUDE)])

    def build(self, candidate: Candidate, *, use_cache: bool = True) -> Artifact:
        """The candidate's shared object. Raises CandidateError with the compiler's own words."""
        command = self._command(candidate)
        key = identity({"command": command, "files": [f.to_json() for f in candidate.files], "g++": self._compiler[1]})
        cached = find_dirs().builds / f"{key}.so"
        if use_cache and cached.exists():
            return Artifact(cached.read_bytes(), key, "", None)
        built = self._confined.run(candidate, [command])
        ensure_folder(cached.parent)
        atomic_write(cached, built.content)
        return Artifact(built.content, key, built.messages[0], built.cpu_seconds)

    def _command(self, candidate: Candidate) -> list[str]:
        own = check_flags(candidate)
        # With a folder before it no file name can be taken for an option or a response file.
        units = ["./" + file.path for file in candidate.files if file.path.endswith((".cpp", ".cc", ".cxx"))]
        torch_libraries = os.path.join(sysconfig.get_paths()["purelib"], "torch", "lib")
        flags = [flag for flag in own if not flag.startswith("-l")]
        libraries = [flag for flag in own if flag.startswith("-l")]
        return [self._compiler[0], *BASE, *flags, "-include", str(self._prelude), "-I.", f"-I{PACKAGE_INCLUDE}",
                *units, "-o", OUTPUT, f"-L{torch_libraries}", *libraries]  # fmt: skip

    def close(self) -> None:
        """End the zygote."""
        self._confined.close()

    def __enter__(self) -> CppBuilder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def find_compiler() -> tuple[str, str]:
    """g++'s path and version line; raises MachineError where there is none."""
    path = find_gxx("build candidates")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return os.path.realpath(path), version


def _precompile_prelude(compiler: tuple[str, str]) -> Path:
    """Our own header, compiled once per compiler and flags; candidates with other flags parse it as text."""
    source = PACKAGE_INCLUDE / "assay" / "prelude.h"
    text = source.read_text() + (PACKAGE_INCLUDE / "assay" / "kernel.h").read_text()
    with open("/proc/cpuinfo") as cpu:
        flags = next((line for line in cpu if line.startswith("flags")), "")
    key = identity({"compiler": compiler[1], "flags": BASE, "text": text, "cpu": flags})[:16]
    folder = ensure_folder(find_dirs().builds / f"prelude-{key}")
    header, compiled = folder / "prelude.h", folder / "prelude.h.gch"
    if not compiled.exists():
        atomic_write(header, source.read_bytes())
        scratch = folder / f"new-{os.getpid()}.gch"
        command = [compiler[0], *BASE, f"-I{PACKAGE_INCLUDE}", "-x", "c++-header", str(header), "-o", str(scratch)]
        try:
            subprocess.run(command, check=True, capture_output=True)
            # The builder's process runs under another uid and must read them.
            for path, mode in ((folder, 0o755), (header, 0o644), (scratch, 0o644)):
                os.chmod(path, mode)
            os.replace(scratch, compiled)
        except subprocess.CalledProcessError as error:
            raise MachineError("the C++ compiler fails on Assay's own header", value=error.stderr.decode()) from error
        finally:
            scratch.unlink(missing_ok=True)
    return header
