"""C++ candidates: sources to a shared object, in a confined builder, cached by everything that decides the bytes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from assay.build.flags import BASE, check_flags
from assay.core.identity import identity
from assay.core.sources import Candidate
from assay.errors import CandidateError, MachineError
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs
from assay.machine.gxx import find_gxx
from assay.sandbox.memfd import sealed_memfd
from assay.sandbox.spawn import Zygote, printable

PACKAGE_INCLUDE = Path(__file__).parent / "include"
"""Our own headers, the folder to include from."""
_ARTIFACT_LIMIT_BYTES = 64 << 20
_BUILD_SECONDS = 90.0
_REPORT_BYTES = 256 << 10
"""16 KiB of messages, each byte of which JSON may write as six."""
_BUILD_MEMORY_BYTES = 3 << 30
"""g++ takes 0.2 GB for a kernel and 1.5 GB for PyTorch's headers."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built candidate: an opaque shared object. `cpu_seconds` is None where it came from the cache."""

    content: bytes
    identity: str
    messages: str
    cpu_seconds: float | None


class CppBuilder:
    """Builds C++ candidates; a context manager that holds one light zygote.

    Raises MachineError where there is no g++.
    """

    def __init__(self) -> None:
        self._compiler = find_compiler()
        self._prelude = _precompile_prelude(self._compiler)
        self._zygote = Zygote(["assay.build.compiler"], visible=[str(self._prelude.parent), str(PACKAGE_INCLUDE)])

    def build(self, candidate: Candidate, *, use_cache: bool = True) -> Artifact:
        """The candidate's shared object. Raises CandidateError with the compiler's own words."""
        command = self._command(candidate)
        key = identity({"command": command, "files": [f.to_json() for f in candidate.files], "g++": self._compiler[1]})
        cached = find_dirs().builds / f"{key}.so"
        if use_cache and cached.exists():
            content = cached.read_bytes()
            return Artifact(content, key, "", None)
        artifact = self._run(candidate, command, key)
        ensure_folder(cached.parent)
        atomic_write(cached, artifact.content)
        return artifact

    def _command(self, candidate: Candidate) -> list[str]:
        own = check_flags(candidate)
        # With a folder before it no file name can be taken for an option or a response file.
        units = ["./" + file.path for file in candidate.files if file.path.endswith((".cpp", ".cc", ".cxx"))]
        torch_libraries = os.path.join(sysconfig.get_paths()["purelib"], "torch", "lib")
        flags = [flag for flag in own if not flag.startswith("-l")]
        libraries = [flag for flag in own if flag.startswith("-l")]
        return [self._compiler[0], *BASE, *flags, "-include", str(self._prelude), "-I.", f"-I{PACKAGE_INCLUDE}",
                *units, "-o", "/scratch/candidate.so", f"-L{torch_libraries}", *libraries]  # fmt: skip

    def _run(self, candidate: Candidate, command: list[str], key: str) -> Artifact:
        payload = json.dumps({"files": [f.to_json() for f in candidate.files], "command": command}).encode()
        source = sealed_memfd("assay-source", payload)
        result = os.memfd_create("assay-artifact", os.MFD_CLOEXEC)
        child = None
        try:
            child = self._zygote.spawn(
                "assay.build.compiler:main",
                {"payload_bytes": len(payload), "limit_bytes": _ARTIFACT_LIMIT_BYTES},
                [source, result],
                may_create_processes=True,
                memory_bytes=_BUILD_MEMORY_BYTES,
                tmp_bytes=512 << 20,
                cpu_seconds=int(_BUILD_SECONDS),
            )
            ready, _, _ = select.select([child.channel], [], [], _BUILD_SECONDS)
            packet = child.channel.recv(_REPORT_BYTES) if ready else b""
            if not packet:
                raise CandidateError(
                    "the build did not finish",
                    value=child.log_text()[-500:] or f"no answer within {_BUILD_SECONDS:.0f} s",
                    rule="90 s, 3 GB of memory and 512 MB of disk for one build",
                    next_step="make the candidate smaller",
                )
            return _artifact(json.loads(packet), result, key)
        finally:
            if child is not None:
                child.kill()
            os.close(source)
            os.close(result)

    def close(self) -> None:
        """End the zygote."""
        self._zygote.close()

    def __enter__(self) -> CppBuilder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def find_compiler() -> tuple[str, str]:
    """g++'s path and version line; raises MachineError where there is none."""
    path = find_gxx("build candidates")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return os.path.realpath(path), version


def _artifact(report: dict[str, object], result: int, key: str) -> Artifact:
    size, messages = report["size_bytes"], printable(str(report["messages"]).encode())
    if not isinstance(size, int) or size <= 0:
        raise CandidateError("the candidate does not compile", value=messages.strip() or "no output file")
    cpu = report["cpu_seconds"]
    content = os.pread(result, size, 0)
    return Artifact(content, key, messages, float(cpu) if isinstance(cpu, (int, float)) else None)


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
