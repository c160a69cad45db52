"""A launch plan at one choice of shapes: plain numbers, checked against what a GPU can launch."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from assay.core.tensors import TensorSpec
from assay.errors import CandidateError
from assay.launch.expressions import Expression, Value
from assay.launch.plan import Argument, Launch, LaunchPlan, tensor_place, values_of

GRID_LIMITS = (2**31 - 1, 65535, 65535)
BLOCK_LIMITS = (1024, 1024, 64)
BLOCK_THREADS = 1024
"""CUDA C++ programming guide, table of technical specifications per compute capability: alike from 5.0 to 12.x."""
CLUSTER_BLOCKS = 8
"""The largest portable cluster, the same guide; 16 are for kernels that ask for it by an attribute."""
SHARED_BYTES = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 103: 227 << 10, 120: 99 << 10}
"""Most shared memory of one block by compute capability, from the same table."""
SCRATCH_BYTES = 4 << 30
"""Most scratch of one plan."""
_PACK = {"i32": "<i", "u32": "<I", "i64": "<q", "u64": "<Q", "f32": "<f", "f64": "<d"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter's bytes, or the memory whose address it is: ("in", 0), ("out", 1), ("scratch", 0)."""

    bytes: bytes
    memory: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ResolvedLaunch:
    """One launch in numbers. `index` is its number in the plan."""

    index: int
    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    cluster: tuple[int, int, int]
    shared_bytes: int
    parameters: tuple[Parameter, ...]
    module: int = 0
    """Of a candidate that was compiled to several modules."""


@dataclass(frozen=True, slots=True)
class ResolvedPlan:
    """All launches that happen at these shapes, and the sizes of the scratch areas in bytes."""

    launches: tuple[ResolvedLaunch, ...]
    scratch_bytes: tuple[int, ...]


def resolve(
    plan: LaunchPlan, inputs: Sequence[TensorSpec], weights: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
    scalars: Sequence[float] = (), capability: int = 90,
) -> ResolvedPlan:  # fmt: skip
    """The plan for tensors of these shapes. `capability` is 90 for compute capability 9.0.

    Raises CandidateError for launches that no such GPU takes, arguments that the call does not have, and a plan that
    launches nothing at these shapes.
    """
    tensors = {"in": inputs, "weight": weights, "out": outputs}
    values = values_of(tensors, scalars)
    for name, expression in plan.sizes:
        values[name] = expression.number(values)
    scratch = tuple(expression.integer(values) for _, expression in plan.scratch)
    for (name, _), size in zip(plan.scratch, scratch, strict=True):
        if size < 0:
            raise _unlaunchable(f"scratch {name}", f"{size} bytes", "at least 0")
    if sum(scratch) > SCRATCH_BYTES:
        raise _unlaunchable("its scratch memory", f"{sum(scratch)} bytes", f"at most {SCRATCH_BYTES}")
    areas = {name: ("scratch", index) for index, (name, _) in enumerate(plan.scratch)}
    counts = {role: len(specs) for role, specs in tensors.items()}
    launches = tuple(
        _resolved(index, launch, values, areas, counts, capability)
        for index, launch in enumerate(plan.launches)
        if launch.when.number(values)
    )
    if not launches:
        raise CandidateError("the launch plan launches nothing at these shapes",
                             value=", ".join(f"{t.name}{list(t.shape)}" for t in inputs))  # fmt: skip
    return ResolvedPlan(tuple(one for one in launches if 0 not in one.grid), scratch)


def _resolved(
    index: int, launch: Launch, values: dict[str, Value], areas: dict[str, tuple[str, int]], counts: dict[str, int],
    capability: int,
) -> ResolvedLaunch:  # fmt: skip
    grid = _sizes(launch.grid, values, GRID_LIMITS, f"the grid of {launch.kernel}", 0)
    block = _sizes(launch.block, values, BLOCK_LIMITS, f"the block of {launch.kernel}", 1)
    shared = launch.shared_bytes.integer(values)
    most = SHARED_BYTES.get(capability, 48 << 10)
    if block[0] * block[1] * block[2] > BLOCK_THREADS:
        raise _unlaunchable(f"the block of {launch.kernel}", str(block), f"at most {BLOCK_THREADS} threads")
    if not 0 <= shared <= most:
        raise _unlaunchable(f"the shared memory of {launch.kernel}", f"{shared} bytes", f"0 to {most}")
    blocks = launch.cluster[0] * launch.cluster[1] * launch.cluster[2]
    if min(launch.cluster) < 1 or blocks > CLUSTER_BLOCKS or (blocks > 1 and capability < 90):
        raise _unlaunchable(f"the cluster of {launch.kernel}", str(launch.cluster), f"at most {CLUSTER_BLOCKS} blocks, "
                            "from compute capability 9.0 on")  # fmt: skip
    if any(size % part for size, part in zip(grid, launch.cluster, strict=True)):
        raise _unlaunchable(f"the grid of {launch.kernel}", str(grid), f"a multiple of its cluster {launch.cluster}")
    parameters = tuple(_parameter(argument, values, areas, counts) for argument in launch.arguments)
    return ResolvedLaunch(index, launch.kernel, grid, block, launch.cluster, shared, parameters)


def _sizes(
    expressions: tuple[Expression, Expression, Expression], values: dict[str, Value], limits: tuple[int, int, int],
    what: str, least: int,
) -> tuple[int, int, int]:  # fmt: skip
    x, y, z = (expression.integer(values) for expression in expressions)
    if any(not least <= size <= limit for size, limit in zip((x, y, z), limits, strict=True)):
        raise _unlaunchable(what, str((x, y, z)), f"{least} to {limits}")
    return x, y, z


def _parameter(
    argument: Argument, values: dict[str, Value], areas: dict[str, tuple[str, int]], counts: dict[str, int]
) -> Parameter:
    if argument.value is None:
        place = areas.get(argument.name) or tensor_place(argument.name)
        assert place is not None  # the parser lets no other name through
        if place[0] != "scratch" and place[1] >= counts[place[0]]:
            raise _unlaunchable("an argument", argument.name, f"this call has {counts[place[0]]} such tensors")
        return Parameter(bytes(8), place)
    kind, _, multiple = argument.type.partition("/")
    floating = kind in ("f32", "f64")
    number = argument.value.number(values) if floating else argument.value.integer(values)
    if multiple and number % int(multiple):
        raise _unlaunchable("an argument", f"{argument.value.text} = {number}", f"a multiple of {multiple}, as it says")
    try:
        return Parameter(struct.pack(_PACK[kind], number))
    except (struct.error, OverflowError):
        raise _unlaunchable("an argument", f"{argument.value.text} = {number}", f"it fits {argument.type}") from None


def _unlaunchable(what: str, value: str, rule: str) -> CandidateError:
    return CandidateError(f"the launch plan asks for what no GPU launches: {what}", value=value, rule=rule)
