"""`assay build CANDIDATE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from assay.build.artifact import Artifact
from assay.build.cpp import CppBuilder
from assay.build.cuda import DEFAULT_CAPABILITY
from assay.build.device import DeviceCompiler
from assay.build.diagnosis import diagnose
from assay.cli.exits import Exit
from assay.cli.output import JsonFlag, print_json
from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, Language, Task
from assay.core.verdicts import Finding, Weight
from assay.errors import InputError
from assay.launch.compiled import compiled, unpack
from assay.launch.plan import find_plan
from assay.launch.resolved import ResolvedPlan, resolve
from assay.machine.cuda import find_gpus
from assay.referee.judge import Referee
from assay.report.build import render_build
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task

HELP = """Does this candidate compile, and what does it take of the machine? No GPU is needed.

Compiles a C++, CUDA or Triton candidate in the sandbox, as judging it does. For device code it shows each kernel's
registers, spills, shared memory and instructions; with --task also its launches at the task's sizes, and how many of a
multiprocessor's warps they fill.

Exit code: 0 built, 1 does not compile or cannot be launched, 2 bad input, 4 no compiler here.

Example: assay build examples/softmax.cu --task softmax
"""


def build(
    candidate: Annotated[Path, typer.Argument(help="A .cpp, .cu or Triton .py file, or a folder of such files.")],
    task: Annotated[str | None, typer.Option("--task", help="Show the launches at this task's sizes.")] = None,
    capability: Annotated[
        str, typer.Option("--capability", help="Compute capability to build for; the GPU's own, or 9.0 without one.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Build, print, exit 1 where it cannot be launched."""
    proposed = load_candidate(candidate)
    if proposed.language is Language.PYTHON:
        rule = "C++, CUDA, or Triton with a launch plan"
        raise InputError(
            "a Python candidate is not built", value=str(candidate), rule=rule, next_step="assay judge runs it"
        )
    wanted = _capability(capability)
    artifact, plan, findings = _built(proposed, wanted), None, tuple[Finding, ...]()
    if proposed.language.on_device and task is not None:
        plan = compiled(_resolved(proposed, load_task(task), wanted), unpack(artifact.content)[1])
        findings = diagnose(plan, artifact.kernels, wanted)
    if as_json:
        print_json(_as_json(proposed, artifact, plan, findings))
    else:
        render_build(proposed.name, artifact, plan, findings, wanted)
    raise typer.Exit(Exit.REJECTED if any(f.weight is Weight.FATAL for f in findings) else Exit.ACCEPTED)


def _capability(text: str) -> int:
    if not text:
        gpus = find_gpus()
        return gpus[0].capability if gpus else DEFAULT_CAPABILITY
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit() and len(minor) == 1 and len(major) < 3):
        raise InputError("this is no compute capability", value=text, rule="a number such as 9.0 or 12.1")
    return int(major + minor)


def _built(candidate: Candidate, capability: int) -> Artifact:
    if candidate.language is Language.CPP:
        with CppBuilder() as cpp:
            return cpp.build(candidate)
    with DeviceCompiler() as device:
        return device.build(candidate, capability)


def _resolved(candidate: Candidate, task: Task, capability: int) -> ResolvedPlan:
    """The plan at the task's sizes, which its reference tells when it is run once."""
    config = JudgeConfig(depth=Depth.SCREEN)
    with Referee(config) as referee:
        timed, weights = referee.layout(task)
    return resolve(find_plan(candidate.files), timed.inputs.specs, weights, timed.outputs, timed.scalars, capability)


def _as_json(
    candidate: Candidate, artifact: Artifact, plan: ResolvedPlan | None, findings: tuple[Finding, ...]
) -> dict[str, Any]:
    launches = [
        {"kernel": one.kernel, "grid": one.grid, "block": one.block, "shared_bytes": one.shared_bytes}
        for one in (plan.launches if plan else ())
    ]
    return {
        "candidate": candidate.name, "language": candidate.language.value, "identity": artifact.identity,
        "bytes": len(artifact.content), "cpu_seconds": artifact.cpu_seconds, "target": artifact.target or None,
        "kernels": [kernel.to_json() for kernel in artifact.kernels], "launches": launches,
        "findings": [finding.to_json() for finding in findings],
    }  # fmt: skip
