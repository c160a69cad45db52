"""The Triton of an attention."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.dtypes import DType
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.program import Place, Program, Unsupported
from assay.engineer.triton.attention import Attention
from assay.engineer.triton.elements import Elements, Scope, label
from assay.engineer.triton.frame import Tile, unravelled
from assay.engineer.triton.operands import operands
from assay.engineer.triton.products import Precision
from assay.engineer.triton.schedule import Schedule, power_of_two
from assay.engineer.triton.text import HALVES, MEMORY, size
from assay.engineer.triton.variants import Variant


class AttentionText:
    """Writes one attention, with what finishes it."""

    def __init__(self, program: Program, step: Attention, shared: set[str], precision: Precision) -> None:
        self._program, self._step, self._shared, self._precision = program, step, shared, precision
        kernel = step.kernel
        self._elements = Elements(program, Kernel((), ()), Tile(kernel.outer, kernel.reduced, (), False))
        self._stored: dict[str, None] = {}
        self._ends: list[Elements] = []
        self._dtype = program.buffers[step.first.left].dtype
        if self._dtype not in (DType.FLOAT32, *HALVES):
            raise Unsupported(f"an attention in {self._dtype.value}")

    @property
    def buffers(self) -> tuple[str, ...]:
        """What it reads and writes."""
        one = self._step
        inner = {one.first.buffer, one.second.buffer}
        used = [n for each in (self._elements, *self._ends) for n in each.used if n not in inner]
        return tuple(dict.fromkeys((one.first.left, one.first.right, one.second.right, *used, *self._stored)))

    def variants(self, schedule: Schedule) -> Iterator[Variant]:
        """Tiles of halves: 128 queries by 64 keys on 8 warps, whose sums of 64 values take 32 registers of a thread.

        float32 without tensor cores: 32 by 32 on 4 warps.
        """
        one, fast = self._step, self._dtype in HALVES or self._precision is not Precision.IEEE
        width, values = (power_of_two(int(n), 16, 256) for n in (one.first.k, one.second.n))
        m = schedule.m or (128 if fast and max(width, values) <= 128 else 64 if fast else 32)
        n = schedule.n or (64 if fast and max(width, values) <= 128 else 32)
        constants = {"M_TILE": m, "N_TILE": n, "WIDTH": width, "VALUES": values}
        grid = f"{size(one.first.batch, '')} * cdiv({size(one.first.m, '')}, {m})"
        warps = schedule.product_warps or (8 if m * max(width, values) >= 8192 else 4)
        yield Variant("tiled", grid, constants, warps=warps, stages=schedule.stages if fast else 2)

    def tiled(self) -> list[str]:
        """The body."""
        one = self._step
        (query, key), value = operands(self._program, one.first), operands(self._program, one.second)[1]
        m, n, d, e = (size(x) for x in (one.first.m, one.first.n, one.first.k, one.second.n))
        outer = Scope(lines=[
            "pid = tl.program_id(0)", "if WIDE:", "    pid = pid.to(tl.int64)",
            f"high = ({m} + M_TILE - 1) // M_TILE", "batch = pid // high",
            # The last queries see the most keys, so they begin first.
            "first = (high - 1 - pid % high) * M_TILE", "m = first + tl.arange(0, M_TILE)[:, None]",
            "k, j = tl.arange(0, WIDTH), tl.arange(0, VALUES)[None, :]",
            f"queries = {query.name} + {query.at} + m * {query.row} + k[None, :] * {query.column}",
            f"q = tl.load(queries, mask=(m < {m}) & (k < {d})[None, :], other=0)",
            'best = tl.full((M_TILE, 1), float("-inf"), tl.float32)', "total = tl.full((M_TILE, 1), 0, tl.float32)",
            "found = tl.full((M_TILE, VALUES), 0, tl.float32)",
            f"row = batch * {m} + m", f"inside = m < {m}", *unravelled("row", one.kernel.outer),
            f"end = {n}" if one.bound is None else f"end = tl.minimum({n}, first + M_TILE + {one.bound - 1})",
        ])  # fmt: skip
        inner = Scope(outer)
        inner.lines += [
            "n = start + tl.arange(0, N_TILE)[None, :]", f"within = n < {n}", "both = inside & within",
            f"{one.kernel.reduced[0].name} = n",
            f"keys = {key.name} + {key.at} + k[:, None] * {key.row} + n * {key.column}",
            f"x = tl.load(keys, mask=(k < {d})[:, None] & within, other=0)",
            f'score = tl.dot(q, x, input_precision="{self._precision.value}")',
        ]  # fmt: skip
        self._elements.finished[one.first.buffer] = "score"
        score = self._elements.value(one.score, inner)
        inner.lines += [
            f'weight = tl.where(within, {score}, float("-inf"))',
            "larger_one = tl.maximum(best, tl.max(weight, 1, keep_dims=True))",
            # Where nothing was seen so far both are -infinity, whose difference is no number.
            'largest = tl.where(larger_one == float("-inf"), 0.0, larger_one)',
            "weight = tl.exp(weight - largest)", "shrunk = tl.exp(best - largest)", "best = larger_one",
            "total = total * shrunk + tl.sum(weight, 1, keep_dims=True)",
            "place = start + tl.arange(0, N_TILE)[:, None]",
            f"values = {value.name} + {value.at} + place * {value.row} + j * {value.column}",
            f"y = tl.load(values, mask=(place < {n}) & (j < {e}), other=0)",
            f'found = tl.dot(weight.to({MEMORY[self._dtype]}), y, found * shrunk, '
            f'input_precision="{self._precision.value}")',
        ]  # fmt: skip
        lines = [*outer.lines, "for start in range(0, end, N_TILE):", *("    " + line for line in inner.lines)]
        lines.append("found = tl.div_rn(found, tl.broadcast_to(total, (M_TILE, VALUES)))")
        if one.zero:
            lines.append("found = tl.where(total == 0, 0.0, found)")
        return [*lines, f"within = j < {e}", "both = inside & within", *self._finished(e)]

    def _finished(self, columns: str) -> list[str]:
        one, scope = self._step, Scope()
        if self._is_real(one.second.buffer):
            self._store(one.second.buffer, f"row * {columns} + j", "found", scope)
        if one.finish is not None:
            axes = one.finish.axes
            elements = Elements(self._program, one.finish, Tile(axes[:-1], axes[-1:], (), False))
            self._ends.append(elements)
            elements.finished[one.second.buffer] = "found"
            scope.lines += [*unravelled("row", axes[:-1]), f"{axes[-1].name} = j"]
            for step in one.finish.steps:
                value = elements.value(step.body, scope)
                if self._is_real(step.buffer):
                    self._store(step.buffer, elements.place(step.target, scope), value, scope)
        return scope.lines

    def _is_real(self, buffer: str) -> bool:
        return self._program.buffers[buffer].place is not Place.TEMPORARY or buffer in self._shared

    def _store(self, buffer: str, place: str, value: str, scope: Scope) -> None:
        self._stored[buffer] = None
        where, what = (f"tl.broadcast_to({text}, (M_TILE, VALUES))"
                       for text in (f"{label(self._program.buffers[buffer])} + {place}", value))  # fmt: skip
        scope.lines.append(f"tl.store({where}, {what}, mask=both)")
