"""CUDA C++ candidates: sources to a cubin, in a confined builder, with what ptxas says of each kernel.

nvcc's front end makes PTX and ptxas makes the cubin, as two commands, so that the resource report is ptxas's alone. A
GPU that the toolkit does not know yet gets PTX, which its driver compiles. No framework header is needed: 0.6 s.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from assay.build.artifact import Artifact
from assay.build.builder import ConfinedBuilder
from assay.build.cubin import read_kernels
from assay.build.flags import check_flags
from assay.build.in_sandbox import OUTPUT
from assay.build.resources import KernelResources, spills
from assay.core.identity import identity
from assay.core.sources import Candidate
from assay.errors import CandidateError
from assay.launch.plan import find_plan
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs
from assay.machine.cuda import CudaToolkit, find_toolkit

DEFAULT_CAPABILITY = 90
"""Where there is no GPU to ask: Hopper, an H100."""
_ARCHITECTURE_SPECIFIC = frozenset({90, 100, 103, 110, 120, 121})
"""Capabilities with instructions of their own (wgmma, tcgen05), had under the suffix "a"."""
_FRONT = ("-ptx", "-std=c++17", "-w")
_PTX = "/scratch/device.ptx"
_BACK_FLAGS = re.compile(r"-O[0-3]|-maxrregcount=\d+|-d[ls]cm=\w+")


class CudaBuilder:
    """Builds CUDA candidates; a context manager that holds one light zygote.

    Raises MachineError where there is no CUDA toolkit.
    """

    def __init__(self) -> None:
        self.toolkit: CudaToolkit = find_toolkit()
        self._confined = ConfinedBuilder([self.toolkit.root])

    def build(self, candidate: Candidate, capability: int = DEFAULT_CAPABILITY, *, use_cache: bool = True) -> Artifact:
        """The candidate's cubin for a compute capability (90 for 9.0), or PTX for one that the toolkit does not know.

        Raises CandidateError with the compiler's own words, and where the launch plan and the kernels do not fit.
        """
        known = [target for target in self.toolkit.targets if target <= capability]
        if not known:
            raise CandidateError(
                "the CUDA toolkit no longer builds for this GPU",
                value=f"compute capability {capability}",
                rule=f"it builds for {', '.join(map(str, self.toolkit.targets))}",
            )
        artifact = self._cubin(candidate, known[-1], use_cache)
        if known[-1] != capability:
            front, _ = self._commands(candidate, str(known[-1]), OUTPUT)
            built = self._confined.run(candidate, [front])
            artifact = replace(artifact, content=built.content, target=f"compute_{known[-1]}")
        check_kernels(candidate, artifact.kernels)
        return artifact

    def _cubin(self, candidate: Candidate, capability: int, use_cache: bool) -> Artifact:
        name = f"{capability}a" if capability in _ARCHITECTURE_SPECIFIC else str(capability)
        commands = self._commands(candidate, name, _PTX)
        files = [file.to_json() for file in candidate.files]
        key = identity({"commands": commands, "files": files, "nvcc": self.toolkit.version})
        cubin, report = find_dirs().builds / f"{key}.cubin", find_dirs().builds / f"{key}.json"
        if use_cache and cubin.exists() and report.exists():
            kernels = tuple(KernelResources.from_json(data) for data in json.loads(report.read_text()))
            return Artifact(cubin.read_bytes(), key, "", None, kernels, f"sm_{name}")
        built = self._confined.run(candidate, commands)
        kernels = _with_spills(read_kernels(built.content), built.messages[-1])
        ensure_folder(cubin.parent)
        atomic_write(report, json.dumps([kernel.to_json() for kernel in kernels]).encode())
        atomic_write(cubin, built.content)
        return Artifact(built.content, key, built.messages[0], built.cpu_seconds, kernels, f"sm_{name}")

    def _commands(self, candidate: Candidate, target: str, ptx: str) -> list[list[str]]:
        units = [file.path for file in candidate.files if file.path.endswith(".cu")]
        if len(units) != 1:
            raise CandidateError("a CUDA candidate is one translation unit", value=", ".join(units) or "no .cu file",
                                 rule="one .cu file, and headers", next_step="include the others from one")  # fmt: skip
        own = check_flags(candidate)
        front = [flag for flag in own if not _BACK_FLAGS.fullmatch(flag)]
        back = [flag for flag in own if _BACK_FLAGS.fullmatch(flag)]
        # With a folder before it no file name can be taken for an option or a response file.
        return [
            [self.toolkit.nvcc, *_FRONT, f"-arch=compute_{target}", *front, "-I.", f"./{units[0]}", "-o", ptx],
            [self.toolkit.ptxas, "-v", f"-arch=sm_{target}", *back, ptx, "-o", OUTPUT],
        ]

    def close(self) -> None:
        """End the zygote."""
        self._confined.close()

    def __enter__(self) -> CudaBuilder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def check_kernels(candidate: Candidate, kernels: tuple[KernelResources, ...]) -> None:
    """Whether the plan's launches fit the kernels: each symbol is there, with parameters of these sizes.

    Raises CandidateError. A launch with other arguments would read beside the parameters' memory.
    """
    by_name = {kernel.name: kernel for kernel in kernels}
    for launch in find_plan(candidate.files).launches:
        kernel = by_name.get(launch.kernel)
        if kernel is None:
            raise CandidateError(
                "the launch plan names a kernel that the source does not define",
                value=launch.kernel,
                rule=f"one of {', '.join(by_name) or 'none: the source has no kernel'}",
                next_step='declare it extern "C" __global__, so that its name is its symbol',
            )
        given = tuple(argument.size_bytes for argument in launch.arguments)
        if given != kernel.parameter_bytes:
            raise CandidateError(
                f"the launch plan's arguments do not fit {launch.kernel}",
                value=f"sizes {list(given)} in bytes",
                rule=f"the kernel's parameters have {list(kernel.parameter_bytes)}",
                next_step="make number types and order agree; a pointer has 8 bytes",
            )


def _with_spills(kernels: tuple[KernelResources, ...], report: str) -> tuple[KernelResources, ...]:
    found = spills(report)
    return tuple(
        replace(kernel, spill_store_bytes=found[kernel.name][0], spill_load_bytes=found[kernel.name][1])
        if kernel.name in found
        else kernel
        for kernel in kernels
    )
