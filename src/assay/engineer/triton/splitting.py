"""Long reductions with few results, in parts that run side by side, and a second kernel that puts the parts together.

An H100 has 132 processors, and a reduction of everything would use one. Parts are in a fixed order, so the bits are the
same every time, which an atomic addition would not give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Buffer, Kind, Place, Program, Statement
from assay.engineer.codegen.scalars import Scalar, call, constant, load, loads, position, rebuilt
from assay.engineer.codegen.schedule import Schedule as HostSchedule
from assay.engineer.triton.frame import contiguous_axis
from assay.engineer.triton.schedule import Schedule, power_of_two
from assay.engineer.triton.text import start

_LONG = 1024
"""Elements of a row below which a second launch, some 3 us, is estimated to take longer than it saves: 64 lanes of 1024
rows are 256 KB, which one processor reads in about as much."""
_MOST_PARTS = 256
T = TypeVar("T")


def with_splits(program: Program, steps: Sequence[T], schedule: Schedule) -> list[T | Kernel]:
    """The same steps, those kernels in two that only reduce, with too few programs for a GPU at the task's sizes."""
    found: list[T | Kernel] = []
    for step in steps:
        parts = _parts(program, step, schedule) if isinstance(step, Kernel) else 1
        found += _split(program, step, parts) if isinstance(step, Kernel) and parts > 1 else [step]
    return found


def _parts(program: Program, kernel: Kernel, schedule: Schedule) -> int:
    """Into how many parts; 1 is none."""
    made = {step.buffer for step in kernel.steps}
    full = [step for step in kernel.steps if set(step.axes) & set(kernel.reduced)]
    plain = all(
        step.kind is Kind.REDUCE and step.reduced == kernel.reduced and step.body.dtype is not DType.BOOL
        and not any(one.buffer in made for one in loads(step.body))
        for step in full
    )  # fmt: skip
    if not kernel.reduced or not plain:
        return 1
    form = Form(program, kernel, set(), HostSchedule(), contiguous_axis(kernel))
    length = form.hinted(ix.product(axis.size for axis in kernel.reduced))
    programs = form.hinted(ix.product(axis.size for axis in kernel.outer))
    if form.by_lanes:
        programs = -(-programs // schedule.lanes)
    if length < _LONG or programs * 2 > schedule.parts:
        return 1
    return power_of_two(schedule.parts // programs, 2, _MOST_PARTS)


def _split(program: Program, kernel: Kernel, count: int) -> list[Kernel]:
    long, outer = kernel.reduced[0], kernel.outer
    part, again = Loop("i", count), Loop("i", count)
    inner = Loop("i", ix.floor_div(sympy.expand(long.size + count - 1), sympy.Integer(count)))
    place = sympy.expand(part * inner.size + inner)
    inside = call(DType.BOOL, "lt", position(DType.INT64, place), position(DType.INT64, long.size))
    first, second = [], []
    for step in kernel.steps:
        if not set(step.axes) & set(kernel.reduced):
            second.append(step)
            continue
        buffer = _temporary(program, (part.size, *(axis.size for axis in outer)), step.body.dtype)
        body = call(step.body.dtype, "guarded", inside, rebuilt(step.body, {long: place}), _nothing(step))
        axes = (part, *outer, inner, *kernel.reduced[1:])
        target = ix.flatten((part, *outer), buffer.stride)
        first.append(Statement(Kind.REDUCE, buffer.name, axes, target, body, step.operation, axes[len(outer) + 1 :]))
        kept = load(step.body.dtype, buffer.name, ix.flatten((again, *outer), buffer.stride))
        second.append(replace(step, axes=(*outer, again), body=kept, reduced=(again,)))
    rest = (inner, *kernel.reduced[1:])
    return [Kernel((part, *outer, *rest), rest, first), Kernel((*outer, again), (again,), second)]


def _nothing(step: Statement) -> Scalar:
    """What counts as nothing in a reduction."""
    text, dtype = start(step.operation, step.body.dtype), step.body.dtype
    if not dtype.is_floating:
        return constant(dtype, int(text))
    return constant(dtype, {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}[step.operation])


def _temporary(program: Program, shape: tuple[Size, ...], dtype: DType) -> Buffer:
    name = f"t{len(program.buffers)}"
    program.buffers[name] = Buffer(name, shape, ix.contiguous(shape), dtype, Place.TEMPORARY)
    return program.buffers[name]
