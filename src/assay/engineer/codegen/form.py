"""In which form a kernel's loops are written: which axis is innermost, and in which pass each statement is computed.

Three forms: rows (the contiguous axis is reduced), lanes (it is not), and a plain map (nothing is reduced).
"""

from __future__ import annotations

from collections import Counter

from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Loop, Size, cpp, hinted
from assay.engineer.codegen.program import Kind, Place, Program, Statement
from assay.engineer.codegen.scalars import axes_of, loads, positions
from assay.engineer.codegen.schedule import Schedule

_SCATTERED = 4
"""A gather of a vector takes some four times as long as its load."""
_NEAR = 16
"""Elements from one to the next in the same or the next line: the others of the line are soon wanted too."""


class Form:
    """What the loops of one kernel look like. `shared` are the temporaries that have memory between kernels.

    `lane` is the innermost axis where it is not for the kernel to choose.
    """

    def __init__(
        self, program: Program, kernel: Kernel, shared: set[str], schedule: Schedule, lane: Loop | None = None
    ) -> None:
        self.program, self.kernel, self.schedule, self._shared = program, kernel, schedule, shared
        self.lanes = schedule.lanes
        self.lane = lane or self._contiguous_axis()
        self.interleaved = self._is_interleaved(schedule.interleave)
        if self.interleaved:
            self.lane, self.lanes = kernel.outer[-1], schedule.interleave
        self.by_lanes = bool(kernel.reduced) and self.lane not in kernel.reduced
        self.in_rows = bool(kernel.reduced) and not self.by_lanes and self.lane is not None
        self.other_axis = self._other_contiguous_axis()
        self.levels = self._levelled()

    def array(self, step: Statement) -> str:
        """The name of a statement's value within the kernel."""
        number = next(n for n, other in enumerate(self.kernel.producers(step.buffer)) if other is step)
        return f"v_{step.buffer}" + (f"_{number}" if number else "")

    def is_real(self, buffer: str) -> bool:
        """Whether a buffer has memory beyond the kernel."""
        return self.program.buffers[buffer].place is not Place.TEMPORARY or buffer in self._shared

    def hinted(self, size: Size) -> int:
        """A size at the task's own axes."""
        return hinted(size, self.program.hints)

    def row_place(self) -> str:
        """Where the present element lies in a kept row."""
        place = "0"
        for axis in self.kernel.reduced:
            if axis != self.lane:
                place = f"({place}) * {cpp(axis.size)} + {axis.name}" if place != "0" else axis.name
        if self.by_lanes:
            return f"({place}) * {self.lanes} + lane"
        assert self.lane is not None
        return f"({place}) * {cpp(self.lane.size)} + {self.lane.name}" if place != "0" else self.lane.name

    def lane_loop(self, body: list[str]) -> list[str]:
        """A body for every element of a block of the contiguous axis."""
        assert self.lane is not None
        return [*([] if self.interleaved else ["#pragma omp simd"]), "for (int64_t lane = 0; lane < count; lane++) {",
                f"  const int64_t {self.lane.name} = first + lane;", *("  " + line for line in body), "}"]  # fmt: skip

    def _is_interleaved(self, rows: int) -> bool:
        """Whether several rows of a scan are done at once: lanes that are not neighbours, hence no vectors."""
        scans = any(step.kind is Kind.SCAN for step in self.kernel.steps)
        return rows > 1 and scans and self.lane in self.kernel.reduced and bool(self.kernel.outer)

    def _accesses(self) -> set[Size]:
        """Where the innermost loops read and write."""
        found: set[Size] = set()
        for step in self.kernel.steps:
            if not set(self.kernel.reduced) - set(step.axes):
                found |= {*([step.target] if step.kind is not Kind.REDUCE else []), *positions(step.body)}
        return found

    def _contiguous_axis(self) -> Loop | None:
        """The axis with the most accesses that it makes contiguous, less those that it would scatter.

        An access that does not depend on it costs nothing: it is the same for a whole vector.
        """
        if not self.kernel.axes:
            return None
        votes: Counter[Loop] = Counter()
        for where in self._accesses():
            for axis in axes_of(where) & set(self.kernel.axes):
                step = where.coeff(axis)
                near = step.is_Integer and abs(step) <= _NEAR
                votes[axis] += 1 if step == 1 else -_SCATTERED // 2 if near else -_SCATTERED
        last = self.kernel.axes[-1]
        return max(self.kernel.axes, key=lambda axis: (votes[axis], axis == last))

    def _other_contiguous_axis(self) -> Loop | None:
        """In a plain map the axis along which an access is contiguous that the lane scatters: a transposition's."""
        if self.kernel.reduced or self.lane is None:
            return None
        for where in sorted(self._accesses(), key=str):
            if self.lane in axes_of(where) and where.coeff(self.lane) != 1:
                others = [axis for axis in self.kernel.axes if axis != self.lane and where.coeff(axis) == 1]
                if others:
                    return others[0]
        return None

    def passes(self) -> list[list[Statement]]:
        """The statements of each pass, in order."""
        count = max(self.levels.values(), default=0) + 1
        return [[step for step in self.kernel.steps if self.levels[id(step)] == level] for level in range(count)]

    def _levelled(self) -> dict[int, int]:
        """For each statement the pass in which it is computed; those over rows only come before that pass."""
        levels: dict[int, int] = {}
        for step in self.kernel.steps:
            level = 0
            for one in loads(step.body):
                for producer in self.kernel.producers(one.buffer):
                    if id(producer) in levels:
                        later = producer.kind is Kind.REDUCE and bool(self.kernel.reduced)
                        level = max(level, levels[id(producer)] + later)
            levels[id(step)] = level
        return levels
