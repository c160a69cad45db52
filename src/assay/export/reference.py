"""A network computed with numpy: in float64, to compare with, and as intervals, for a bound on rounding errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.export.network import Activation, Add, Array, Conv, Kind, Layer, Network, Pool, PoolKind, Softmax, Window

UNIT = 2.0**-24
"""The largest relative error of one rounded float32 operation."""
MATH_ULPS = 8
"""What PyTorch's and the exported sigmoid, tanh and softmax may err by, in units of 2^-24 of the result's bound 1; the
exported ones stay below 4 on every float32 that a test tries."""


def compute(network: Network, inputs: Array) -> list[Array]:
    """Every value of the network in float64: the inputs [n, ...] first, the output last, each [n, c, h, w]."""
    values = [np.asarray(inputs, np.float64).reshape(-1, *network.takes)]
    for layer in network.layers:
        sources = [values[source].reshape(-1, *layer.takes) for source in layer.sources]
        values.append(activate(layer.activation, operate(layer, sources)))
    return values


def operate(layer: Layer, sources: list[Array]) -> Array:
    """A layer's operation without its activation."""
    match layer.operation:
        case Conv() as conv:
            return (
                convolve(sources[0], conv, conv.weight.astype(np.float64)) + conv.bias.astype(np.float64)[:, None, None]
            )
        case Pool(kind=kind, window=window):
            return pool(sources[0], kind, window)
        case Add():
            return sources[0] + sources[1]
        case Softmax():
            exponentials = np.exp(sources[0] - sources[0].max(1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(1, keepdims=True))


def activate(activation: Activation | None, x: Array) -> Array:
    """The activation of each element."""
    if activation is None:
        return x
    match activation.kind:
        case Kind.RELU:
            return np.maximum(x, 0)
        case Kind.LEAKY_RELU:
            return np.where(x < 0, activation.slope * x, x)
        case Kind.SIGMOID:
            return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
        case Kind.TANH:
            return np.asarray(np.tanh(x))


def windows(x: Array, window: Window, beyond: float = 0.0) -> Array:
    """x [n, c, h, w] as its windows [n, c, height, width of the window, height, width of the output]."""
    (top, left), (sy, sx), (dy, dx) = window.padding, window.stride, window.dilation
    edges = ((0, 0), (0, 0), (top, top), (left, left))
    padded = np.pad(x, edges, mode="wrap") if window.circular else np.pad(x, edges, constant_values=beyond)
    height, width = window.positions((x.shape[1], x.shape[2], x.shape[3]))
    taps = [
        padded[:, :, y * dy : y * dy + sy * (height - 1) + 1 : sy, z * dx : z * dx + sx * (width - 1) + 1 : sx]
        for y in range(window.size[0])
        for z in range(window.size[1])
    ]
    return np.stack(taps, 2).reshape(*x.shape[:2], *window.size, height, width)


def convolve(x: Array, conv: Conv, weight: Array) -> Array:
    """x [n, c, h, w] under the convolution's window and other weights, without bias; exact for integers."""
    seen = windows(x, conv.window)
    n, (height, width), groups = len(x), seen.shape[4:], conv.groups
    by_group = seen.reshape(n, groups, -1, height * width)
    products = np.matmul(weight.reshape(groups, weight.shape[0] // groups, -1), by_group)
    return np.asarray(products.reshape(n, weight.shape[0], height, width))


def pool(x: Array, kind: PoolKind, window: Window) -> Array:
    """x [n, c, h, w] pooled."""
    if kind is PoolKind.MAX:
        nothing = np.iinfo(x.dtype).min if np.issubdtype(x.dtype, np.integer) else -np.inf
        return np.asarray(windows(x, window, nothing).max((2, 3)))
    return np.asarray(windows(x, window).mean((2, 3)))


def rounding_bound(network: Network, least: Array, most: Array) -> float:
    """How far float32 arithmetic may be from the exact network, for any inputs between `least` and `most`.

    The usual running error analysis (Higham, Accuracy and Stability of Numerical Algorithms, section 3): a sum of n
    products errs by at most n + 2 units of the sum of their magnitudes, in whatever order it is added, fused or not;
    two units more cover weights that were folded and rounded. Magnitudes come from interval arithmetic.
    """
    low = [np.asarray(least, np.float64).reshape(1, *network.takes)]
    high, error = [np.asarray(most, np.float64).reshape(1, *network.takes)], [np.zeros((1, *network.takes))]
    for layer in network.layers:
        given = [(v[s].reshape(1, *layer.takes) for v in (low, high, error)) for s in layer.sources]
        bottom, top, wrong = _propagate(layer, [(a, b, c) for a, b, c in given])
        low.append(activate(layer.activation, bottom))
        high.append(activate(layer.activation, top))
        error.append(_after_activation(layer.activation, wrong, np.maximum(abs(bottom), abs(top))))
    return float(error[-1].max())


Interval = tuple[Array, Array, Array]


def _propagate(layer: Layer, given: list[Interval]) -> Interval:
    low, high, error = given[0]
    match layer.operation:
        case Conv(weight=weight, bias=bias) as conv:
            plus, minus = np.maximum(weight, 0).astype(np.float64), np.minimum(weight, 0).astype(np.float64)
            taps = weight[0].size + 4

            def apply(first: Array, second: Array) -> Array:
                return convolve(first, conv, plus) + convolve(second, conv, minus) + bias[:, None, None]

            magnitude = np.maximum(abs(low), abs(high)) + error
            products = convolve(magnitude, conv, plus - minus) + abs(bias)[:, None, None]
            return apply(low, high), apply(high, low), convolve(error, conv, plus - minus) + taps * UNIT * products
        case Pool(kind=kind, window=window):
            taps = window.size[0] * window.size[1] + 2 if kind is PoolKind.AVERAGE else 0
            worst: Callable[[Array], Array] = lambda x: pool(x, PoolKind.MAX, window)  # noqa: E731
            return (pool(low, kind, window), pool(high, kind, window),
                    worst(error) + taps * UNIT * worst(np.maximum(abs(low), abs(high)) + error))  # fmt: skip
        case Add():
            bottom, top, wrong = low + given[1][0], high + given[1][1], error + given[1][2]
            return bottom, top, wrong + UNIT * (np.maximum(abs(bottom), abs(top)) + wrong)
        case Softmax():
            # Its Jacobian's rows sum to a half at most; differences, sum and quotient are rounded too.
            spread = float((high.max() - low.min()) + 2 * error.max())
            wrong = np.full_like(error, error.max() + (MATH_ULPS + error.size + spread) * UNIT)
            return np.zeros_like(low), np.ones_like(high), wrong


def _after_activation(activation: Activation | None, error: Array, magnitude: Array) -> Array:
    """Slopes are at most 1, of the sigmoid a quarter."""
    if activation is None or activation.kind is Kind.RELU:
        return error
    if activation.kind is Kind.LEAKY_RELU:
        return np.asarray(max(1.0, abs(activation.slope)) * (error + 2 * UNIT * (magnitude + error)))
    return np.asarray((0.25 if activation.kind is Kind.SIGMOID else 1.0) * error + MATH_ULPS * UNIT)
