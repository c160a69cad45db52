"""Convolutions as products without unfolding: output channels by places, summed over channels for each tap of a window.

A tap's part of the sum is a product of its weights with the input as it lies, some places further on; so neighbouring
taps read what the last one left in the caches. Transposed ones gather too, so nothing is added atomically.
Weights are read with a step of a window, which is slower than a copy turned round would be; they are few, and stay in
L2. Fewer channels than a tile's leave a part of it empty.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import Size, hinted
from assay.engineer.codegen.program import Convolution, Program, Spread, Unsupported
from assay.engineer.triton.elements import label
from assay.engineer.triton.products import Precision
from assay.engineer.triton.schedule import Schedule, power_of_two
from assay.engineer.triton.text import HALVES, size
from assay.engineer.triton.variants import Variant


class ConvolutionText:
    """Writes one convolution, with its bias."""

    def __init__(self, program: Program, step: Convolution | Spread, precision: Precision) -> None:
        self._program, self._step, self._precision = program, step, precision
        self._dtype = program.buffers[step.source].dtype
        if self._dtype not in (DType.FLOAT32, *HALVES):
            raise Unsupported(f"a convolution in {self._dtype.value}")

    @property
    def buffers(self) -> tuple[str, ...]:
        """What it reads and writes."""
        one = self._step
        return tuple(name for name in (one.source, one.weight, one.bias, one.buffer) if name)

    def variants(self, schedule: Schedule) -> Iterator[Variant]:
        """The tiles of products: see products.py; rows are output channels, columns are places."""
        one, fast = self._step, self._dtype in HALVES or self._precision is not Precision.IEEE
        m = schedule.m or power_of_two(hinted(one.outs, self._program.hints), 16, 128 if fast else 64)
        n, k = schedule.n or (128 if fast else 64), schedule.k or (32 if fast else 16)
        k = min(k, power_of_two(hinted(one.channels, self._program.hints), 16, 64))
        yield self._variant(m, n, k, schedule.product_warps or (8 if fast and m > 64 else 4), widest=False)
        yield self._variant(min(m, 32), min(n, 64), min(k, 32), 4, narrow=False)

    def _variant(self, m: int, n: int, k: int, warps: int, *, narrow: bool = True, widest: bool = True) -> Variant:
        one = self._step
        places = size(ix.product(one.out_sizes), "")
        grid = f"{size(one.batch * one.groups, '')} * cdiv({size(one.outs, '')}, {m}) * cdiv({places}, {n})"
        return Variant("tiled", grid, {"M_TILE": m, "N_TILE": n, "K_TILE": k}, warps=warps, stages=2, narrow=narrow,
                       widest=widest)  # fmt: skip

    def tiled(self) -> list[str]:
        """The body."""
        one = self._step
        outs, channels, places = size(one.outs), size(one.channels), size(ix.product(one.out_sizes))
        names = {name: label(self._program.buffers[name]) for name in self.buffers}
        return [
            "pid = tl.program_id(0)", "if WIDE:", "    pid = pid.to(tl.int64)",
            f"high, wide = ({outs} + M_TILE - 1) // M_TILE, ({places} + N_TILE - 1) // N_TILE",
            f"group, image = pid // (high * wide) % {one.groups}, pid // (high * wide) // {one.groups}",
            "m = pid % (high * wide) // wide * M_TILE + tl.arange(0, M_TILE)",
            "n = pid % (high * wide) % wide * N_TILE + tl.arange(0, N_TILE)", "k = tl.arange(0, K_TILE)",
            *self._places(),
            "total = tl.full((M_TILE, N_TILE), 0, tl.float32)",
            f"for t in range(0, {self._taps}):",
            *("    " + line for line in self._tap()),
            f"    for start in range(0, {channels}, K_TILE):",
            "        c = start + k",
            f"        weights = {names[one.weight]} + {self._weight()} * {self._taps} + t",
            f"        a = tl.load(weights, mask=(m < {outs})[:, None] & (c < {channels})[None, :], other=0)",
            f"        inputs = {names[one.source]} + {self._channel()}[:, None] + place[None, :]",
            f"        b = tl.load(inputs, mask=(c < {channels})[:, None] & seen[None, :], other=0)",
            f'        total = tl.dot(a, b, total, input_precision="{self._precision.value}")',
            *self._biased(names, outs),
            f"rows = (image * {one.groups} + group) * {outs} + m",
            f"result = {names[one.buffer]} + rows[:, None] * {places} + n[None, :]",
            f"tl.store(result, total, mask=(m < {outs})[:, None] & (n < {places})[None, :])",
        ]  # fmt: skip

    @property
    def _taps(self) -> int:
        one = self._step
        return len(one.taps) if isinstance(one, Convolution) else int(ix.product(one.window))

    def _biased(self, names: dict[str, str], outs: str) -> list[str]:
        if self._step.bias is None:
            return []
        where = f"{names[self._step.bias]} + group * {outs} + m"
        return [f"total += tl.load({where}, mask=m < {outs}, other=0).to(tl.float32)[:, None]"]

    def _places(self) -> list[str]:
        """Where each output lies along the three dimensions."""
        _, rows, width = (size(x) for x in self._step.out_sizes)
        return [f"z, y, x = n // ({rows} * {width}), n // {width} % {rows}, n % {width}"]

    def _tap(self) -> list[str]:
        """What all outputs see of one channel at tap t: `place` within the channel, and whether it is `seen`."""
        one, places = self._step, size(ix.product(self._step.out_sizes))
        if isinstance(one, Convolution):
            shift = size(one.taps[0])
            for number, tap in enumerate(one.taps[1:], start=1):
                shift = f"tl.where(t == {number}, {size(tap)}, {shift})"
            return [f"place = (z * {size(one.rows)} + y) * {size(one.width)} + x + {shift}", f"seen = n < {places}"]
        _, high, wide = (int(w) for w in one.window)
        parts = (f"t // {high * wide}", f"t // {wide} % {high}", f"t % {wide}")
        numbers = zip("zyx", parts, one.pad, one.dilation, strict=True)
        lines = [f"{axis}s = {axis} + {pad} - ({part}) * {far}" for axis, part, pad, far in numbers]
        _, rows, width = (size(n) for n in one.sizes)
        inside = (f"({axis}s >= 0) & ({axis}s < {size(n)})" for axis, n in zip("zyx", one.sizes, strict=True))
        return [*lines, f"place = (zs * {rows} + ys) * {width} + xs", f"seen = (n < {places}) & {' & '.join(inside)}"]

    def _channel(self) -> str:
        """Where channel c of this image and group begins."""
        one = self._step
        step: Size = one.channel_step if isinstance(one, Convolution) else ix.product(one.sizes)
        return f"(((image * {one.groups} + group) * {size(one.channels)} + c) * {size(sympy.expand(step))})"

    def _weight(self) -> str:
        """The number of the window of weights for outputs m and channels c."""
        one = self._step
        outs, channels = size(one.outs), size(one.channels)
        if isinstance(one, Convolution):
            return f"((group * {outs} + m)[:, None] * {channels} + c[None, :])"
        return f"((group * {channels} + c)[None, :] * {outs} + m[:, None])"
