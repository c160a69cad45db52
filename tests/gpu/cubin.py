"""Compiling device code as a build would, and what the result says about its kernels; nothing is run."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURE = "sm_90a"
NVCC = shutil.which("nvcc")
SECONDS = 300

_ENTRY = re.compile(r"\.visible \.entry (\w+)\((.*?)\)(.*?)\{", re.DOTALL)
_PARAMETER = re.compile(r"\.param (?:\.align \d+ )?\.(\w)(\d+)(?: \.ptr[^,]*?)? \w+(?:\[(\d+)\])?")
_MOST_THREADS = re.compile(r"\.maxntid (\d+), (\d+), (\d+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One kernel: its parameters' sizes in bytes, and the most threads of a block that it was compiled for."""

    parameter_bytes: tuple[int, ...]
    most_threads: int = 1024


def compile_cubin(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What nvcc says; where it succeeds, `folder` holds `kernel.cubin` and the PTX that it was made from."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(NVCC), "-cubin", f"-arch={ARCHITECTURE}", "-O3", "--keep", "--keep-dir", str(folder),
               "-o", str(folder / "kernel.cubin"), str(source)]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)


def entries(folder: Path) -> dict[str, Entry]:
    """The kernels of the PTX in a folder of `compile_cubin`."""
    (path,) = folder.glob("*.ptx")
    found = {}
    for name, parameters, rest in _ENTRY.findall(path.read_text()):
        sizes = tuple(
            int(count) if count else int(bits) // 8
            for _, bits, count in _PARAMETER.findall(parameters)
        )  # fmt: skip
        most = _MOST_THREADS.search(rest)
        found[name] = Entry(sizes, int(most[1]) * int(most[2]) * int(most[3]) if most else 1024)
    return found
