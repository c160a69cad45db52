"""CUDA on this machine: the toolkit that compiles device code, and the GPUs that the driver shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assay.errors import MachineError

_SECONDS = 30.0
"""A bound for broken machines: nvcc answers in 0.05 s, nvidia-smi in 0.1 s with persistence and 2 s without."""
_PLACES = ("/usr/local/cuda/bin/nvcc", "/opt/cuda/bin/nvcc")


@dataclass(frozen=True, slots=True)
class CudaToolkit:
    """nvcc and ptxas of one toolkit. `targets` are the real architectures that it compiles for, as 90 for sm_90."""

    nvcc: str
    ptxas: str
    root: str
    version: str
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the driver describes it. `capability` is 90 for compute capability 9.0."""

    index: int
    uuid: str
    name: str
    capability: int
    memory_bytes: int
    driver: str
    power_limit_w: float | None
    clock_limit_mhz: float | None


def find_toolkit() -> CudaToolkit:
    """The toolkit of `CUDA_HOME`, of PATH, or of the usual places. Raises MachineError where there is none."""
    home = os.environ.get("CUDA_HOME", "")
    named = [os.path.join(home, "bin", "nvcc")] if home else []
    found = [path for path in (*named, shutil.which("nvcc"), *_PLACES) if path and os.access(path, os.X_OK)]
    if not found:
        raise MachineError(
            "There is no CUDA compiler to build device code with.",
            value="nvcc is not on PATH",
            rule="CUDA toolkit 12.0 or later; a GPU is not needed to compile",
            next_step="Install the toolkit, or set CUDA_HOME to its folder.",
        )
    nvcc = found[0]
    try:
        version = _output([nvcc, "--version"]).strip().splitlines()[-1]
        # A wrapper script on PATH hides where the toolkit lies; nvcc's own plan says it.
        dry = subprocess.run([nvcc, "-dryrun", "-ptx", "x.cu"], capture_output=True, text=True, timeout=_SECONDS,
                             check=False).stderr  # fmt: skip
        top = re.search(r"^#\$ TOP=(.+)$", dry, re.MULTILINE)
        root = Path(top[1] if top else Path(nvcc).parents[1]).resolve()
        targets = tuple(sorted({int(number) for number in re.findall(r"sm_(\d+)", _output([nvcc, "--list-gpu-code"]))}))
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise MachineError("The CUDA compiler does not work.", value=f"{nvcc}: {error}",
                           next_step="Check that `nvcc --version` runs.") from None  # fmt: skip
    return CudaToolkit(nvcc, str(root / "bin" / "ptxas"), str(root), version, targets)


def find_gpus() -> tuple[Gpu, ...]:
    """The GPUs here, without starting CUDA; empty where there is no driver or it does not answer."""
    fields = "index,uuid,name,compute_cap,memory.total,driver_version,power.limit,clocks.max.sm"
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        lines = _output([program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]).splitlines()
    except (OSError, subprocess.SubprocessError):
        return ()
    return read_gpus(lines)


def read_gpus(lines: list[str]) -> tuple[Gpu, ...]:
    """GPUs from nvidia-smi's lines; what it does not know ("[N/A]") is None, and a line that is none is left out."""
    found = []
    for line in lines:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 8 or not re.fullmatch(r"\d+\.\d", parts[3]):
            continue
        capability = int(parts[3].replace(".", ""))
        memory = _number(parts[4])
        found.append(Gpu(int(parts[0]), parts[1], parts[2], capability, int((memory or 0) * (1 << 20)), parts[5],
                         _number(parts[6]), _number(parts[7])))  # fmt: skip
    return tuple(found)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
