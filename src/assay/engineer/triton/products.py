"""Matrix products on tensor cores, finished where they are computed: bias, activation, residual and scale.

Programs go over tiles in bands of GROUP rows of tiles, so that both operands are read again from L2 (the Triton
tutorial on matrix multiplication describes the order). What float32 is multiplied in is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen.finish import Finished
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.index import Loop, hinted
from assay.engineer.codegen.program import Place, Product, Program, Unsupported
from assay.engineer.triton.elements import Elements, Scope, label
from assay.engineer.triton.frame import Tile, unravelled
from assay.engineer.triton.operands import operands
from assay.engineer.triton.schedule import Schedule, power_of_two
from assay.engineer.triton.text import HALVES, size
from assay.engineer.triton.variants import Variant


class Precision(Enum):
    """What float32 operands are multiplied in; halves are exact products with sums in float32 either way."""

    IEEE = "ieee"
    """float32, without tensor cores."""
    TF32 = "tf32"
    """10 bits of each operand: a relative error of 2^-11 each, for tasks that grant it."""
    TF32X3 = "tf32x3"
    """Three products of parts of the operands: nearly float32, on tensor cores."""


_GROUP = 8
"""Rows of tiles in a band: 8 x 128 rows of 4096 halves are 8 MB, of an H100's 50 MB of L2."""


class ProductText:
    """Writes one product, with the kernel that finishes it."""

    def __init__(self, program: Program, step: Finished | Product, shared: set[str], precision: Precision) -> None:
        self._program, self._shared, self._precision = program, shared, precision
        self._product = step.product if isinstance(step, Finished) else step
        finish = step.kernel if isinstance(step, Finished) else Kernel((), ())
        self._finish, self._axes = finish, finish.axes or self._plain_axes()
        tile = Tile(self._axes[:-1], self._axes[-1:], (), False)
        self._elements = Elements(program, finish, tile)
        self._stored: dict[str, None] = {}
        self._dtype = program.buffers[self._product.left].dtype
        if self._dtype not in (DType.FLOAT32, *HALVES):
            raise Unsupported(f"a matrix product of {self._dtype.value}")

    @property
    def buffers(self) -> tuple[str, ...]:
        """What it reads and writes."""
        one = self._product
        used = [name for name in self._elements.used if name != one.buffer]
        return tuple(dict.fromkeys((one.left, one.right, *used, *self._stored)))

    def variants(self, schedule: Schedule) -> Iterator[Variant]:
        """One tile size for each kind of operand; few rows get a tile of few rows.

        Halves: 128 x 128 x 64 on 8 warps, whose sums take 64 registers of each thread and whose stages 32 KB each.
        float32 without tensor cores: 64 x 64 x 32 on 4 warps; with an inner 16 ptxas kept 96 registers and spilled.
        """
        one, halves = self._product, self._dtype in HALVES
        fast = halves or self._precision is not Precision.IEEE
        most, inner, warps = (128, 64 if halves else 32, 8) if fast else (64, 32, 4)
        hints = self._program.hints
        m = schedule.m or power_of_two(hinted(one.m, hints), 16, most)
        n = schedule.n or power_of_two(hinted(one.n, hints), 16, most)
        warps = schedule.product_warps or power_of_two(warps * m * n // (most * most), 1, warps)
        k = schedule.k or inner
        yield self._variant(m, n, k, warps, schedule.stages, widest=False)
        # Places of 64 bits take twice the registers.
        yield self._variant(min(m, 64 if fast else 32), min(n, 64), min(k, 32), 4, 2, narrow=False)

    def _variant(
        self, m: int, n: int, k: int, warps: int, stages: int, *, narrow: bool = True, widest: bool = True
    ) -> Variant:
        one = self._product
        tiles = f"cdiv({size(one.m, '')}, {m}) * cdiv({size(one.n, '')}, {n})"
        grid = tiles if one.batch == 1 else f"{size(one.batch, '')} * {tiles}"
        constants = {"M_TILE": m, "N_TILE": n, "K_TILE": k, "GROUP": _GROUP}
        return Variant("tiled", grid, constants, warps=warps, stages=stages, narrow=narrow, widest=widest)

    def tiled(self) -> list[str]:
        """The body."""
        one = self._product
        m, n, k = size(one.m), size(one.n), size(one.k)
        left, right = operands(self._program, one)
        lines = [
            "pid = tl.program_id(0)", "if WIDE:", "    pid = pid.to(tl.int64)",
            f"high = ({m} + M_TILE - 1) // M_TILE", f"wide = ({n} + N_TILE - 1) // N_TILE",
            "batch = pid // (high * wide)", "pid = pid % (high * wide)", "band = pid // (GROUP * wide)",
            "within_band = pid % (GROUP * wide)", "height = tl.minimum(GROUP, high - band * GROUP)",
            "m = (band * GROUP + within_band % height) * M_TILE + tl.arange(0, M_TILE)[:, None]",
            "n = within_band // height * N_TILE + tl.arange(0, N_TILE)[None, :]", "k = tl.arange(0, K_TILE)",
            f"a = {left.name} + {left.at} + m * {left.row} + k[None, :] * {left.column}",
            f"b = {right.name} + {right.at} + k[:, None] * {right.row} + n * {right.column}",
            "total = tl.full((M_TILE, N_TILE), 0, tl.float32)",
            f"for start in range(0, {k}, K_TILE):",
            f"    there = start + k < {k}",
            f"    x = tl.load(a, mask=(m < {m}) & there[None, :], other=0)",
            f"    y = tl.load(b, mask=there[:, None] & (n < {n}), other=0)",
            f'    total = tl.dot(x, y, total, input_precision="{self._precision.value}")',
            f"    a += K_TILE * {left.column}", f"    b += K_TILE * {right.row}",
            f"row = batch * {m} + m", f"inside = m < {m}", f"within = n < {n}", "both = inside & within",
            *unravelled("row", self._axes[:-1]), f"{self._axes[-1].name} = n",
        ]  # fmt: skip
        return [*lines, *self._finished()]

    def _finished(self) -> list[str]:
        one, scope = self._product, Scope()
        self._elements.finished[one.buffer] = "total"
        if self._program.buffers[one.buffer].place is not Place.TEMPORARY or one.buffer in self._shared:
            self._store(one.buffer, f"row * {size(one.n)} + n", "total", scope)
        for step in self._finish.steps:
            value = self._elements.value(step.body, scope)
            if self._program.buffers[step.buffer].place is not Place.TEMPORARY or step.buffer in self._shared:
                self._store(step.buffer, self._elements.place(step.target, scope), value, scope)
        return scope.lines

    def _store(self, buffer: str, place: str, value: str, scope: Scope) -> None:
        self._stored[buffer] = None
        where, what = (f"tl.broadcast_to({text}, (M_TILE, N_TILE))"
                       for text in (f"{label(self._program.buffers[buffer])} + {place}", value))  # fmt: skip
        scope.lines.append(f"tl.store({where}, {what}, mask=both)")

    def _plain_axes(self) -> tuple[Loop, ...]:
        one = self._product
        return Loop("i", sympy.expand(one.batch * one.m)), Loop("i", one.n)
