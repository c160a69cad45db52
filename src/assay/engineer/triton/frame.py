"""Which axes a program's tile has, and how a program finds its place.

A tile has two dimensions: `first` axes by ROWS, `second` axes by BLOCK, each several axes as one. `apart` axes have one
place for each program. The second dimension is what a kernel reduces over, or the contiguous axis of a plain map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Loop, Size
from assay.engineer.codegen.program import Kind
from assay.engineer.codegen.scalars import axes_of, loads
from assay.engineer.triton.text import size

_SCATTERED, _NEAR = 4, 16
"""A load of a warp whose elements lie apart takes several lines of 128 bytes; up to 16 apart some of each is used."""
_SHORT = 32
"""Elements: a contiguous axis below that would leave most of a tile empty, so its neighbours are laid along with it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The axes of a tile; `looped` says that a program goes along all of the second dimension."""

    first: tuple[Loop, ...]
    second: tuple[Loop, ...]
    apart: tuple[Loop, ...]
    looped: bool

    @classmethod
    def of(cls, form: Form) -> Tile:
        """For a kernel in the form that its memory suggests."""
        kernel, lane, other = form.kernel, form.lane, form.other_axis
        if kernel.reduced:
            if form.by_lanes and lane is not None:
                return cls((lane,), kernel.reduced, tuple(a for a in kernel.outer if a != lane), True)
            return cls(kernel.outer, kernel.reduced, (), True)
        if other is not None and lane is not None:
            return cls((other,), (lane,), tuple(a for a in kernel.axes if a not in (other, lane)), False)
        if lane is None or lane != kernel.axes[-1] or form.hinted(lane.size) < _SHORT:
            return cls((), kernel.axes, (), False)
        return cls(kernel.axes[:-1], (lane,), (), False)

    @property
    def rows(self) -> Size:
        """Places along the first dimension."""
        return whole(self.first)

    @property
    def columns(self) -> Size:
        """Places along the second one."""
        return whole(self.second)

    def grid(self, rows: int, block: int) -> str:
        """How many programs a launch has, for its plan."""
        counts = [size(axis.size, "") for axis in self.apart]
        if self.first:
            counts.append(f"cdiv({size(self.rows, '')}, {rows})")
        if not self.looped and self.second:
            counts.append(f"cdiv({size(self.columns, '')}, {block})")
        return " * ".join(counts) or "1"

    def places(self) -> list[str]:
        """Lines that name this program's places: `row`, `inside`, the first and the separate axes.

        For a plain map `col`, `within`, `both` and the second axes too.
        """
        lines = ["pid = tl.program_id(0)", "if WIDE:", "    pid = pid.to(tl.int64)"]
        if not self.looped:
            tiles = f"(({size(self.columns)} + BLOCK - 1) // BLOCK)"
            lines += [f"col = pid % {tiles} * BLOCK + tl.arange(0, BLOCK)[None, :]", f"pid = pid // {tiles}"]
        if self.apart:
            tiles = f"(({size(self.rows)} + ROWS - 1) // ROWS)"
            lines += [f"row = pid % {tiles} * ROWS + tl.arange(0, ROWS)[:, None]",
                      *unravelled(f"pid // {tiles}", self.apart)]  # fmt: skip
        else:
            lines.append("row = pid * ROWS + tl.arange(0, ROWS)[:, None]")
        lines += [f"inside = row < {size(self.rows)}", *unravelled("row", self.first)]
        return lines if self.looped else [*lines, *self.columns_from("col")]

    def columns_from(self, column: str) -> list[str]:
        """Lines that name the second axes, from the number of a place along them."""
        count = size(self.columns)
        return [f"within = {column} < {count}", "both = inside & within", *unravelled(column, self.second)]


def contiguous_axis(kernel: Kernel) -> Loop | None:
    """The axis with the most accesses to memory that it makes contiguous, less those that it would scatter.

    As codegen/form.py has it, but for places that are only compared, such as a class with its number: nothing lies
    there.
    """
    where: set[Size] = set()
    for step in kernel.steps:
        if not set(kernel.reduced) - set(step.axes):
            where |= {one.offset for one in loads(step.body)}
            where |= {step.target} if step.kind is not Kind.REDUCE else set()
    votes: Counter[Loop] = Counter()
    for place in where:
        for axis in axes_of(place) & set(kernel.axes):
            apart = place.coeff(axis)
            near = apart.is_Integer and abs(apart) <= _NEAR
            votes[axis] += 1 if apart == 1 else -_SCATTERED // 2 if near else -_SCATTERED
    return max(kernel.axes, key=lambda axis: (votes[axis], axis == kernel.axes[-1])) if kernel.axes else None


def whole(axes: Sequence[Loop]) -> Size:
    """Places of all axes together."""
    return sympy.expand(ix.product(axis.size for axis in axes))


def unravelled(number: str, axes: Sequence[Loop]) -> list[str]:
    """The place along each axis, the last one fastest, of what has this number."""
    lines = []
    for left, axis in reversed(list(enumerate(axes))):
        count = size(axis.size)
        lines.append(f"{axis.name} = {number}" + (f" % {count}" if left else ""))
        number = f"{number} // {count}" if count[0] == "(" or count.isidentifier() or count.isdigit() else number
    return lines
