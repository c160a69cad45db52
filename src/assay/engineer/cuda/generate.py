"""A device candidate from a graph and a schedule: one .cu file, its plan in the comment that opens it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import sympy

from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.emit import IN_A_PLAN, shared_between, size_places, symbols_of
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel, collapse, fuse
from assay.engineer.codegen.index import Loop, product
from assay.engineer.codegen.lower import lower
from assay.engineer.codegen.program import Buffer, Place, Program, Routine, Unsupported
from assay.engineer.codegen.scalars import loads, loads_in
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.codegen.text import MEMORY, TYPES
from assay.engineer.cuda.form import scanned_again
from assay.engineer.cuda.nest import DeviceNest
from assay.engineer.cuda.routines import called
from assay.engineer.cuda.schedule import DeviceSchedule
from assay.engineer.cuda.sizes import plan_name, plan_text
from assay.engineer.graph import Graph
from assay.launch.plan import MOST_LAUNCHES, MOST_SCRATCH

PRELUDE, ROUTINES = (Path(__file__).with_name(name) for name in ("prelude.cuh", "routines.cuh"))
HEAD = "// schedule "
"""The line after the plan: whoever finds the file later can tell how it was made."""
_ROLES = {Place.INPUT: "in", Place.WEIGHT: "weight", Place.OUTPUT: "out"}
_WIDE = 2**31 - 2**20
"""Positions below it are 32-bit numbers, whose divisions cost a GPU a fifth of what 64-bit ones do; less a grid's last
block, whose threads beyond the end have numbers too."""


def generate(graph: Graph, schedule: DeviceSchedule, name: str) -> Candidate:
    """CUDA for the graph. Raises Unsupported where an operator has no generator, or the plan would be too long."""
    program = lower(graph, keep=schedule.keep)
    steps = fuse(program, apart=schedule.apart)
    text = _Writer(program, steps, schedule).text()
    files = (
        SourceFile("kernel.cu", text),
        SourceFile(PRELUDE.name, PRELUDE.read_text()),
        SourceFile(ROUTINES.name, ROUTINES.read_text()),
    )
    return Candidate(name, Language.CUDA, files, "step_0", schedule.flags, proposer="codegen")


class _Writer:
    def __init__(self, program: Program, steps: Sequence[Kernel | Routine], schedule: DeviceSchedule) -> None:
        self._program, self._steps, self._schedule = program, steps, schedule
        for buffer in program.buffers.values():
            if buffer.dtype not in TYPES:
                raise Unsupported(f"no arithmetic in {buffer.dtype.value}")
        self._shared = shared_between(program, steps)
        for step in steps:
            if isinstance(step, Kernel):
                self._shared |= scanned_again(step, Form(program, step, self._shared, Schedule()))
        self._places = size_places(program, IN_A_PLAN)
        found = {s for s in symbols_of(program, steps) if not isinstance(s, (Loop, ix.Lookup))}
        self._sizes = sorted(found, key=str)
        if missing := [s for s in self._sizes if s not in self._places]:
            raise Unsupported(f"the size {missing[0]} is not a size of an input")
        if len(steps) > MOST_LAUNCHES or len(self._shared) > MOST_SCRATCH:
            raise Unsupported(
                f"{len(steps)} launches and {len(self._shared)} temporaries, which are too many for a plan"
            )

    def text(self) -> str:
        kernels, launches = [], []
        for number, step in enumerate(self._steps):
            lines, launch = self._kernel(number, step) if isinstance(step, Kernel) else self._routine(number, step)
            kernels += lines
            launches += launch
        plan = ["[sizes]", *(f'{plan_name(s)} = "{self._places[s]}"' for s in self._sizes)]
        plan += [f'elements_{name} = "{self._elements(name)}"' for name in sorted(self._shared)]
        plan += ["[scratch]", *(self._scratch(name) for name in sorted(self._shared))]
        head = ["/* launch.toml", *plan, *launches, "*/", f"{HEAD}{json.dumps(self._schedule.to_json())}"]
        return "\n".join([*head, f'#include "{ROUTINES.name}"', "", *kernels, ""])

    def _scratch(self, name: str) -> str:
        return f'{name} = "{self._program.buffers[name].dtype.size_bytes} * elements_{name}"'

    def _elements(self, name: str) -> str:
        return plan_text(sympy.expand(product(self._program.buffers[name].shape)))

    def _kernel(self, number: int, kernel: Kernel) -> tuple[list[str], list[str]]:
        """A kernel for positions of 32 bits and one for 64, and a launch of either."""
        collapsed = collapse(kernel)
        nest = DeviceNest(self._program, collapsed, self._shared, self._schedule)
        ix.start_divisions()
        body = nest.lines()
        divisions = [f"const index {name} = {text};" for name, text in ix.written_divisions()]
        used = self._used(collapsed)
        parameters, arguments = self._signature(used)
        work = product(axis.size for axis in (collapsed.outer if collapsed.reduced else collapsed.axes))
        grid = f"cdiv({plan_text(sympy.expand(work))}, {nest.per_block})"
        inside = [*self._numbers(used), *self._named(), *divisions, *body]
        lines = [f"template <typename index>\nDEVICE void body_{number}({', '.join(parameters)}) {{"]
        lines += ["  " + line for line in inside] + ["}"]
        passed = ", ".join(parameter.split()[-1] for parameter in parameters)
        threads = nest.block[0] * nest.block[1]
        for bits, suffix in ((32, ""), (64, "_wide")):
            head = f'extern "C" __global__ void __launch_bounds__({threads}) step_{number}{suffix}'
            lines += [f"{head}({', '.join(parameters)}) {{", f"  body_{number}<int{bits}_t>({passed});", "}"]
        largest = self._largest(used)
        launch = [
            line
            for suffix, order in (("", "<="), ("_wide", ">"))
            for line in _launch(f"step_{number}{suffix}", [grid], nest.block, arguments, f"{largest} {order} {_WIDE}")
        ]
        return lines, launch

    def _routine(self, number: int, step: Routine) -> tuple[list[str], list[str]]:
        ix.start_divisions()
        used = [name for name in self._program.buffers if name in step.buffers]
        parameters, arguments = self._signature(used)
        call = called(step, self._program.hints)
        divisions = [f"const index {name} = {text};" for name, text in ix.written_divisions()]
        lines = [
            f'extern "C" __global__ void __launch_bounds__({call.threads}) step_{number}({", ".join(parameters)}) {{',
            *("  " + line for line in ("using index = int64_t;", *self._named(), *divisions, *call.lines)),
            "}",
        ]
        return lines, _launch(f"step_{number}", call.grid, (call.threads, 1), arguments, "1")

    def _used(self, kernel: Kernel) -> list[str]:
        """Buffers with memory that a kernel reads or fills."""
        found = {step.buffer for step in kernel.steps}
        for step in kernel.steps:
            found |= {one.buffer for one in (*loads(step.body), *loads_in(step.target))}
        return [name for name, buffer in self._program.buffers.items() if name in found and self._is_real(buffer)]

    def _is_real(self, buffer: Buffer) -> bool:
        return buffer.place is not Place.TEMPORARY or buffer.name in self._shared

    def _signature(self, used: Sequence[str]) -> tuple[list[str], list[str]]:
        """Parameters in C++ and arguments in the plan: memory first, then sizes."""
        parameters, arguments = [], []
        for name in used:
            buffer = self._program.buffers[name]
            if buffer.place is Place.NUMBER:
                parameters.append(f"double given_{name}")
                arguments.append(f"f64 scalar{buffer.index}")
                continue
            const = "const " if buffer.place in (Place.INPUT, Place.WEIGHT) else ""
            parameters.append(f"{const}{MEMORY[buffer.dtype]}* __restrict__ {name}")
            arguments.append(f"{_ROLES[buffer.place]}{buffer.index}" if buffer.place in _ROLES else name)
        for size in self._sizes:
            parameters.append(f"int64_t size_{size}")
            arguments.append(f"i64 {plan_name(size)}")
        return parameters, arguments

    def _named(self) -> list[str]:
        return [f"const index {size} = static_cast<index>(size_{size});" for size in self._sizes]

    def _numbers(self, used: Sequence[str]) -> list[str]:
        """A number among forward's arguments looks like a tensor of one element."""
        numbers = [self._program.buffers[n] for n in used if self._program.buffers[n].place is Place.NUMBER]
        return [
            f"const {MEMORY[b.dtype]} {b.name}[1] = {{static_cast<{MEMORY[b.dtype]}>(given_{b.name})}};"
            for b in numbers
        ]

    def _largest(self, used: Sequence[str]) -> str:
        """An expression for the most elements that any buffer in use has."""
        found = "1"
        for name in used:
            buffer = self._program.buffers[name]
            if buffer.place is not Place.NUMBER:
                own = f"{_ROLES[buffer.place]}{buffer.index}.numel" if buffer.place in _ROLES else f"elements_{name}"
                found = f"max({found}, {own})"
        return found


def _launch(kernel: str, grid: Sequence[str], block: tuple[int, int], arguments: Sequence[str], when: str) -> list[str]:
    sizes = ", ".join(f'"{size}"' for size in grid)
    given = ", ".join(f'"{argument}"' for argument in arguments)
    return [
        "[[launch]]", f'kernel = "{kernel}"', f'when = "{when}"', f"grid = [{sizes}]",
        f"block = [{block[0]}, {block[1]}]", f"arguments = [{given}]",
    ]  # fmt: skip


__all__ = ["DeviceSchedule", "Unsupported", "generate"]
