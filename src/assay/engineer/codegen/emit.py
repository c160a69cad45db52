"""A program's kernels as one C++ file.

Each kernel is a parallel loop over what is not reduced, and inside it one pass over the reduced axes for each level of
dependence: what needs a finished sum comes a pass later. The innermost loop is the axis along which memory is
contiguous. Where that is not a reduced axis, a block of it is kept in small arrays ("lanes").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.finish import Finished, Step, parts
from assay.engineer.codegen.fuse import Kernel, collapse
from assay.engineer.codegen.group import Group, buffers_of
from assay.engineer.codegen.index import Loop, cpp
from assay.engineer.codegen.nest import Nest, unravelled
from assay.engineer.codegen.program import Buffer, Convolution, Place, Product, Program, Spread, Unsupported
from assay.engineer.codegen.routines import convolution, filtered, filtering, product, product_of_piece, spread
from assay.engineer.codegen.scalars import Position, loads_in, walk
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.codegen.text import MEMORY, TYPES

PRELUDE, TILE, MULTIPLY, CONVOLVE, SPREAD, WINOGRAD = (
    Path(__file__).with_name(f"{name}.h") for name in ("prelude", "tile", "multiply", "convolve", "spread", "winograd")
)
"""Copied into candidates, which are self-contained folders."""

_SLOTS = 1024
"""The prelude's kSlots."""


def write(program: Program, kernels: Sequence[Step], schedule: Schedule) -> tuple[str, tuple[Path, ...]]:
    """The file's text and the headers that go with it.

    Raises Unsupported for element types without arithmetic.
    """
    for buffer in program.buffers.values():
        if buffer.dtype not in TYPES:
            raise Unsupported(f"no arithmetic in {buffer.dtype.value}")
    headers = _headers(kernels, schedule)
    shared = shared_between(program, kernels)
    slots = {name: slot for slot, name in enumerate(sorted(shared))}
    symbols = size_places(program, "call->inputs[{index}].shape[{dim}]")
    sizes = sorted({s for s in symbols_of(program, kernels) if not isinstance(s, (Loop, ix.Lookup))}, key=str)
    missing = [s for s in sizes if s not in symbols]
    if missing:
        raise Unsupported(f"the size {missing[0]} is not a size of an input")
    ix.start_divisions()
    body = _checks(program, symbols)
    body += [_pointer(buffer, slots) for buffer in program.buffers.values() if _is_real(buffer, shared)]
    body += ["const int threads = call->n_threads;"]
    next_slot = len(slots)
    for kernel in kernels:
        lines, next_slot = _step(program, kernel, shared, schedule, next_slot)
        body += lines
    if next_slot > _SLOTS:
        raise Unsupported(f"more than {_SLOTS} temporaries")
    named = [f"const int64_t {s} = {symbols[s]};" for s in sizes]
    named += [f"const int64_t {name} = {text};" for name, text in ix.written_divisions()]
    includes = [f'#include "{one.name}"' for one in headers if one != TILE]
    lines = ["  " + line for line in (*named, *body)]
    head = 'extern "C" int assay_kernel(const assay_call* call) {'
    text = "\n".join([*includes, "", head, *lines, "  return 0;", "}", ""])
    return text, headers


def _step(program: Program, step: Step, shared: set[str], schedule: Schedule, next_slot: int) -> tuple[list[str], int]:
    """The lines of one step, and the next free slot."""
    if isinstance(step, Product):
        return product(step, next_slot), next_slot + 2
    if isinstance(step, Convolution):
        if tile := filtering(step, schedule):
            return filtered(step, tile, next_slot), next_slot + 4
        return convolution(step, next_slot), next_slot + 1
    if isinstance(step, Spread):
        return spread(step, next_slot), next_slot + 3
    if isinstance(step, Group):
        return _group(program, step, shared, schedule, next_slot)
    if isinstance(step, Finished):
        nest = Nest(program, step.kernel, shared, schedule, next_slot + 2, alone=False, lane=step.columns)
        return product(step.product, next_slot, nest.row_lines("row")), nest.next_slot
    nest = Nest(program, collapse(step), shared, schedule, next_slot)
    return nest.lines(), nest.next_slot


def _group(
    program: Program, group: Group, shared: set[str], schedule: Schedule, next_slot: int
) -> tuple[list[str], int]:
    """A parallel loop over pieces, the kernels inside it one after the other; and the next free slot."""
    body: list[str] = []
    for name, piece in group.pieces.items():
        kind = MEMORY[program.buffers[name].dtype]
        body.append(f"{kind}* __restrict {name} = scratch<{kind}>({next_slot}, {cpp(piece)});")
        next_slot += 1
    for kernel in group.kernels:
        if isinstance(kernel, Product):
            body += product_of_piece(kernel, group.pieces, next_slot)
            next_slot += 2
            continue
        nest = Nest(program, collapse(kernel), shared | set(group.pieces), schedule, next_slot, alone=False)
        body += nest.lines()
        next_slot = nest.next_slot
    places = unravelled("piece", group.axes)
    total = cpp(sympy.expand(ix.product(axis.size for axis in group.axes)))
    return [
        "#pragma omp parallel for schedule(static) num_threads(threads)",
        f"for (int64_t piece = 0; piece < {total}; piece++) {{",
        *("  " + line for line in (*places, *body)),
        "}",
    ], next_slot


