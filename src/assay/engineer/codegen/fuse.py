"""Which statements share a loop nest: a kernel's statements all run over the same axes, or over those not reduced.

So a softmax is one kernel over rows: the maximum, the sum and the quotient are passes over a row that stays in cache.
Sizes are compared as expressions; an axis that another statement has as two is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind, Program, Routine, Statement
from assay.engineer.codegen.rewrite import rewritten
from assay.engineer.codegen.scalars import loads, loads_in, moved, positions, rebuilt


@dataclass(slots=True)
class Kernel:
    """One loop nest.

    `axes` are in the order of the tensors; `reduced` are those that statements reduce over or scan along, in their
    order. Statements run over all axes or over the others only.
    """

    axes: tuple[Loop, ...]
    reduced: tuple[Loop, ...]
    steps: list[Statement] = field(default_factory=list)

    @property
    def outer(self) -> tuple[Loop, ...]:
        """The axes that are not reduced."""
        return tuple(axis for axis in self.axes if axis not in self.reduced)

    def producers(self, buffer: str) -> list[Statement]:
        """The statements here that fill a buffer."""
        return [step for step in self.steps if step.buffer == buffer]


def fuse(program: Program, *, apart: bool = False) -> list[Kernel | Routine]:
    """All of a program's steps in kernels, in an order that can be run; `apart` fuses nothing."""
    kernels: list[Kernel | Routine] = []
    for step in program.steps:
        if not isinstance(step, Statement):
            kernels.append(step)
            continue
        step = _split(_without_ones(step))
        step = replace(step, body=rewritten(step.body))
        if apart or not _joined(kernels, step):
            kernels.append(Kernel(step.axes, step.reduced, [step]))
    return kernels


def _joined(kernels: list[Kernel | Routine], step: Statement) -> bool:
    needed = {one.buffer for one in loads(step.body)} | {one.buffer for one in loads_in(step.target)}
    if step.kind is Kind.SCATTER:
        return False
    for number in range(len(kernels) - 1, -1, -1):
        kernel = kernels[number]
        if isinstance(kernel, Kernel):
            found = joined(kernel, step)
            if found is not None:
                kernels[number] = found
                return True
            made = {one.buffer for one in kernel.steps}
        else:
            made = {kernel.buffer}
        if needed & made:
            return False  # it must come after this one
    return False


def joined(kernel: Kernel, step: Statement) -> Kernel | None:
    """The kernel with one more statement, or None where the two do not fit together."""
    if any(one.kind is Kind.SCATTER for one in kernel.steps):
        return None
    outer_step = tuple(axis for axis in step.axes if axis not in step.reduced)
    trials = [(kernel.axes, step.axes)]
    if not step.reduced:
        trials.append((kernel.outer, step.axes))
    elif not kernel.reduced:
        trials.append((kernel.axes, outer_step))
    for ours, theirs in trials:
        found = _aligned(ours, theirs)
        if found is not None:
            merged = _merged(kernel, step, *found)
            if merged is not None:
                return merged
    return None


def _merged(
    kernel: Kernel, step: Statement, ours: dict[Loop, tuple[Loop, ...]], theirs: dict[Loop, tuple[Loop, ...]]
) -> Kernel | None:
    """Both rewritten onto common axes; the step's axes that took no part (reduced ones) come along."""
    step = onto(step, theirs)
    axes = tuple(part for axis in kernel.axes for part in ours.get(axis, (axis,)))
    reduced = tuple(part for axis in kernel.reduced for part in ours.get(axis, (axis,)))
    if step.reduced and set(step.axes) - set(axes):
        axes, reduced = step.axes, step.reduced  # the kernel's statements were about rows only
    elif step.reduced and reduced and set(step.reduced) != set(reduced):
        return None
    reduced = reduced or step.reduced
    if step.kind is Kind.SCAN and len(reduced) != 1:
        return None
    merged = Kernel(axes, reduced, [onto(one, ours) for one in kernel.steps])
    if any(one.kind is Kind.SCAN for one in merged.steps) and len(reduced) != 1:
        return None
    if not _reads_in_place(merged, step):
        return None
    merged.steps.append(step)
    return merged


def _reads_in_place(kernel: Kernel, step: Statement) -> bool:
    """Whether all that the step reads of the kernel's buffers is the element at its own place."""
    over_all = bool(set(step.axes) & set(kernel.reduced))
    for one in loads(step.body):
        for producer in kernel.producers(one.buffer):
            if not ix.same(producer.target, one.offset):
                return False
            full = producer.kind is not Kind.REDUCE and bool(set(producer.axes) & set(kernel.reduced))
            if full and not over_all:
                return False
    return True


def onto(step: Statement, parts: dict[Loop, tuple[Loop, ...]]) -> Statement:
    """The statement with axes replaced by others, one or several each."""
    changed = {axis: new for axis, new in parts.items() if new != (axis,)}
    if not changed:
        return step
    mapping: dict[Size, Size] = {
        axis: ix.flatten(new, ix.contiguous(tuple(one.size for one in new))) for axis, new in changed.items()
    }
    return replace(
        step,
        axes=tuple(part for axis in step.axes for part in parts.get(axis, (axis,))),
        reduced=tuple(part for axis in step.reduced for part in parts.get(axis, (axis,))),
        target=moved(step.target, mapping),
        body=rebuilt(step.body, mapping),
    )


