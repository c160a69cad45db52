"""Triton candidates: kernels in Python to machine code ahead of time, in a confined process that runs their Python.

Nothing of that Python comes near a judgement: the launcher loads the machine code. No GPU is needed to compile.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from importlib.metadata import version
from pathlib import PurePosixPath

from assay.build.artifact import Artifact
from assay.build.builder import ConfinedBuilder
from assay.build.cubin import read_kernels
from assay.build.cuda import DEFAULT_CAPABILITY
from assay.build.flags import check_flags
from assay.build.resources import KernelResources
from assay.core.identity import identity
from assay.core.sources import Candidate
from assay.errors import CandidateError, MachineError
from assay.launch.compiled import CompiledLaunch, unpack
from assay.launch.plan import LaunchPlan, plan_text
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs


class TritonBuilder:
    """Builds Triton candidates; a context manager that holds one zygote.

    Raises MachineError where Triton is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("triton") is None:
            raise MachineError(
                "Triton is not installed, which compiles this candidate.",
                value="no module triton",
                rule="Triton 3.3 or later; a GPU is not needed to compile",
                next_step="pip install 'assay[gpu]'",
            )
        self.version = version("triton")
        self._confined = ConfinedBuilder((), "assay.build.triton_in_sandbox", ["triton", "triton.compiler"])

    def build(self, candidate: Candidate, capability: int = DEFAULT_CAPABILITY, *, use_cache: bool = True) -> Artifact:
        """The candidate's kernels for a compute capability, one for each launch of its plan.

        Raises CandidateError with Triton's own words, and where plan and kernels do not fit.
        """
        check_flags(candidate)
        plan = plan_text(candidate.files)
        settings = {"module": _module(candidate), "plan": plan, "capability": capability}
        files = [file.to_json() for file in candidate.files]
        key = identity({"settings": settings, "files": files, "triton": self.version})
        cached = find_dirs().builds / f"{key}.modules"
        if use_cache and cached.exists():
            return _artifact(cached.read_bytes(), key, None, plan, capability)
        built = self._confined.build(candidate, settings)
        artifact = _artifact(built.content, key, built.cpu_seconds, plan, capability)
        ensure_folder(cached.parent)
        atomic_write(cached, built.content)
        return artifact

    def close(self) -> None:
        """End the zygote."""
        self._confined.close()

    def __enter__(self) -> TritonBuilder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _module(candidate: Candidate) -> str:
    """The module with the kernels: the one whose text names the plan's first."""
    units = [file for file in candidate.files if file.path.endswith(".py")]
    named = [file.path for file in units if f"def {candidate.entry}" in file.text]
    if len(named) != 1:
        raise CandidateError(
            f"{'several files define' if named else 'no file defines'} the plan's first kernel",
            value=candidate.entry,
            rule="one file with a @triton.jit function of that name",
        )
    return ".".join(PurePosixPath(named[0]).with_suffix("").parts)


def _artifact(content: bytes, key: str, cpu_seconds: float | None, plan: str, capability: int) -> Artifact:
    modules, launches = unpack(content)
    if not launches:
        raise CandidateError("the compiled candidate cannot be read", value="it has no launches")
    kernels = [replace(kernel, module=i) for i, module in enumerate(modules) for kernel in read_kernels(module)]
    _check(LaunchPlan.parse(plan), launches, {(kernel.module, kernel.name): kernel for kernel in kernels})
    return Artifact(content, key, "", cpu_seconds, tuple(kernels), f"sm_{capability}")


def _check(
    plan: LaunchPlan, launches: dict[int, CompiledLaunch], kernels: dict[tuple[int, str], KernelResources]
) -> None:
    """Each launch has a kernel whose parameters begin with the plan's; what follows are pointers of Triton's own."""
    for index, launch in enumerate(plan.launches):
        runs = launches.get(index)
        kernel = kernels.get((runs.module, runs.symbol)) if runs is not None else None
        given = tuple(argument.size_bytes for argument in launch.arguments)
        own = (8,) * (len(kernel.parameter_bytes) - len(given)) if kernel is not None else ()
        if kernel is None or runs is None or kernel.parameter_bytes != given + own:
            raise CandidateError(
                f"the launch plan's arguments do not fit {launch.kernel}",
                value=f"sizes {list(given)} in bytes",
                rule=f"the kernel's parameters have {list(kernel.parameter_bytes) if kernel else 'none'}",
            )
        if runs.parameters != len(kernel.parameter_bytes):
            raise CandidateError("the compiled candidate cannot be read", value="it miscounts its parameters")