def symbols_of(program: Program, kernels: Sequence[Step]) -> set[sympy.Symbol]:
    """Every symbol in the steps: sizes, loops and what is looked up."""
    found: set[sympy.Symbol] = set()
    for buffer in program.buffers.values():
        for size in (*buffer.shape, *buffer.stride):
            found |= size.free_symbols
    for kernel in kernels:
        if isinstance(kernel, Group):
            for axis in kernel.axes:
                found |= axis.size.free_symbols
    for kernel in parts(kernels):
        if not isinstance(kernel, Kernel):
            continue
        for step in kernel.steps:
            found |= step.target.free_symbols
            for load in loads_in(step.target):
                found |= load.offset.free_symbols
            for axis in step.axes:
                found |= axis.size.free_symbols
            for one in walk(step.body):
                where = one.value if isinstance(one, Position) else getattr(one, "offset", None)
                if where is not None:
                    found |= where.free_symbols
    return found


IN_A_PLAN = "in{index}.shape[{dim}]"
"""Where a size of an input stands in a launch plan, for `size_places`."""


def size_places(program: Program, form: str) -> dict[sympy.Symbol, str]:
    """For each of the task's sizes where it stands: `form` has the places {index} of an input and {dim}."""
    found: dict[sympy.Symbol, str] = {}
    for buffer in program.buffers.values():
        if buffer.place is Place.INPUT:
            for dim, size in enumerate(buffer.shape):
                if size.is_Symbol and size not in found:
                    found[size] = form.format(index=buffer.index, dim=dim)
    return found


def _checks(program: Program, symbols: dict[sympy.Symbol, str]) -> list[str]:
    """Calls that this kernel was not written for are refused: other sizes than the graph's, other strides."""
    lines = []
    for buffer in program.buffers.values():
        if buffer.place is not Place.INPUT:
            continue
        place = f"call->inputs[{buffer.index}]"
        for dim, (size, stride) in enumerate(zip(buffer.shape, buffer.stride, strict=True)):
            if symbols.get(size) != f"{place}.shape[{dim}]":
                lines.append(f"if ({place}.shape[{dim}] != {cpp(size)}) return 1;")
            if size != 1:
                lines.append(f"if ({place}.shape[{dim}] > 1 && {place}.stride[{dim}] != {cpp(stride)}) return 1;")
    return lines


def _headers(kernels: Sequence[Step], schedule: Schedule) -> tuple[Path, ...]:
    """What the steps call, each header once."""
    found: dict[Path, None] = {}
    for one in parts(kernels):
        if isinstance(one, Product):
            found |= {MULTIPLY: None}
        elif isinstance(one, Convolution):
            found |= {WINOGRAD if filtering(one, schedule) else CONVOLVE: None}
        elif isinstance(one, Spread):
            found |= {MULTIPLY: None, SPREAD: None}
    return (PRELUDE, TILE, *found) if found else (PRELUDE,)


def shared_between(program: Program, kernels: Sequence[Step]) -> set[str]:
    """Temporaries that live between kernels, those of a group aside."""
    users: dict[str, set[int]] = {}
    pieces = {name for kernel in kernels if isinstance(kernel, Group) for name in kernel.pieces}
    for number, kernel in enumerate(parts(kernels)):
        for name in buffers_of(kernel) - pieces:
            users.setdefault(name, set()).add(number)
    return {name for name, where in users.items()
            if len(where) > 1 and program.buffers[name].place is Place.TEMPORARY}  # fmt: skip


def _is_real(buffer: Buffer, shared: set[str]) -> bool:
    return buffer.place is not Place.TEMPORARY or buffer.name in shared


def _pointer(buffer: Buffer, slots: dict[str, int]) -> str:
    kind = MEMORY[buffer.dtype]
    if buffer.place is Place.NUMBER:
        return f"const {kind} {buffer.name}[1] = {{static_cast<{kind}>(call->scalars[{buffer.index}])}};"
    if buffer.place is Place.TEMPORARY:
        size = cpp(sympy.expand(ix.product(buffer.shape)))
        return f"{kind}* __restrict {buffer.name} = scratch<{kind}>({slots[buffer.name]}, {size});"
    reader = {Place.INPUT: "in", Place.WEIGHT: "weight", Place.OUTPUT: "out"}[buffer.place]
    const = "" if buffer.place is Place.OUTPUT else "const "
    return f"{const}{kind}* __restrict {buffer.name} = assay_{reader}<{kind}>(call, {buffer.index});"
