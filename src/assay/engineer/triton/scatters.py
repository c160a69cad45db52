"""Scatters as reductions: every target gathers what is addressed to it, so the order of its sum is fixed.

An atomic addition would be faster where few targets have many sources each, and its bits would differ from run to run.
Here a target's program reads all places (8 bytes each, from L2), but only the rows that are addressed to it.
Where several sources set one target the last one wins; PyTorch leaves that open.
"""

from __future__ import annotations

from dataclasses import replace

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.fuse import onto
from assay.engineer.codegen.index import Lookup, Loop, Size
from assay.engineer.codegen.program import Buffer, Kind, Place, Program, Statement, Unsupported
from assay.engineer.codegen.scalars import Scalar, axes_of, call, constant, load, position, rebuilt


def without_scatters(program: Program) -> Program:
    """The same program, every scatter a reduction and a map; changes the given one."""
    steps, program.steps = program.steps, []
    for step in steps:
        if isinstance(step, Statement) and step.kind is Kind.SCATTER:
            _gathered(program, step)
        else:
            program.steps.append(step)
    return program


def _gathered(program: Program, step: Statement) -> None:
    """What fills the buffer before goes to a buffer of its own, and is put together with the sources at the end."""
    filled = program.buffers[step.buffer]
    dim = _addressed(step, filled)
    base = _temporary(program, filled.shape, filled.dtype)
    program.steps = [
        replace(one, buffer=base.name) if isinstance(one, Statement) and one.buffer == step.buffer else one
        for one in program.steps
    ]
    (along,) = step.reduced
    axes = tuple(Loop("i", size) for size in filled.shape)
    target, others = axes[dim], (axis for d, axis in enumerate(axes) if d != dim)
    old = (axis for axis in step.axes if axis != along)
    step = onto(step, {was: (now,) for was, now in zip(old, others, strict=True)})
    (lookup,) = step.target.atoms(Lookup)
    place = ix.flatten(axes, filled.stride)
    here = call(DType.BOOL, "eq", lookup.scalar, position(DType.INT64, target))
    if step.operation == "sum":
        found = _temporary(program, filled.shape, filled.dtype)
        body = call(filled.dtype, "guarded", here, step.body, constant(filled.dtype, 0))
        made = call(filled.dtype, "add", load(filled.dtype, base.name, place), load(filled.dtype, found.name, place))
    else:
        found = _temporary(program, filled.shape, DType.INT64)
        number = call(DType.INT64, "add", position(DType.INT64, along), constant(DType.INT64, 1))
        body = call(DType.INT64, "where", here, number, constant(DType.INT64, 0))
        made = _chosen(step, along, load(DType.INT64, found.name, place), load(filled.dtype, base.name, place))
    operation = "sum" if step.operation == "sum" else "max"
    program.steps += [
        Statement(Kind.REDUCE, found.name, (*axes, along), place, body, operation, (along,)),
        Statement(Kind.MAP, filled.name, axes, place, made),
    ]


def _chosen(step: Statement, along: Loop, number: Scalar, base: Scalar) -> Scalar:
    """The source of a number that counts from one, or what was there where it is zero."""
    one = constant(DType.INT64, 1)
    place = call(DType.INT64, "maximum", call(DType.INT64, "sub", number, one), constant(DType.INT64, 0))
    wanted = rebuilt(step.body, {along: Lookup(place)})
    return call(base.dtype, "guarded", call(DType.BOOL, "ge", number, one), wanted, base)


def _addressed(step: Statement, filled: Buffer) -> int:
    """The dimension along which the targets are data.

    Raises Unsupported where targets are no rows along one dimension.
    """
    found = sorted(step.target.atoms(Lookup), key=str)
    if len(found) == 1 and len(step.reduced) == 1 and len(step.axes) == len(filled.shape):
        lookup, others = found[0], [axis for axis in step.axes if axis not in step.reduced]
        for dim in range(len(filled.shape)):
            rest = iter(others)
            at: list[Size] = [lookup if d == dim else next(rest) for d in range(len(filled.shape))]
            sizes = [size for d, size in enumerate(filled.shape) if d != dim]
            # An index of rows has no other sizes, so PyTorch has checked that the sources' are the targets'.
            alike = not axes_of(lookup) & set(others)
            alike = alike or all(ix.same(a.size, n) for a, n in zip(others, sizes, strict=True))
            if alike and ix.same(ix.flatten(at, filled.stride), step.target):
                return dim
    raise Unsupported("a scatter whose targets are no rows along one dimension")


def _temporary(program: Program, shape: tuple[Size, ...], dtype: DType) -> Buffer:
    name = f"t{len(program.buffers)}"
    program.buffers[name] = Buffer(name, shape, ix.contiguous(shape), dtype, Place.TEMPORARY)
    return program.buffers[name]
