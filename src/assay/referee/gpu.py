"""The GPU that device code is judged on: what it is, how workers reach it, who builds for it."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from assay.build.artifact import Artifact
from assay.build.device import DeviceCompiler
from assay.core.sources import Candidate
from assay.errors import MachineError
from assay.machine.cuda import Gpu, find_gpus

_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia[0-9]*")


class DeviceBuilder(Protocol):
    """Makes what a worker's launcher loads."""

    def build(self, candidate: Candidate, capability: int) -> Artifact:
        """An artifact for a compute capability. Raises CandidateError."""
        ...

    def close(self) -> None:
        """End its processes."""
        ...


@dataclass(frozen=True, slots=True)
class PeakSizes:
    """What a GPU's peaks are measured on: bytes that stand for memory and for its cache, rounds of arithmetic."""

    memory_bytes: int = 1 << 30
    cache_bytes: int = 16 << 20
    rounds: int = 1 << 14
    tensor_cores: bool = True


@dataclass(frozen=True, slots=True)
class GpuRuntime:
    """One GPU and how it is used. Tests give a driver, a device of torch's and a builder that need no GPU."""

    gpu: Gpu
    driver: str = "libcuda.so.1"
    torch_device: str = "cuda"
    nodes: tuple[str, ...] = ()
    """Device files, the only ones that workers may write to."""
    visible: tuple[str, ...] = ()
    """Further folders that workers see, where the driver lies in none of the system's."""
    builder: Callable[[], DeviceBuilder] = DeviceCompiler
    peak_sizes: PeakSizes = PeakSizes()

    @classmethod
    def find(cls) -> GpuRuntime:
        """The first GPU here. Raises MachineError where there is none."""
        gpus = find_gpus()
        if not gpus:
            raise MachineError(
                "There is no GPU here to run device code on.",
                value="nvidia-smi finds none",
                rule="an NVIDIA GPU with its driver",
                next_step="`assay build CANDIDATE` compiles it and shows its resources without one.",
            )
        nodes = tuple(sorted(path for pattern in _NODES for path in glob.glob(pattern)))
        # The driver looks its devices up there; no host code of a candidate's runs in these workers.
        return cls(gpus[0], nodes=nodes, visible=("/sys",))

    @property
    def identity(self) -> str:
        """What baselines on this GPU are remembered by."""
        return f"{self.gpu.uuid} {self.gpu.name} {self.gpu.driver} {self.torch_device}"

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return asdict(self.gpu)
