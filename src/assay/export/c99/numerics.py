"""What differs between float and integer programs: types, literals, and how a sum becomes a value."""

from __future__ import annotations

import numpy as np

from assay.export.c99 import mathematics
from assay.export.c99.text import float_literal, smallest_unsigned
from assay.export.network import Array, Kind, Network
from assay.export.quantise import Element, IntegerNetwork, Rescale
from assay.export.reference import activate

AVR_TAP_BYTES = 34
"""Of one product in straight-line code on AVR, which adds 32 bits byte by byte; float takes about as many."""
Table = tuple[str, str, Array]
"""C type, name, numbers."""


class FloatNumerics:
    """float32 throughout."""

    sum_type, weight_type, bias_type = "float", "float", "float"
    weight_bytes, sum_bytes = 4, 4
    tap_bytes = 18
    """Of one product in straight-line code: two loads, two calls, a literal; on a core without float instructions."""

    def __init__(self, network: Network, name: str, tap_bytes: int | None = None) -> None:
        self.network, self.name, self.tap_bytes = network, name, tap_bytes or self.tap_bytes
        self.helpers: set[str] = set()
        self.tables: dict[str, Table] = {}

    def element(self, value: int) -> str:
        """float."""
        return "float"

    def element_bytes(self, value: int) -> int:
        """4."""
        return 4

    def literal(self, number: float) -> str:
        """With nine digits."""
        return float_literal(number)

    def product(self, weight: str, x: str, source: int) -> str:
        """weight * x."""
        return f"{weight} * {x}"

    def least(self, value: int) -> str:
        """Below all finite values."""
        return "-3.40282347e+38f"

    def constant(self, value: int, bias: float) -> float:
        """What a sum without products becomes."""
        return float(activate(self.network.layers[value - 1].activation, np.asarray(bias, np.float64)))

    def average(self, count: int) -> list[str]:
        """Statements that make the mean of the sum `a`."""
        return [f"a *= {float_literal(1 / count)};"]

    def addition(self, value: int, first: str, second: str) -> str:
        """The sum of two sources."""
        return f"{first} + {second}"

    def finish(self, value: int, channel: str | int) -> tuple[list[str], str]:
        """The activation."""
        activation = self.network.layers[value - 1].activation
        if activation is None:
            return [], "a"
        match activation.kind:
            case Kind.RELU:
                return [], "a > 0.0f ? a : 0.0f"
            case Kind.LEAKY_RELU:
                return [], f"a < 0.0f ? a * {float_literal(activation.slope)} : a"
            case Kind.SIGMOID:
                self.helpers |= {"exp", "sigmoid"}
                return [], f"{self.name}_sigmoid(a)"
            case Kind.TANH:
                self.helpers |= {"exp", "tanh"}
                return [], f"{self.name}_tanh(a)"


class IntegerNumerics:
    """Integers throughout, as `quantise` defines them."""

    sum_type, weight_type, bias_type = "int32_t", "int8_t", "int32_t"
    weight_bytes, sum_bytes = 1, 4
    tap_bytes = 8
    """Of one product in straight-line code: a load, a constant, a product, a sum, 2 bytes each on a Cortex-M0."""

    def __init__(self, integer: IntegerNetwork, name: str, tap_bytes: int | None = None) -> None:
        self.integer, self.network, self.name = integer, integer.network, name
        self.tap_bytes = tap_bytes or self.tap_bytes
        self.helpers: set[str] = set()
        self.tables: dict[str, Table] = {}

    def element(self, value: int) -> str:
        """As quantised."""
        return self.integer.quantity(value).element.c_type

    def element_bytes(self, value: int) -> int:
        """1 or 2."""
        return 2 if self.integer.quantity(value).element is Element.INT16 else 1

    def literal(self, number: float) -> str:
        """An integer."""
        return str(int(number)) if abs(number) < 1 << 15 else f"INT32_C({int(number)})"

    def product(self, weight: str, x: str, source: int) -> str:
        """weight * x; 8 bits by 8 bits fit an int of 16, as AVR has it."""
        wide = self.integer.quantity(source).element is Element.INT16
        return f"{weight} * (int32_t){x}" if wide else f"{weight} * {x}"

    def least(self, value: int) -> str:
        """Of the value's element."""
        return str(self.integer.quantity(value).element.least)

    def constant(self, value: int, bias: float) -> float | None:
        """Left to the compiler, which computes the same."""
        return None

    def average(self, count: int) -> list[str]:
        """Nothing: the count is in the multiplier."""
        return []

    def addition(self, value: int, first: str, second: str) -> str:
        """The sum of two sources in one unit."""
        weights = self.integer.steps[value - 1].sources
        return f"(int32_t){first} * {weights[0]} + (int32_t){second} * {weights[1]}"

    def finish(self, value: int, channel: str | int) -> tuple[list[str], str]:
        """Rescale, slope, table or clamp."""
        step = self.integer.steps[value - 1]
        lines = []
        if step.rescale is not None:
            lines.append(f"a = {self._scale(value, step.rescale, channel)};")
        if step.slope is not None:
            lines.append(f"a = a < 0 ? {self._scale(value, step.slope, 0)} : a;")
        kind = step.out.element
        if step.table is not None:
            self.helpers.add("clamp")
            name = f"{self.name}_curve_{value}"
            self.tables[name] = (kind.c_type, name, step.table)
            return lines, f"{name}[{self.name}_clamp(a, -128, 127) + 128]"
        if not lines:
            return lines, f"({kind.c_type})a"
        self.helpers.add("clamp")
        return lines, f"({kind.c_type}){self.name}_clamp(a, {step.least}, {kind.most})"

    def _scale(self, value: int, by: Rescale, channel: str | int) -> str:
        self.helpers.add("scale")
        numbers = []
        for kind, found in (("multiplier", by.multiplier), ("shift", by.shift)):
            if isinstance(channel, int) or (found == found[0]).all():
                numbers.append(str(found[channel if isinstance(channel, int) and found.size > 1 else 0]))
            else:
                name = f"{self.name}_{kind}_{value}"
                self.tables[name] = (smallest_unsigned(int(found.max())), name, found)
                numbers.append(f"{name}[{channel}]")
        return f"{self.name}_scale(a, {numbers[0]}, {numbers[1]})"


Numerics = FloatNumerics | IntegerNumerics
"""One arithmetic. `value` is the number of a value of the network; `finish` works on a sum called `a`."""
HELPERS = {"exp": mathematics.EXP, "sigmoid": mathematics.SIGMOID, "tanh": mathematics.TANH,
           "scale": mathematics.SCALE, "clamp": mathematics.CLAMP}  # fmt: skip
