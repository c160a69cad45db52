"""What a device candidate's resources mean for its launches, in sentences: for people, and for the next proposal."""

from __future__ import annotations

from assay.build.resources import KernelResources, occupancy
from assay.core.verdicts import Finding, Weight
from assay.errors import Fault
from assay.launch.resolved import SHARED_BYTES, ResolvedLaunch, ResolvedPlan

_LOW_OCCUPANCY = 0.25
"""Below a quarter of the warps, latency of memory is rarely hidden, unless each thread has much independent work
(Volkov, Better performance at lower occupancy, GTC 2010): worth a sentence, no more."""


def diagnose(plan: ResolvedPlan, kernels: tuple[KernelResources, ...], capability: int) -> tuple[Finding, ...]:
    """Findings for each launch of the plan: what cannot be launched is fatal, what may cost time is a note."""
    by_name = {(kernel.module, kernel.name): kernel for kernel in kernels}
    seen: dict[str, Finding] = {}
    for launch in plan.launches:
        kernel = by_name.get((launch.module, launch.kernel))
        for finding in _of_launch(launch, kernel, capability) if kernel is not None else ():
            seen.setdefault(finding.code + launch.kernel, finding)
    return tuple(seen.values())


def _of_launch(launch: ResolvedLaunch, kernel: KernelResources, capability: int) -> list[Finding]:
    found: list[Finding] = []
    threads = launch.block[0] * launch.block[1] * launch.block[2]
    most = SHARED_BYTES.get(capability)
    shared = kernel.shared_bytes + launch.shared_bytes
    if most is not None and shared > most:
        message = f"{kernel.name} needs {shared} bytes of shared memory, and a block has {most}"
        return [Finding("unlaunchable", Weight.FATAL, message, Fault.CANDIDATE)]
    fits = occupancy(kernel, threads, launch.shared_bytes, capability)
    if fits is not None and fits.warps == 0:
        message = (
            f"{kernel.name} fits no multiprocessor with {threads} threads of {kernel.registers} registers and {shared} "
            f"bytes of shared memory: {fits.limited_by} are too many"
        )
        return [Finding("unlaunchable", Weight.FATAL, message, Fault.CANDIDATE)]
    spilled = (kernel.spill_store_bytes or 0) + (kernel.spill_load_bytes or 0)
    if spilled:
        message = (
            f"{kernel.name} spills {kernel.spill_store_bytes} bytes of stores and {kernel.spill_load_bytes} of loads "
            f"at {kernel.registers} registers: fewer values at a time, or fewer threads a block, would keep them"
        )
        found.append(Finding("spills", Weight.NOTE, message, Fault.CANDIDATE))
    elif kernel.stack_bytes:
        message = (
            f"{kernel.name} keeps {kernel.stack_bytes} bytes a thread in local memory: an array has an index that is "
            "not known when it is compiled"
        )
        found.append(Finding("local-memory", Weight.NOTE, message, Fault.CANDIDATE))
    if fits is not None and fits.share < _LOW_OCCUPANCY:
        message = (
            f"{kernel.name} holds {fits.warps} of {fits.most_warps} warps a multiprocessor, limited by "
            f"{fits.limited_by}"
        )
        found.append(Finding("low-occupancy", Weight.NOTE, message, Fault.CANDIDATE))
    return found
