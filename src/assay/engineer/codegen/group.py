"""Kernels that work on one piece at a time: padding and pooling by planes, so that the padded plane stays in cache.

Neighbouring kernels whose first axes are the same are run inside one loop over these, and a temporary that only they
use shrinks to one piece, which every thread has for itself. Batched products over the same axes join in: an attention's
scores never leave the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.fuse import Kernel, kernel_onto, run_of
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Place, Product, Program, Routine, Statement
from assay.engineer.codegen.scalars import Load, loads, loads_in, relocated, target_relocated

_LARGEST_PIECE_BYTES = 512 << 10
"""Half of a second-level cache of 1 MB; others have 2."""
_FEWEST_PIECES = 8
"""Fewer leave threads idle."""
_LONGEST = 16
"""Kernels of a group: an attention's backward has 12. A training step has 200, and trying every run took minutes."""


@dataclass(slots=True)
class Group:
    """Kernels inside one loop over `axes`; theirs are the rest. `pieces` are the sizes of temporaries within."""

    axes: tuple[Loop, ...]
    kernels: list[Kernel | Product]
    pieces: dict[str, Size]


def grouped(program: Program, kernels: list[Kernel | Routine]) -> list[Kernel | Routine | Group]:
    """The same kernels, neighbours in groups where that keeps a temporary in cache."""
    found: list[Kernel | Routine | Group] = []
    users: dict[str, set[int]] = {}
    for number, kernel in enumerate(kernels):
        for name in buffers_of(kernel):
            users.setdefault(name, set()).add(number)
    place = 0
    while place < len(kernels):
        group, count = None, 1
        for end in range(min(len(kernels), place + _LONGEST), place + 1, -1):
            several = kernels[place:end]
            plain = [one for one in several if isinstance(one, (Kernel, Product))]
            own = {name for name, where in users.items() if where <= set(range(place, end))}
            if len(plain) == len(several) and (group := _group(program, plain, own)):
                count = end - place
                break
        found.append(group or kernels[place])
        place += count
    return found


def buffers_of(kernel: Kernel | Routine) -> set[str]:
    """All that a kernel reads or fills."""
    if not isinstance(kernel, Kernel):
        return set(kernel.buffers)
    return {name for step in kernel.steps for name in (
        step.buffer, *(one.buffer for one in loads(step.body)), *(one.buffer for one in loads_in(step.target)),
    )}  # fmt: skip


def _filled(kernel: Kernel | Product) -> set[str]:
    return {step.buffer for step in kernel.steps} if isinstance(kernel, Kernel) else {kernel.buffer}


def _group(program: Program, kernels: list[Kernel | Product], own: set[str]) -> Group | None:
    """The group over as many common axes as possible; None where no temporary gains by it.

    `own` are the buffers that nothing else uses.
    """
    used = [buffers_of(kernel) for kernel in kernels]
    passed = {name for kernel in kernels for name in _filled(kernel) if sum(name in names for names in used) > 1}
    crossing = {name for name in passed & own if program.buffers[name].place is Place.TEMPORARY}
    if not crossing:
        return None
    kernels = _split_alike(kernels)
    nests = [kernel for kernel in kernels if isinstance(kernel, Kernel)]
    if not nests:
        return None
    for count in range(_common(nests), 0, -1):
        axes = nests[0].axes[:count]
        moved = [_onto(kernel, axes) if isinstance(kernel, Kernel) else kernel for kernel in kernels]
        found = _pieces(program, moved, axes, passed)
        pieces = {name: size for name, size in found.items() if name in crossing} if found is not None else None
        if pieces is not None and _is_worth_it(program, axes, pieces):
            inner = [_within(kernel, axes, pieces) if isinstance(kernel, Kernel) else kernel for kernel in moved]
            return Group(axes, inner, pieces)
    return None


def _split_alike(kernels: list[Kernel | Product]) -> list[Kernel | Product]:
    """With a first axis that is two or more of another kernel's first axes split into such."""
    found = list(kernels)
    for place, kernel in enumerate(kernels):
        for other in kernels:
            if not (isinstance(kernel, Kernel) and isinstance(other, Kernel) and kernel.axes):
                continue
            first = kernel.axes[0]
            several = run_of(first.size, other.axes)
            whole = all(first in step.axes and first not in step.reduced for step in kernel.steps)
            if several and whole:
                found[place] = kernel_onto(kernel, {first: tuple(Loop("i", axis.size) for axis in several)})
                break
    return found


