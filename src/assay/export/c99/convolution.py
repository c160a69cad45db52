"""A convolution at one position: as straight-line code of its non-zero weights, or as loops over tables.

Straight-line code is fastest and needs no index, but a product costs several bytes where a table's entry costs one to
four: the form is chosen by size, straight-line code being preferred while it is small.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from assay.export.c99.numerics import Numerics
from assay.export.c99.text import Text, smallest_unsigned, total
from assay.export.network import Array, Conv, Layer, Shape

_SMALL_BYTES = 1024
"""Straight-line code up to this size is taken even where a table would be smaller."""
_DENSE_LOOP_BYTES, _SPARSE_LOOP_BYTES = 80, 100
"""Of the loops themselves, on Thumb with -Os."""


class Form(Enum):
    """How the weights of a convolution appear in the program."""

    UNROLLED = "unrolled"
    """A statement for each weight that is not zero; zeros leave nothing."""
    DENSE = "dense"
    """A table of all weights, and loops."""
    SPARSE = "sparse"
    """Tables of the weights that are not zero and of where they look; no padding."""


def choose_form(layer: Layer, numerics: Numerics, *, is_edged: bool) -> Form:
    """The smallest by an estimate, or straight-line code where that is small."""
    assert isinstance(layer.operation, Conv)
    weight = layer.operation.weight
    count, entry = int(np.count_nonzero(weight)), numerics.weight_bytes
    reach = 1 if math.prod(layer.takes) < 1 << 8 else 2
    rows = len(weight) * numerics.sum_bytes
    sizes = {
        Form.UNROLLED: count * numerics.tap_bytes + len(weight) * 16,
        Form.DENSE: weight.size * entry + rows + _DENSE_LOOP_BYTES,
    }
    if not is_edged:
        sizes[Form.SPARSE] = count * (entry + reach) + rows + len(weight) * 2 + _SPARSE_LOOP_BYTES
    return Form.UNROLLED if sizes[Form.UNROLLED] <= _SMALL_BYTES else min(sizes, key=lambda form: sizes[form])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a convolution looks: the source's name and shape, and names that say at which position.

    `base` is an index that is added, of a window that lies inside. With `is_edged`, `y` and `x` are the position of the
    output, and the window may reach beyond the edge.
    """

    source: str
    shape: Shape
    base: str | int = 0
    y: str | int = 0
    x: str | int = 0
    is_edged: bool = False


