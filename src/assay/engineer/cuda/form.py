"""In which form one kernel's loops become threads, and how an element's value is written there.

Three forms: a plain map, where each thread has its elements; rows, where the contiguous axis is reduced and a row's
threads go along it side by side; columns, where it is not and neighbouring threads have neighbouring results. Nothing
is kept between passes over a row: what a later pass wants is computed again, from memory that is in cache by then.
"""

from __future__ import annotations

from enum import Enum

from assay.engineer.codegen.elements import Elements
from assay.engineer.codegen.form import Form
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import product
from assay.engineer.codegen.program import Kind, Program
from assay.engineer.codegen.scalars import Load, loads
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.codegen.scope import Scope
from assay.engineer.cuda.schedule import DeviceSchedule

BLOCK = 256
"""Threads of a block where nothing asks for another number: eight blocks fill a multiprocessor of 64 warps."""
WARP = 32
_PER_LANE = 8
"""Elements of a row that a thread should have before another warp joins it."""
_FULL = 1 << 17
"""Results at which one thread for each fills a GPU of 132 multiprocessors with 1,024 threads."""
_MOST_SLICES = 16


class Shape(Enum):
    """The three forms."""

    MAP = "map"
    """Nothing is reduced."""
    ROWS = "rows"
    """The threads of a row are neighbours along the reduced axes."""
    COLUMNS = "columns"
    """Neighbouring threads have neighbouring results."""


class DeviceForm(Form):
    """`shared` are the temporaries that have memory between kernels."""

    def __init__(self, program: Program, kernel: Kernel, shared: set[str], schedule: DeviceSchedule) -> None:
        super().__init__(program, kernel, shared, Schedule(loose=False, interleave=1, keep=schedule.keep))
        self.shape = Shape.MAP if not kernel.reduced else Shape.COLUMNS if self.by_lanes else Shape.ROWS
        if not kernel.outer:
            self.shape = Shape.ROWS if kernel.reduced else self.shape
        if any(step.kind is Kind.SCATTER for step in kernel.steps):
            self.shape = Shape.COLUMNS  # elements in their order, so that two runs add alike
        self.by_lanes = self.in_rows = False
        self.device = schedule
        self.lanes, self.slices = self._lanes(), self._slices()

    def _lanes(self) -> int:
        """Threads of a row."""
        if self.device.lanes:
            return self.device.lanes
        wanted = self.hinted(product(axis.size for axis in self.kernel.reduced)) // _PER_LANE
        lanes = WARP
        while lanes < wanted and lanes < 1024:
            lanes *= 2
        return lanes

    def _slices(self) -> int:
        """Threads of a column. A scan or a scatter goes in order, and has one."""
        if any(step.kind in (Kind.SCAN, Kind.SCATTER) for step in self.kernel.steps):
            return 1
        if self.device.slices:
            return self.device.slices
        results = self.hinted(product(axis.size for axis in self.kernel.outer))
        terms = self.hinted(product(axis.size for axis in self.kernel.reduced))
        slices = 1
        while slices < _MOST_SLICES and results * slices < _FULL and terms >= 4 * slices:
            slices *= 2
        return slices


class DeviceElements(Elements):
    """Writes values of one kernel; what another pass computed is computed again."""

    def _loaded(self, one: Load, scope: Scope) -> str:
        producers = self._form.kernel.producers(one.buffer)
        if producers and not self._form.is_real(one.buffer):
            step = producers[-1]
            over_rows = not set(step.axes) & set(self._form.kernel.reduced)
            again = step.kind is Kind.MAP and not (over_rows and self._form.kernel.reduced)
            if again and not self._is_here(step, scope):
                return self.value(step.body, scope)
        return super()._loaded(one, scope)

    def _prefetch(self, one: Load, scope: Scope) -> None:
        """Many warps hide what one processor has to foresee."""


def scanned_again(kernel: Kernel, form: Form) -> set[str]:
    """Buffers of scans that a later pass reads: these cannot be computed again, and need memory."""
    found = set()
    for step in kernel.steps:
        for one in loads(step.body):
            for producer in kernel.producers(one.buffer):
                late = form.levels[id(producer)] < form.levels[id(step)]
                if producer.kind is Kind.SCAN and late:
                    found.add(one.buffer)
    return found
