"""What `assay build` prints: the artifact, each kernel's resources, the launches at a task's sizes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from assay.build.artifact import Artifact
from assay.build.resources import KernelResources, occupancy
from assay.core.verdicts import Finding, Weight
from assay.launch.resolved import ResolvedLaunch, ResolvedPlan
from assay.report.hostile import one_line
from assay.report.tables import plain_table
from assay.report.terminal import make_console
from assay.report.units import bytes_text, plural


def render_build(
    name: str, artifact: Artifact, plan: ResolvedPlan | None, findings: Iterable[Finding], capability: int,
    console: Console | None = None,
) -> None:  # fmt: skip
    """Print a built candidate; `capability` is 90 for compute capability 9.0."""
    console = console or make_console()
    spent = "from the cache" if artifact.cpu_seconds is None else f"in {artifact.cpu_seconds:.2f} s of CPU"
    target = f" for {artifact.target}" if artifact.target else ""
    size = bytes_text(len(artifact.content))
    console.print(Text(f"{one_line(name)}: built{target}, {size}, {spent}", "bold green"))
    if artifact.kernels:
        table = plain_table("Kernel", "Registers", "Spills", "Shared", "Stack", "Instructions", "Parameters")
        for kernel in artifact.kernels:
            table.add_row(*_kernel_row(kernel))
        console.print(table)
    if plan is not None:
        by_name = {(kernel.module, kernel.name): kernel for kernel in artifact.kernels}
        table = plain_table("Launch", "Grid", "Block", "Shared", "Warps of a multiprocessor")
        for launch in plan.launches:
            table.add_row(*_launch_row(launch, by_name[launch.module, launch.kernel], capability))
        console.print(table)
        if plan.scratch_bytes:
            areas = plural(len(plan.scratch_bytes), "scratch area")
            console.print(Text(f"{areas}, {bytes_text(sum(plan.scratch_bytes))}"))
    for finding in findings:
        style = "bold red" if finding.weight is Weight.FATAL else "yellow"
        console.print(Text(f"{finding.code}: ", style).append(one_line(finding.message), ""))


def _kernel_row(kernel: KernelResources) -> tuple[Text, ...]:
    spilled = "unknown"
    if kernel.spill_store_bytes is not None and kernel.spill_load_bytes is not None:
        spilled = bytes_text(kernel.spill_store_bytes + kernel.spill_load_bytes)
    shared, stack = bytes_text(kernel.shared_bytes), bytes_text(kernel.stack_bytes)
    parameters = ", ".join(map(str, kernel.parameter_bytes)) or "none"
    cells = (one_line(kernel.name), str(kernel.registers), spilled, shared, stack, str(kernel.instructions), parameters)
    return tuple(Text(cell) for cell in cells)


def _launch_row(launch: ResolvedLaunch, kernel: KernelResources, capability: int) -> tuple[Text, ...]:
    threads = launch.block[0] * launch.block[1] * launch.block[2]
    fits = occupancy(kernel, threads, launch.shared_bytes, capability)
    filled = f"{fits.warps} of {fits.most_warps}, limited by {fits.limited_by}" if fits else "unknown"
    cells = (one_line(launch.kernel), _size(launch.grid), _size(launch.block), bytes_text(launch.shared_bytes), filled)
    return tuple(Text(cell) for cell in cells)


def _size(three: tuple[int, int, int]) -> str:
    used = max((i + 1 for i, size in enumerate(three) if size != 1), default=1)
    return " x ".join(str(size) for size in three[:used])