def kernel_onto(kernel: Kernel, parts: dict[Loop, tuple[Loop, ...]]) -> Kernel:
    """All of a kernel with axes replaced by others, one or several each."""

    def renamed(axes: tuple[Loop, ...]) -> tuple[Loop, ...]:
        return tuple(part for axis in axes for part in parts.get(axis, (axis,)))

    return Kernel(renamed(kernel.axes), renamed(kernel.reduced), [onto(step, parts) for step in kernel.steps])


def _aligned(
    ours: Sequence[Loop], theirs: Sequence[Loop]
) -> tuple[dict[Loop, tuple[Loop, ...]], dict[Loop, tuple[Loop, ...]]] | None:
    """For each axis of either side the common axes that it becomes; None where the sizes do not match in order."""
    left: dict[Loop, tuple[Loop, ...]] = {}
    right: dict[Loop, tuple[Loop, ...]] = {}
    i = j = 0
    while i < len(ours) and j < len(theirs):
        if ix.same(ours[i].size, theirs[j].size):
            left[ours[i]] = right[theirs[j]] = (ours[i],)
            i, j = i + 1, j + 1
            continue
        several = run_of(ours[i].size, theirs[j:])
        if several:
            left[ours[i]] = several
            right.update({one: (one,) for one in several})
            i, j = i + 1, j + len(several)
            continue
        several = run_of(theirs[j].size, ours[i:])
        if not several:
            return None
        right[theirs[j]] = several
        left.update({one: (one,) for one in several})
        i, j = i + len(several), j + 1
    return (left, right) if i == len(ours) and j == len(theirs) else None


def run_of(size: Size, axes: Sequence[Loop]) -> tuple[Loop, ...]:
    """The first axes whose sizes multiply to `size`; empty where none do."""
    total: Size = sympy.Integer(1)
    for count, axis in enumerate(axes, start=1):
        total *= axis.size
        if count > 1 and ix.same(total, size):
            return tuple(axes[:count])
    return ()


def _split(step: Statement) -> Statement:
    """Axes that positions divide, as two each: a loop over quotients and one over remainders need no division."""
    while (found := _divided(step)) is not None:
        axis, divisor = found
        parts = (Loop("i", ix.floor_div(axis.size, divisor)), Loop("i", divisor))
        step = onto(step, {axis: parts})
    return step


def _divided(step: Statement) -> tuple[Loop, Size] | None:
    """An axis and what it is divided by without rest; a scan's own axis has to stay whole."""
    free = set(step.axes) - (set() if step.kind in (Kind.MAP, Kind.REDUCE) else set(step.reduced))
    for where in (step.target, *positions(step.body)):
        for one in sorted(where.atoms(ix.FloorDiv, ix.Modulo), key=str):
            axis, divisor = one.args
            if axis in free and not divisor.atoms(Loop, ix.Lookup):
                count = ix.floor_div(axis.size, divisor)
                if count != 1 and ix.same(count * divisor, axis.size):
                    return axis, divisor
    return None


def _without_ones(step: Statement) -> Statement:
    """Axes of size one are no loops."""
    ones: dict[Size, Size] = {axis: sympy.Integer(0) for axis in step.axes if axis.size == 1}
    if not ones:
        return step
    return replace(
        step,
        axes=tuple(axis for axis in step.axes if axis not in ones),
        reduced=tuple(axis for axis in step.reduced if axis not in ones),
        target=moved(step.target, ones),
        body=rebuilt(step.body, ones),
    )


def collapse(kernel: Kernel, apart: Loop | None = None) -> Kernel:
    """Neighbouring axes as one wherever every position allows it, `apart` excepted: fewer, longer loops."""
    place = 0
    while place + 1 < len(kernel.axes):
        first, second = kernel.axes[place], kernel.axes[place + 1]
        together = (first in kernel.reduced) == (second in kernel.reduced) and apart not in (first, second)
        found = _as_one(kernel, first, second) if together else None
        if found is None:
            place += 1
        else:
            kernel = found
    return kernel


def _as_one(kernel: Kernel, first: Loop, second: Loop) -> Kernel | None:
    """The kernel with two axes as one; None where some position is not linear in both, or skips between rows."""
    whole = Loop("i", sympy.expand(first.size * second.size))
    for step in kernel.steps:
        if (first in step.axes) != (second in step.axes):
            return None
        inside = (where for one in step.target.atoms(ix.Lookup) for where in positions(one.scalar))
        if not all(_is_one(where, first, second) for where in (step.target, *inside, *positions(step.body))):
            return None
    mapping: dict[Size, Size] = {first: sympy.Integer(0), second: whole}

    def axes(old: tuple[Loop, ...]) -> tuple[Loop, ...]:
        return tuple(whole if axis == second else axis for axis in old if axis != first)

    steps = [
        replace(step, axes=axes(step.axes), reduced=axes(step.reduced), target=moved(step.target, mapping),
                body=rebuilt(step.body, mapping))
        for step in kernel.steps
    ]  # fmt: skip
    return Kernel(axes(kernel.axes), axes(kernel.reduced), steps)


def _is_one(where: Size, first: Loop, second: Loop) -> bool:
    if not where.has(first, second):
        return True
    a, b = where.coeff(first), where.coeff(second)
    rest = sympy.expand(where - a * first - b * second)
    return not rest.has(first, second) and ix.same(a, sympy.expand(b * second.size))