def _common(kernels: list[Kernel]) -> int:
    """How many first axes all kernels share, none of them reduced and every statement over all of them."""
    count = 0
    for several in zip(*(kernel.axes for kernel in kernels), strict=False):
        if not all(ix.same(axis.size, several[0].size) for axis in several):
            break
        statements = ((axis, step) for axis, kernel in zip(several, kernels, strict=True) for step in kernel.steps)
        if any(axis not in step.axes or axis in step.reduced for axis, step in statements):
            break
        count += 1
    return count


def _onto(kernel: Kernel, axes: tuple[Loop, ...]) -> Kernel:
    """The kernel with the group's own variables for its first axes."""
    return kernel_onto(kernel, {old: (new,) for old, new in zip(kernel.axes, axes, strict=False)})


def _pieces(
    program: Program, kernels: list[Kernel | Product], axes: tuple[Loop, ...], passed: set[str]
) -> dict[str, Size] | None:
    """For each buffer that kernels pass on the size of its piece; None where some access reaches into another piece."""
    pieces: dict[str, Size] = {}
    for kernel in kernels:
        if isinstance(kernel, Product):
            if not _product_pieces(kernel, axes, passed, pieces):
                return None
            continue
        for step in kernel.steps:
            read = (*loads(step.body), *loads_in(step.target))
            accesses = [(step.buffer, step.target), *((one.buffer, one.offset) for one in read)]
            for name, where in accesses:
                if name not in passed:
                    continue
                piece = where.coeff(axes[-1])
                if not _is_in_piece(where, axes, piece) or not ix.same(pieces.setdefault(name, piece), piece):
                    return None
    whole = ix.product(axis.size for axis in axes)
    fits = all(ix.same(whole * piece, ix.product(program.buffers[name].shape)) for name, piece in pieces.items())
    return pieces if fits else None


def _product_pieces(one: Product, axes: tuple[Loop, ...], passed: set[str], pieces: dict[str, Size]) -> bool:
    """Whether a product's batch is the group's axes; what it reads and fills of the temporaries joins `pieces`."""
    if not ix.same(one.batch, ix.product(axis.size for axis in axes)):
        return False
    sizes = {one.buffer: one.m * one.n, one.left: one.m * one.k, one.right: one.k * one.n}
    return all(ix.same(pieces.setdefault(name, size), size) for name, size in sizes.items() if name in passed)


def _is_in_piece(where: Size, axes: tuple[Loop, ...], piece: Size) -> bool:
    """Whether a position is the piece's number times its size, and a rest that knows nothing of the group's axes."""
    rest = where
    for place, axis in enumerate(axes):
        factor = sympy.expand(piece * ix.product(later.size for later in axes[place + 1 :]))
        if piece == 0 or not ix.same(where.coeff(axis), factor):
            return False
        rest = sympy.expand(rest - factor * axis)
    return not rest.has(*axes)


def _is_worth_it(program: Program, axes: tuple[Loop, ...], pieces: dict[str, Size]) -> bool:
    count = ix.hinted(ix.product(axis.size for axis in axes), program.hints)
    total = sum(ix.hinted(piece, program.hints) * program.buffers[n].dtype.size_bytes for n, piece in pieces.items())
    return count >= _FEWEST_PIECES and total <= _LARGEST_PIECE_BYTES


def _within(kernel: Kernel, axes: tuple[Loop, ...], pieces: dict[str, Size]) -> Kernel:
    """The kernel inside the group's loop: without its axes, and with pieces for temporaries."""
    zero: dict[Size, Size] = {axis: sympy.Integer(0) for axis in axes}

    def inside(one: Load) -> Size:
        return ix.replaced(one.offset, zero) if one.buffer in pieces else one.offset

    def inner(old: tuple[Loop, ...]) -> tuple[Loop, ...]:
        return tuple(axis for axis in old if axis not in axes)

    def changed(step: Statement) -> Statement:
        target = ix.replaced(step.target, zero) if step.buffer in pieces else step.target
        target = target_relocated(target, inside)
        return replace(step, axes=inner(step.axes), target=target, body=relocated(step.body, inside))

    return Kernel(inner(kernel.axes), kernel.reduced, [changed(step) for step in kernel.steps])
