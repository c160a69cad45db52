"""The code generators as families of schedules: what may be chosen, what is tried first, how a schedule is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.sources import Candidate, Language
from assay.engineer.codegen import generate as cpp
from assay.engineer.codegen import schedule as cpp_schedule
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.cuda import generate as cuda
from assay.engineer.cuda import schedule as cuda_schedule
from assay.engineer.cuda.schedule import DeviceSchedule
from assay.engineer.graph import Graph
from assay.engineer.triton import generate as triton
from assay.engineer.triton import schedule as triton_schedule
from assay.engineer.triton.schedule import Schedule as TritonSchedule
from assay.errors import CandidateError, InputError

AnySchedule = Schedule | DeviceSchedule | TritonSchedule
_SPOKEN = {Language.CPP: "C++", Language.CUDA: "CUDA", Language.TRITON: "Triton"}
HEADS = ("// schedule ", "# schedule ")
"""How the line begins on which a generated file says how it was made."""


@dataclass(frozen=True, slots=True)
class Generator:
    """One code generator. `starts` are tried first: the default, and one step into each direction that may pay off."""

    language: Language
    starts: tuple[AnySchedule, ...]
    choices: Mapping[str, tuple[Any, ...]]
    kind: type[AnySchedule]
    generate: Callable[[Graph, Any, str], Candidate]

    def make(self, values: Mapping[str, Any]) -> AnySchedule:
        """A schedule of these choices."""
        return self.kind(**values)

    def schedule_of(self, candidate: Candidate) -> AnySchedule | None:
        """How a candidate was generated, whoever proposed it; None where its file does not say."""
        line = next((line for line in candidate.files[0].text.splitlines() if line.startswith(HEADS)), None)
        if line is None or candidate.language is not self.language:
            return None
        try:
            return self.kind.from_json(json.loads(line.partition(" schedule ")[2]))
        except (ValueError, TypeError):
            return None

    def words(self, schedule: AnySchedule) -> str:
        """What is not as usual."""
        usual = self.starts[0].to_json()
        changed = (f"{name}={value}" for name, value in schedule.to_json().items() if value != usual[name])
        return ", ".join(changed) or "usual"


CPP = Generator(
    Language.CPP,
    (
        Schedule(), Schedule(winograd=4), Schedule(stream=True), Schedule(loose=False), Schedule(keep=False),
        Schedule(lanes=256, block=4096), Schedule(apart=True),
    ),
    cpp_schedule.CHOICES, Schedule, cpp.generate,
)  # fmt: skip
"""For this machine's processor. There are some 27,600 schedules in all."""
CUDA = Generator(
    Language.CUDA,
    (
        DeviceSchedule(), DeviceSchedule(unroll=1), DeviceSchedule(lanes=256), DeviceSchedule(lanes=1024),
        DeviceSchedule(slices=16), DeviceSchedule(fast=True), DeviceSchedule(apart=True), DeviceSchedule(keep=False),
    ),
    cuda_schedule.CHOICES, DeviceSchedule, cuda.generate,
)  # fmt: skip
"""For NVIDIA's GPUs: 768 schedules."""


def _triton(graph: Graph, schedule: TritonSchedule, name: str) -> Candidate:
    return triton.generate(graph, schedule).candidate(name)


TRITON = Generator(
    Language.TRITON,
    (
        TritonSchedule(), TritonSchedule(tile=2048), TritonSchedule(held=1024), TritonSchedule(keep=True),
        TritonSchedule(lanes=128), TritonSchedule(m=32, n=32), TritonSchedule(m=128, n=64, product_warps=8),
        TritonSchedule(apart=True), TritonSchedule(parts=1),
    ),
    triton_schedule.CHOICES, TritonSchedule, _triton,
)  # fmt: skip
"""The same in Triton, with tensor cores for half precision."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Makes candidates of one graph's schedules."""

    generator: Generator
    graph: Graph
    name: str

    def __call__(self, schedule: AnySchedule) -> Candidate:
        """The candidate of a schedule."""
        return self.generator.generate(self.graph, schedule, self.name)


def writer_for(graph: Graph, task_name: str, generator: Generator = CPP) -> Writer:
    """What makes candidates of a graph's schedules. Raises InputError where an operator has no generator."""
    writer = Writer(generator, graph, task_name)
    try:
        writer(generator.starts[0])
    except (Unsupported, CandidateError) as error:
        raise InputError(
            f"no {_SPOKEN[generator.language]} kernel can be generated for this task", value=str(error),
            rule="see docs/engineer.md", next_step="judge a kernel of your own with assay judge",
        ) from error  # fmt: skip
    return writer


def text_of(candidate: Candidate) -> str:
    """What it says, without the line on how it was generated: two schedules may write the same."""
    lines = candidate.files[0].text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(HEADS)) + " ".join(candidate.flags)
