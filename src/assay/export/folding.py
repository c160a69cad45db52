"""What a network need not compute: scalings of channels, units that nothing uses, units that are constant.

Weights are combined in float64 and rounded once. A fully zero row is a constant; where every window lies inside its
source, it moves into the biases of the next layer. This is what makes fifty weights out of fifty non-zeros: a pruned
unit often has an input and no output, or the reverse.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assay.export.network import Array, Conv, Layer, Network
from assay.export.reference import activate


def fold(network: Network) -> Network:
    """The same function with less in it."""
    while True:
        smaller = _fold_scaling(network) or _fold_constants(network) or _drop_unused(network)
        if smaller is None:
            return network
        network = smaller


def _pairs(network: Network) -> list[tuple[int, Conv, int, Conv]]:
    """Convolutions one after the other, with nothing else between or beside them."""
    found = []
    for value, layer, conv in network.convolutions():
        source = layer.sources[0]
        before = network.layers[source - 1].operation if source else None
        if isinstance(before, Conv) and network.users(source) == [value] and layer.takes == network.shape(source):
            found.append((source, before, value, conv))
    return found


def _fold_scaling(network: Network) -> Network | None:
    for source, before, value, conv in _pairs(network):
        if network.layers[source - 1].activation is not None:
            continue
        if conv.scales_channels:
            scale = conv.weight.astype(np.float64)
            merged = replace(before, weight=_rounded(before.weight * scale.reshape(-1, 1, 1, 1)),
                             bias=_rounded(before.bias * scale.reshape(-1) + conv.bias))  # fmt: skip
            return _without(network, value, source, replace(network.layers[value - 1], operation=merged))
        shifts = before.bias.any() and conv.window.is_padded and not conv.window.circular
        if before.scales_channels and not shifts:
            merged = _shifted(replace(conv, weight=_by_input(conv, before.weight.reshape(-1))), conv, before.bias)
            return _without(network, value, source, replace(network.layers[value - 1], operation=merged))
    return None


def _without(network: Network, value: int, source: int, layer: Layer) -> Network:
    """Two layers as one, in the place of the second; it takes what the first took."""
    first = network.layers[source - 1]
    layers = list(network.layers)
    layers[value - 1] = replace(layer, sources=first.sources, takes=first.takes)
    del layers[source - 1]
    return replace(network, layers=tuple(
        replace(each, sources=tuple(s - (s >= source) for s in each.sources)) for each in layers))  # fmt: skip


def _fold_constants(network: Network) -> Network | None:
    """Rows without weights into the biases of what follows."""
    for source, before, value, conv in _pairs(network):
        constant = ~before.weight.any((1, 2, 3))
        used = _used_inputs(conv)
        if not (constant & used).any() or (conv.window.is_padded and not conv.window.circular):
            continue
        result = activate(network.layers[source - 1].activation, before.bias.astype(np.float64))
        rest = replace(conv, weight=_by_input(conv, np.where(constant, 0.0, 1.0)))
        return _with(network, {value: _shifted(rest, conv, np.where(constant, result, 0.0))})
    return None


def _drop_unused(network: Network) -> Network | None:
    """Channels that the next layer multiplies by zero. One stays, for a value has one at least."""
    for source, before, value, conv in _pairs(network):
        keep = _used_inputs(conv)
        keep[0] |= not keep.any()
        if keep.all() or before.groups != 1 or conv.groups != 1:
            continue
        lean = replace(conv, weight=conv.weight[:, keep])
        return _with(
            network, {source: replace(before, weight=before.weight[keep], bias=before.bias[keep]), value: lean}
        )
    return None


def _with(network: Network, changed: dict[int, Conv]) -> Network:
    layers = list(network.layers)
    for value, conv in changed.items():
        layers[value - 1] = replace(layers[value - 1], operation=conv)
        for user in network.users(value):
            if user in changed:
                takes = (conv.weight.shape[0], *layers[user - 1].takes[1:])
                layers[user - 1] = replace(layers[user - 1], takes=takes)
    return replace(network, layers=tuple(layers))


def _used_inputs(conv: Conv) -> Array:
    """Which input channels have a weight that is not zero."""
    by_group = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:])
    return np.asarray(by_group.any((1, 3, 4)).reshape(-1))


def _by_input(conv: Conv, factor: Array) -> Array:
    """The weights, each multiplied by the factor of its input channel."""
    by_group = conv.weight.astype(np.float64).reshape(conv.groups, -1, *conv.weight.shape[1:])
    scaled = by_group * factor.astype(np.float64).reshape(conv.groups, 1, -1, 1, 1)
    return _rounded(scaled.reshape(conv.weight.shape))


def _shifted(to: Conv, conv: Conv, shift: Array) -> Conv:
    """`to` with the biases that input channels, constant at `shift`, add through the weights of `conv`."""
    by_group = conv.weight.astype(np.float64).reshape(conv.groups, -1, *conv.weight.shape[1:])
    added = (by_group * shift.astype(np.float64).reshape(conv.groups, 1, -1, 1, 1)).sum((2, 3, 4))
    return replace(to, bias=_rounded(conv.bias + added.reshape(-1)))


def _rounded(x: Array) -> Array:
    return x.astype(np.float32)
