"""Backward operators in terms of those that have a generator, for PyTorch has no rule for them, or one that scatters.

Each function takes the operator's own arguments (PyTorch's native_functions.yaml) and works on tensors without data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any


def rules(torch: Any) -> dict[Any, Any]:
    """By operator."""
    aten = torch.ops.aten
    return {
        aten.convolution_backward.default: convolution_backward,
        aten.max_pool2d_with_indices_backward.default: max_pool2d_backward,
        aten.avg_pool2d_backward.default: avg_pool2d_backward,
        aten.embedding_dense_backward.default: embedding_backward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default: attention_backward,
    }


def convolution_backward(
    grad: Any, value: Any, weight: Any, bias_sizes: Any, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, _output_padding: Any, groups: int, wanted: Sequence[bool],
) -> tuple[Any, ...]:  # fmt: skip
    """Of the input a convolution again, of the weight a product of the gradient with the unfolded input."""
    if transposed:
        raise NotImplementedError("the backward of a transposed convolution")
    of_input = of_weight = of_bias = None
    if wanted[0]:
        of_input = _input_gradient(grad, value, weight, stride, padding, dilation, groups)
    if wanted[1]:
        taps = _taps(value, weight.shape[2:], stride, padding, dilation, grad.shape[2:])
        of_weight = _weight_gradient(grad, taps, weight, groups)
    if wanted[2]:
        of_bias = grad.sum([0, *range(2, value.dim())])
    return of_input, of_weight, of_bias


def _input_gradient(
    grad: Any, value: Any, weight: Any, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int,
) -> Any:  # fmt: skip
    """With steps of one an ordinary convolution with the weight turned round."""
    import torch

    outs, channels, *kernel = weight.shape
    pads = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    if all(step == 1 for step in stride) and min(pads) >= 0:
        turned = weight.reshape(groups, outs // groups, channels, *kernel).transpose(1, 2)
        turned = turned.reshape(groups * channels, outs // groups, *kernel).flip(list(range(2, weight.dim())))
        ones, none = [1] * len(pads), [0] * len(pads)
        return torch.ops.aten.convolution(grad, turned, None, ones, pads, dilation, False, none, groups)
    # What a step of more than one leaves over at the end.
    left_over = [n - ((g - 1) * s - 2 * p + d * (k - 1) + 1) for n, g, s, p, d, k in zip(
        value.shape[2:], grad.shape[2:], stride, padding, dilation, kernel, strict=True)]  # fmt: skip
    return torch.ops.aten.convolution(grad, weight, None, stride, padding, dilation, True, left_over, groups)


def _taps(
    value: Any, kernel: Sequence[Any], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    sizes: Sequence[Any], fill: float = 0.0,
) -> list[Any]:  # fmt: skip
    """For each place of the window what all outputs see there, [batch, channels, *sizes]."""
    from torch.nn.functional import pad

    pads = [p for size in reversed(padding) for p in (size, size)]
    padded = pad(value, pads, value=fill) if any(pads) else value
    taps = []
    for place in itertools.product(*map(range, kernel)):
        tap = padded
        for dim, (at, step, far, count) in enumerate(zip(place, stride, dilation, sizes, strict=True), start=2):
            tap = tap.narrow(dim, at * far, (count - 1) * step + 1)
            tap = tap[(slice(None),) * dim + (slice(None, None, step),)] if step > 1 else tap
        taps.append(tap)
    return taps


def _weight_gradient(grad: Any, taps: list[Any], weight: Any, groups: int) -> Any:
    import torch

    outs, channels = weight.shape[:2]
    dims = [0, *range(2, grad.dim())]
    if groups == grad.shape[1] == taps[0].shape[1]:
        return torch.stack([(tap * grad).sum(dims) for tap in taps], 1).reshape(weight.shape)
    if groups != 1:
        raise NotImplementedError("the backward of a convolution in groups of several channels")
    seen = torch.cat([tap.transpose(0, 1).reshape(channels, -1) for tap in taps])
    found = grad.transpose(0, 1).reshape(outs, -1) @ seen.t()
    return found.reshape(outs, len(taps), channels).transpose(1, 2).reshape(weight.shape)


def max_pool2d_backward(
    grad: Any, value: Any, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], _ceil_mode: bool, _indices: Any,
) -> Any:  # fmt: skip
    """To the first of the largest in each window, found anew: no place is written that is not known in advance.

    For windows that do not overlap.
    """
    import torch

    stride = stride or kernel
    height, width = (size * step for size, step in zip(grad.shape[2:], stride, strict=True))
    fits = height <= value.shape[2] and width <= value.shape[3]
    if list(stride) != list(kernel) or any(padding) or any(d != 1 for d in dilation) or not fits:
        raise NotImplementedError("the backward of a max pooling whose windows overlap or reach over the border")
    taps = _taps(value, kernel, stride, padding, dilation, grad.shape[2:])
    best, place = taps[0], torch.zeros_like(grad)
    for number, tap in enumerate(taps[1:], start=1):
        better = tap > best
        best, place = torch.where(better, tap, best), torch.where(better, float(number), place)
    parts = [torch.where(place == float(number), grad, 0.0) for number in range(len(taps))]
    rows = [torch.stack(parts[at : at + kernel[1]], -1) for at in range(0, len(parts), kernel[1])]
    found = torch.stack(rows, 3).reshape(*grad.shape[:2], height, width)
    pads = [0, value.shape[3] - width, 0, value.shape[2] - height]
    return torch.nn.functional.pad(found, pads) if any(pads) else found


def avg_pool2d_backward(
    grad: Any, value: Any, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], _ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """An average again where windows move by one, and a value for each place of a window where they do not overlap."""
    import torch

    stride, area = stride or kernel, math.prod(kernel)
    if any(padding) and not count_include_pad:
        raise NotImplementedError("the backward of an average pooling that does not count its border")
    share = grad / float(divisor or area)
    if all(step == 1 for step in stride):
        pads = [k - 1 - p for k, p in reversed(list(zip(kernel, padding, strict=True))) for _ in range(2)]
        return torch.ops.aten.avg_pool2d(torch.nn.functional.pad(share, pads), kernel, [1, 1]) * float(area)
    height, width = (size * step for size, step in zip(grad.shape[2:], stride, strict=True))
    if list(stride) != list(kernel) or any(padding) or (height, width) != tuple(value.shape[2:]):
        raise NotImplementedError("the backward of an average pooling whose windows overlap or leave something out")
    wide = share[:, :, :, None, :, None].expand(*grad.shape[:3], kernel[0], grad.shape[3], kernel[1])
    return wide.reshape(*grad.shape[:2], height, width)


def embedding_backward(grad: Any, ids: Any, count: int, padding: int, _by_frequency: bool) -> Any:
    """Rows added up by their ids."""
    import torch

    rows = grad.reshape(-1, grad.shape[-1])
    flat = ids.reshape(-1)
    if padding >= 0:
        rows = torch.where((flat == padding).unsqueeze(1), 0.0, rows)
    empty = torch.zeros(count, grad.shape[-1], dtype=grad.dtype)
    return torch.index_add(empty, 0, flat, rows)


def attention_backward(
    grad: Any, query: Any, key: Any, value: Any, out: Any, _log_sum: Any, dropout: float, causal: bool,
    attn_mask: Any = None, scale: float | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The weights are computed anew, as Dao et al. 2022 do: they are not kept from the forward pass."""
    import torch

    if dropout:
        raise NotImplementedError("dropout draws random numbers")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-2, -1) * scale
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    if attn_mask is not None:
        scores = scores + attn_mask
    weights = torch.softmax(scores, -1)
    of_weights = grad @ value.transpose(-2, -1)
    of_scores = weights * (of_weights - (grad * out).sum(-1, keepdim=True)) * scale
    return of_scores @ key, of_scores.transpose(-2, -1) @ query, weights.transpose(-2, -1) @ grad