class Convolution:
    """Writes one convolution at one position; `target` names the stored element of a channel, `a` is its sum."""

    def __init__(self, text: Text, numerics: Numerics, value: int, place: Place, form: Form | None = None) -> None:
        self._text, self._numerics, self._value, self._place = text, numerics, value, place
        self._layer = numerics.network.layers[value - 1]
        assert isinstance(self._layer.operation, Conv)
        self._conv = self._layer.operation
        self.form = form or choose_form(self._layer, numerics, is_edged=place.is_edged)
        if not self._conv.weight.any():
            self.form = Form.UNROLLED
        elif self.form is Form.SPARSE and place.is_edged:
            self.form = Form.DENSE

    def write(self, target: str, stride: int, offset: str | int) -> None:
        """The statements; channel c goes to target[c * stride + offset]."""
        if self.form is Form.UNROLLED:
            self._unrolled(target, stride, offset)
        else:
            self._looped(target, stride, offset)

    def _unrolled(self, target: str, stride: int, offset: str | int) -> None:
        text, conv, place = self._text, self._conv, self._place
        if place.is_edged:
            text.add(*self._edges())
        taps_of = [list(self._taps(channel)) for channel in range(len(conv.weight))]
        if not any(taps_of):
            text.add(*(f"(void){name};" for name in (place.source, place.base) if isinstance(name, str)))
        for channel, weight in enumerate(conv.weight):
            there = f"{target}[{total(channel * stride, (offset, 1))}]"
            bias = float(conv.bias[channel])
            constant = None if weight.any() else self._numerics.constant(self._value, bias)
            if constant is not None:
                text.add(f"{there} = {self._numerics.literal(constant)};")
                continue
            with text.block(""):
                text.add(f"{self._numerics.sum_type} a = {self._numerics.literal(bias)};")
                for guard, taps in taps_of[channel]:
                    sums = [f"a += {self._product(self._numerics.literal(w), at)};" for at, w in taps]
                    if guard:
                        with text.block(f"if ({guard})"):
                            text.add(*sums)
                    else:
                        text.add(*sums)
                self._store(there, channel)

    def _taps(self, channel: int) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Non-zero weights of a channel by the place in the window: when it lies inside, index and weight of each."""
        conv, (_, height, width) = self._conv, self._place.shape
        first = channel // (len(conv.weight) // conv.groups) * conv.weight.shape[1]
        for y, x in np.ndindex(*conv.window.size):
            found = [(c + first, float(w)) for c, w in enumerate(conv.weight[channel, :, y, x]) if w != 0]
            if not found:
                continue
            if self._place.is_edged:
                guard, inside = self._inside(y, x)
                if inside:
                    yield guard, [(total(c * height * width, (f"r{y}", 1), (f"c{x}", 1)), w) for c, w in found]
                continue
            dy, dx = conv.window.dilation
            yield "", [(total((self._place.base, 1), (c * height + y * dy) * width + x * dx), w) for c, w in found]

    def _edges(self) -> list[str]:
        """Row and column of each place in the window that has a weight: r0, r1, ..., c0, c1, ...; -1 is outside."""
        window, index = self._conv.window, self._text.index_type
        used = [(int(y), int(x)) for y, x in np.argwhere(self._conv.weight.any((0, 1))) if self._inside(y, x)[1]]
        lines = []
        for axis, (name, at) in enumerate((("r", self._place.y), ("c", self._place.x))):
            size, factor = self._place.shape[1 + axis], self._place.shape[2] if axis == 0 else 1
            for tap in sorted({place[axis] for place in used}):
                there = total((at, window.stride[axis]), tap * window.dilation[axis] - window.padding[axis])
                lines += _edge(f"{index} {name}{tap}", f"{name}{tap}", there, size, factor, self._reach(axis, tap),
                               window.circular)  # fmt: skip
        return lines

    def _reach(self, axis: int, tap: int) -> tuple[int, int]:
        """The least and the largest coordinate that a place in the window meets over all positions."""
        window = self._conv.window
        start = tap * window.dilation[axis] - window.padding[axis]
        return start, start + window.stride[axis] * (window.positions(self._place.shape)[axis] - 1)

    def _inside(self, y: int, x: int) -> tuple[str, bool]:
        """The condition under which a place in the window lies inside, and whether it ever does."""
        if self._conv.window.circular:
            return "", True
        guards = []
        for axis, (name, tap) in enumerate((("r", y), ("c", x))):
            least, most = self._reach(axis, tap)
            size = self._place.shape[1 + axis]
            if most < 0 or least >= size:
                return "", False
            if least < 0 or most >= size:
                guards.append(f"{name}{tap} >= 0")
        return " && ".join(guards), True

    def _product(self, weight: str, at: str) -> str:
        return self._numerics.product(weight, f"{self._place.source}[{at}]", self._layer.sources[0])

    def _store(self, there: str, channel: str | int) -> None:
        lines, expression = self._numerics.finish(self._value, channel)
        self._text.add(*lines, f"{there} = {expression};")

    def _looped(self, target: str, stride: int, offset: str | int) -> None:
        text, numerics, conv = self._text, self._numerics, self._conv
        names = {part: f"{numerics.name}_{part}_{self._value}" for part in ("weights", "biases", "places", "ends")}
        self._declare(names["biases"], numerics.bias_type, conv.bias)
        if self.form is Form.SPARSE:
            text.add(f"{text.index_type} t = 0;")
        with text.loop("o", len(conv.weight)) as channel:
            text.add(f"{numerics.sum_type} a = {names['biases']}[{channel}];")
            if self.form is Form.SPARSE:
                self._sparse_sum(names, channel)
            else:
                self._dense_sum(names["weights"], channel)
            self._store(f"{target}[{total((channel, stride), (offset, 1))}]", channel)

    def _sparse_sum(self, names: dict[str, str], channel: str | int) -> None:
        weights, places, ends = [], [], []
        for each in range(len(self._conv.weight)):
            for place, weight in self._flat_taps(each):
                places.append(place)
                weights.append(weight)
            ends.append(len(weights))
        self._declare(names["weights"], self._numerics.weight_type, np.array(weights))
        self._declare(names["places"], smallest_unsigned(max(places, default=0)), np.array(places, np.int64))
        self._declare(names["ends"], smallest_unsigned(ends[-1]), np.array(ends))
        at = total((self._place.base, 1), (f"{names['places']}[t]", 1))
        with self._text.block(f"for (; t < ({self._text.index_type}){names['ends']}[{channel}]; t++)"):
            self._text.add(f"a += {self._product(names['weights'] + '[t]', at)};")

    def _flat_taps(self, channel: int) -> list[tuple[int, float]]:
        conv, (_, height, width) = self._conv, self._place.shape
        first = channel // (len(conv.weight) // conv.groups) * conv.weight.shape[1]
        dy, dx = conv.window.dilation
        return [
            (((c + first) * height + y * dy) * width + x * dx, float(conv.weight[channel, c, y, x]))
            for c, y, x in (map(int, place) for place in np.argwhere(conv.weight[channel]))
        ]

    def _dense_sum(self, weights: str, channel: str | int) -> None:
        conv, text, place = self._conv, self._text, self._place
        self._declare(weights, self._numerics.weight_type, conv.weight.reshape(-1))
        inputs, (rows, columns) = conv.weight.shape[1], conv.window.size
        _, height, width = place.shape
        dy, dx = conv.window.dilation
        first: tuple[str | int, int] = (0, 0)
        if conv.groups > 1:
            per_group = len(conv.weight) // conv.groups
            first = (f"{channel} / {per_group}" if per_group > 1 else channel, inputs * height * width)
        with contextlib.ExitStack() as stack:
            i, u = (stack.enter_context(text.loop(name, count)) for name, count in (("i", inputs), ("u", rows)))
            if place.is_edged:
                self._edge_in_loop(stack, "r", u, 0)
            v = stack.enter_context(text.loop("v", columns))
            if place.is_edged:
                self._edge_in_loop(stack, "c", v, 1)
                at = total(first, (i, height * width), ("r", 1), ("c", 1))
            else:
                at = total((place.base, 1), first, (i, height * width), (u, dy * width), (v, dx))
            entry = total((channel, inputs * rows * columns), (i, rows * columns), (u, columns), (v, 1))
            text.add(f"a += {self._product(f'{weights}[{entry}]', at)};")

    def _edge_in_loop(self, stack: contextlib.ExitStack, name: str, tap: str | int, axis: int) -> None:
        """A coordinate, and the condition under which it lies inside."""
        window, text = self._conv.window, self._text
        size, factor = self._place.shape[1 + axis], self._place.shape[2] if axis == 0 else 1
        at = (self._place.y, self._place.x)[axis]
        there = total((at, window.stride[axis]), (tap, window.dilation[axis]), -window.padding[axis])
        reach = (self._reach(axis, 0)[0], self._reach(axis, window.size[axis] - 1)[1])
        lines = _edge(f"{text.index_type} {name}", name, there, size, factor, reach, window.circular)
        text.add(*lines)
        if not window.circular and (reach[0] < 0 or reach[1] >= size):
            stack.enter_context(text.block(f"if ({name} >= 0)"))

    def _declare(self, name: str, kind: str, numbers: Array) -> None:
        self._numerics.tables[name] = (kind, name, numbers)


def _edge(
    declared: str, name: str, there: str, size: int, factor: int, reach: tuple[int, int], circular: bool
) -> list[str]:
    """Lines that make a coordinate an index, wrapped or -1 where it lies outside."""
    if reach[0] >= 0 and reach[1] < size:
        return [f"const {declared} = {_times(there, factor)};"]
    lines = [f"{declared} = {there};"]
    if circular:
        lines += [f"{name} += {name} < 0 ? {size} : {name} >= {size} ? -{size} : 0;"]
        return [*lines, f"{name} *= {factor};"] if factor != 1 else lines
    return [*lines, f"{name} = {name} < 0 || {name} >= {size} ? -1 : {_times(name, factor)};"]


def _times(expression: str, factor: int) -> str:
    if factor == 1:
        return expression
    return f"({expression}) * {factor}" if " " in expression else f"{expression} * {factor}"
