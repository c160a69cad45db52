"""An integer network: int8 weights, activations of 8 or 16 bits, 32-bit sums, and no fraction anywhere.

After Jacob et al. (arXiv 1712.05877), with these choices: a scale for each output channel; no zero points, for values
that cannot be negative are unsigned instead, so that a zero weight costs nothing and padding is zero; and multipliers
of 15 bits applied in two halves, so that no product needs 64 bits, which small processors lack.

A sum `a`, proved to be below 2^30, becomes a value by `scale(a, m, s) = (a * m / 2^15 + 2^s / 2) / 2^s`, both divisions
rounding down. Sigmoid and tanh are tables over the sum as int8. All of it is what `integer_reference` computes too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from assay.errors import InputError
from assay.export.network import Activation, Add, Array, Conv, Kind, Layer, Network, Pool, PoolKind, Softmax
from assay.export.reference import activate, operate

SUM_LIMIT = 1 << 30
"""`scale` and the rounding in it stay below 2^31 for sums below this."""
FRACTION_BITS = 15
LARGEST_EXPONENTIAL = (1 << 15) - 1
"""Of softmax: 65,535 of them still have a sum of 31 bits, as has one times 32,767."""
_MOST_SHIFT = 30
_TABLE_REACH = {Kind.SIGMOID: 8.0, Kind.TANH: 4.0}
"""Beyond it they are within 0.0007 of their limits, a fifth of an 8-bit step."""


class Element(Enum):
    """How a value's elements are stored: (C type, least, largest)."""

    UINT8 = ("uint8_t", 0, 255)
    """What cannot be negative."""
    INT8 = ("int8_t", -128, 127)
    """Everything else."""
    INT16 = ("int16_t", -32768, 32767)
    """All activations where 16 bits are asked for, and what a decision is taken from."""

    @property
    def c_type(self) -> str:
        """Its name in C."""
        return self.value[0]

    @property
    def least(self) -> int:
        """The smallest value."""
        return self.value[1]

    @property
    def most(self) -> int:
        """The largest value."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Quantity:
    """The number q stands for q * scale."""

    element: Element
    scale: float

    def quantise(self, x: Array) -> Array:
        """Nearest integers, int64, within the element's range."""
        return np.clip(np.rint(np.asarray(x, np.float64) / self.scale), self.element.least, self.element.most).astype(
            np.int64
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """Multipliers and shifts of `scale`, one for each channel, or one for all."""

    multiplier: Array
    shift: Array


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a layer's sum goes through, in this order: weights of an addition's sources, rescale, slope, table, clamp.

    `slope` is a Rescale of negative values; `table` has 256 entries, of which entry 128 is for zero, or of a softmax
    those for 0, 1, ... below the largest. After a ReLU the clamp begins at zero.
    """

    out: Quantity
    rescale: Rescale | None = None
    sources: tuple[int, ...] = ()
    slope: Rescale | None = None
    table: Array | None = None
    is_rectified: bool = False

    @property
    def least(self) -> int:
        """Of the clamp."""
        return 0 if self.is_rectified else self.out.element.least


@dataclass(frozen=True, slots=True, eq=False)
class IntegerNetwork:
    """`network` has integer weights and biases; a step for each layer."""

    network: Network
    takes: Quantity
    steps: tuple[Step, ...]

    def quantity(self, value: int) -> Quantity:
        """Of a value."""
        return self.steps[value - 1].out if value else self.takes

    @property
    def output(self) -> Quantity:
        """Of the network's output."""
        return self.steps[-1].out


def quantise(network: Network, calibration: Array, *, bits: int = 8, binary: bool = False) -> IntegerNetwork:
    """The integer network, its ranges from calibration inputs [n, ...]; `binary` inputs are 0 and 1.

    Raises InputError for bits other than 8 and 16, and for what has no integer form.
    """
    if bits not in (8, 16):
        raise InputError("activations have no such width", value=str(bits), rule="8 or 16 bits")
    inputs = np.asarray(calibration, np.float64).reshape(-1, *network.takes)
    if not len(inputs) or not np.isfinite(inputs).all():
        raise InputError(
            "there is nothing to calibrate with", value=f"{len(inputs)} inputs", rule="finite example inputs"
        )
    takes = Quantity(Element.UINT8, 1.0) if binary else _input_quantity(inputs, bits)
    layers, steps, exact = [], list[Step](), [inputs]
    for value, layer in enumerate(network.layers, 1):
        sources = [exact[source].reshape(-1, *layer.takes) for source in layer.sources]
        sums = operate(layer, sources)
        exact.append(activate(layer.activation, sums))
        quantities = [steps[source - 1].out if source else takes for source in layer.sources]
        wanted = _Wanted(_element(network, value, layer, quantities, bits), sums, exact[-1])
        made, step = _layer(layer, quantities, wanted)
        layers.append(made)
        steps.append(step)
    return IntegerNetwork(replace(network, layers=tuple(layers)), takes, tuple(steps))


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """A layer's element, and what calibration saw before and after its activation."""

    element: Element
    sums: Array
    outputs: Array


def _input_quantity(inputs: Array, bits: int) -> Quantity:
    """Integers stay what they are."""
    element = Element.INT16 if bits == 16 else Element.UINT8 if inputs.min() >= 0 else Element.INT8
    fits = inputs.min() >= element.least and inputs.max() <= element.most
    return Quantity(element, 1.0) if fits and (inputs == np.rint(inputs)).all() else _quantity(element, inputs)


def _quantity(element: Element, seen: Array) -> Quantity:
    """The finest that reaches what was seen. What was always zero must not coarsen a sum that it is part of."""
    return Quantity(element, float(np.abs(seen).max()) / element.most or 2.0**-20)


def _element(network: Network, value: int, layer: Layer, quantities: list[Quantity], bits: int) -> Element:
    users = [network.layers[user - 1].operation for user in network.users(value)]
    if any(isinstance(user, Softmax) for user in users):
        return Element.INT8  # its table has 256 entries
    if bits == 16 or (network.decides and value == len(network.layers)):
        return Element.INT16
    kind = layer.activation.kind if layer.activation else None
    positive = isinstance(layer.operation, Softmax) or (
        not isinstance(layer.operation, Conv) and all(each.element is Element.UINT8 for each in quantities)
    )
    return Element.UINT8 if kind in (Kind.RELU, Kind.SIGMOID) or (positive and kind is not Kind.TANH) else Element.INT8


def _layer(layer: Layer, given: list[Quantity], wanted: _Wanted) -> tuple[Layer, Step]:
    match layer.operation:
        case Conv() as conv:
            integer, scales = _integer_conv(conv, given[0])
            return replace(layer, operation=integer), _step(layer.activation, scales, wanted)
        case Pool(kind=kind, window=window):
            narrow = given[0].element is not Element.INT16 or wanted.element is Element.INT16
            if kind is PoolKind.MAX and layer.activation is None and narrow:
                return layer, Step(given[0])
            count = window.size[0] * window.size[1] if kind is PoolKind.AVERAGE else 1
            if count * max(given[0].element.most, -given[0].element.least) >= SUM_LIMIT:
                raise InputError("the window is too large for an integer average", value=f"{count} places",
                                 rule="its sum has 30 bits")  # fmt: skip
            return layer, _step(layer.activation, np.array([given[0].scale / count]), wanted)
        case Add():
            return layer, _addition(layer.activation, given, wanted)
        case Softmax():
            if given[0].element is Element.INT16:
                raise InputError("a softmax right on the input has no integer form of 16 bits", value="Softmax",
                                 rule="its table has 256 entries", next_step="take 8 bits")  # fmt: skip
            below = np.arange(256) * given[0].scale
            table = np.rint(LARGEST_EXPONENTIAL * np.exp(-below)).astype(np.int64)
            return layer, Step(Quantity(wanted.element, 1 / wanted.element.most), table=table)


def _integer_conv(conv: Conv, given: Quantity) -> tuple[Conv, Array]:
    """Integer weights and biases, and the scale of each channel's sum."""
    largest = np.abs(conv.weight).max((1, 2, 3)).astype(np.float64)
    reach = max(given.element.most, -given.element.least)
    scales = np.where(largest > 0, largest / 127, np.maximum(np.abs(conv.bias), 1e-30) / (1 << 14) / given.scale)
    while True:
        weight = np.rint(conv.weight / scales[:, None, None, None]).astype(np.int64)
        bias = np.rint(conv.bias / (scales * given.scale))
        too_large = np.abs(weight).sum((1, 2, 3)) * reach + np.abs(bias) >= SUM_LIMIT
        if not too_large.any():
            return replace(conv, weight=weight, bias=bias.astype(np.int64)), scales * given.scale
        scales = np.where(too_large, 2 * scales, scales)


def _step(activation: Activation | None, scales: Array, wanted: _Wanted) -> Step:
    """From sums, a channel's unit being its scale, to the wanted element."""
    kind = activation.kind if activation else None
    if kind in _TABLE_REACH:
        reach = min(float(np.abs(wanted.sums).max()), _TABLE_REACH[kind]) or 1.0
        unit = max(reach / 127, float(scales.max()))
        out = Quantity(wanted.element, 1 / wanted.element.most)
        table = out.quantise(activate(activation, np.arange(-128, 128) * unit))
        return Step(out, rescale_by(scales / unit), table=table)
    out = _quantity(wanted.element, wanted.outputs)
    out = replace(out, scale=max(out.scale, float(scales.max())))  # nothing is finer than the sums
    return Step(out, rescale_by(scales / out.scale), slope=_slope(activation), is_rectified=kind is Kind.RELU)


def _addition(activation: Activation | None, given: list[Quantity], wanted: _Wanted) -> Step:
    """Both sources in one unit, of which their sum is a multiple; it fits as both factors are below 2^14."""
    unit = max(each.scale for each in given) / ((1 << 14) - 1)
    sources = tuple(round(each.scale / unit) for each in given)
    return replace(_step(activation, np.array([unit]), wanted), sources=sources)


def _slope(activation: Activation | None) -> Rescale | None:
    if activation is None or activation.kind is not Kind.LEAKY_RELU:
        return None
    if not 0 <= activation.slope < 1:
        raise InputError("the slope has no integer form", value=f"leaky_relu, slope {activation.slope}", rule="0 to 1")
    return rescale_by(np.array([activation.slope]))


def rescale_by(factors: Array) -> Rescale:
    """Multipliers of 15 bits and shifts for factors from 0 to 1."""
    found = []
    for factor in factors:
        shift = min(max(-math.frexp(factor)[1], 0), _MOST_SHIFT) if factor > 0 else 0
        found.append((min(round(factor * 2.0 ** (FRACTION_BITS + shift)), (1 << FRACTION_BITS) - 1), shift))
    return Rescale(np.array([one[0] for one in found]), np.array([one[1] for one in found]))
