"""Kernels of device code on the CPU: a kernel's file becomes a program, and the program runs calls.

For trusted files of this repository only: what runs here runs without any sandbox.
"""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from assay.core.tensors import TensorSpec
from assay.launch.plan import LaunchPlan
from assay.launch.resolved import ResolvedLaunch, resolve
from tests.gpu.emulation.programs import Case

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-w", "-ffp-contract=off", "-fsanitize=alignment,bounds",
         "-fsanitize-undefined-trap-on-error")  # fmt: skip
_DYNAMIC = re.compile(r"extern __shared__ (?:__align__\(\d+\) )?([\w ]+?) (\w+)\[\];")
SECONDS = 60


class EmulationError(Exception):
    """A kernel faulted, hung or broke a rule; the message says which."""


@dataclass(frozen=True, slots=True)
class Emulated:
    """A kernel's program and its plan."""

    program: Path
    plan: LaunchPlan

    def run(self, calls: list[Case], schedule: int = 0, seed: int = 1) -> list[list[Tensor]]:
        """The outputs of each call, all in one process on the same buffers.

        Raises EmulationError where a call faults, hangs, writes past a buffer or into its inputs or weights.
        """
        first = calls[0]
        inputs, weights, outputs = first.specs()
        resolved = resolve(self.plan, inputs, weights, outputs, first.scalars)
        specs = [*inputs, *weights, *outputs]
        sizes = [spec.span_bytes for spec in specs] + list(resolved.scratch_bytes)
        given = len(inputs) + len(weights)
        places = {("in", i): i for i in range(len(inputs))}
        places |= {("weight", i): len(inputs) + i for i in range(len(weights))}
        places |= {("out", i): given + i for i in range(len(outputs))}
        places |= {("scratch", i): len(specs) + i for i in range(len(resolved.scratch_bytes))}
        job = [_numbers(schedule, seed, len(sizes))]
        job += [_numbers(size, int(i < given)) for i, size in enumerate(sizes)]
        job.append(_numbers(len(calls)))
        for call in calls:
            job += [_contents(tensor) for tensor in (*call.inputs, *call.weights)]
            job.append(_numbers(len(resolved.launches)))
            job += [_launch(launch, self.plan.kernels, places) for launch in resolved.launches]
        found = self._answer(b"".join(job), len(calls) * sum(sizes))
        return [self._outputs(found[i * sum(sizes) :], call, sizes, given) for i, call in enumerate(calls)]

    def _answer(self, job: bytes, size: int) -> bytes:
        try:
            done = subprocess.run([self.program], input=job, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise EmulationError(f"it runs for more than {SECONDS} s") from None
        if done.returncode != 0 or len(done.stdout) != size:
            raise EmulationError(done.stderr.decode().strip() or f"it ended with status {done.returncode}")
        return done.stdout

    @staticmethod
    def _outputs(found: bytes, call: Case, sizes: list[int], given: int) -> list[Tensor]:
        parts, cursor = [], 0
        for size in sizes:
            parts.append(found[cursor : cursor + size])
            cursor += size
        for part, tensor in zip(parts, (*call.inputs, *call.weights), strict=False):
            if part != _contents(tensor):
                raise EmulationError("it writes into an input or a weight")
        specs = call.specs()[2]
        return [_tensor(part, spec) for part, spec in zip(parts[given:], specs, strict=False)]


def build(text: str, plan: LaunchPlan, folder: Path) -> Emulated:
    """Compile a kernel's source; raises EmulationError where the emulation lacks what it uses."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.inc").write_text(
        _DYNAMIC.sub(r"\1* const \2 = reinterpret_cast<\1*>(cuda_on_cpu::dynamic_shared);", text)
    )
    table = ", ".join(f"EMULATED({name})" for name in plan.kernels)
    (folder / "program.cpp").write_text(
        f'#include "cuda_on_cpu.h"\n#include "kernel.inc"\n#include "job.h"\n'
        f"int main() {{ return cuda_on_cpu::serve({{{table}}}); }}\n"
    )
    program = folder / "program"
    places = (FOLDER, FOLDER / "headers", folder)
    command = ["g++", *FLAGS, *(f"-I{place}" for place in places), "-o", str(program), str(folder / "program.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise EmulationError(done.stderr[-2000:])
    return Emulated(program, plan)


def _numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def _contents(tensor: Tensor) -> bytes:
    span = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) + 1 if tensor.numel() else 0
    flat = tensor.detach().as_strided((span,), (1,))
    if flat.dtype == torch.bfloat16:
        flat = flat.view(torch.int16)
    return flat.numpy().tobytes()


def _tensor(part: bytes, spec: TensorSpec) -> Tensor:
    dtype = getattr(torch, spec.dtype.value)
    if not part:
        return torch.empty(spec.shape, dtype=dtype)
    return torch.frombuffer(bytearray(part), dtype=dtype).as_strided(spec.shape, spec.strides)


def _launch(launch: ResolvedLaunch, kernels: tuple[str, ...], places: dict[tuple[str, int], int]) -> bytes:
    if launch.cluster[1:] != (1, 1):
        raise EmulationError("clusters are emulated along the first dimension only")
    place_and_size = kernels.index(launch.kernel), *launch.grid, *launch.block
    parts = [_numbers(*place_and_size, launch.cluster[0], launch.shared_bytes)]
    parts.append(_numbers(len(launch.parameters)))
    for parameter in launch.parameters:
        place = -1 if parameter.memory is None else places[parameter.memory]
        parts.append(_numbers(place, len(parameter.bytes)) + parameter.bytes.ljust(8, b"\0"))
    return b"".join(parts)
