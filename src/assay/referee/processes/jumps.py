"""How far a run of the reference is from deciding something otherwise: for outputs that jump, as gradients of ReLU do.

Where rounding decides on which side of a ReLU a number falls, or which of two is the largest of a window, two right
gradients differ by a whole term. No budget for rounding covers that and still sees a forgotten term. So such a task's
inputs are drawn anew until no decision inside is close; there, everything must agree to rounding as always.

A distance is relative to the root mean square of the tensor that is decided about, for that is what its rounding error
is relative to. Numbers that are equal exactly (a ReLU of what another has made 0) are equal in every right computation.
Seen: element-wise functions with a kink, comparisons, max pooling, largest elements. Not seen: decisions that are no
operator of PyTorch's, such as those of Python code on a tensor's value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_KINKS: dict[str, tuple[float, ...]] = {
    "relu": (0.0,), "relu_": (0.0,), "leaky_relu": (0.0,), "prelu": (0.0,), "_prelu_kernel": (0.0,), "elu": (0.0,),
    "abs": (0.0,), "sgn": (0.0,), "sign": (0.0,), "hardswish": (-3.0, 3.0), "hardsigmoid": (-3.0, 3.0),
    "rrelu_with_noise": (0.0,), "heaviside": (0.0,),
}  # fmt: skip
"""Where their derivative jumps; SELU and CELU are `elu`."""
_BOUNDED = ("clamp", "clamp_min", "clamp_max", "hardtanh", "softshrink", "hardshrink", "threshold")
_COMPARISONS = ("gt", "lt", "ge", "le", "maximum", "minimum")
_EXTREMA = ("max", "min", "amax", "amin", "argmax", "argmin")
_POOLS = {"max_pool2d_with_indices": 2, "max_pool3d_with_indices": 3}


def distance(run: Callable[[], object]) -> float:
    """The smallest distance in what `run` computes, infinite where nothing is decided.

    `run` may differentiate: what autograd calls is seen too.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    found = [math.inf]

    def watch(_mode: Any, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found[0] = min(found[0], _distance(function.overloadpacket.__name__, args, kwargs or {}))
        return function(*args, **(kwargs or {}))

    mode: Any = type("Watch", (TorchDispatchMode,), {"__torch_dispatch__": watch})
    with mode():
        run()
    return found[0]


def _distance(name: str, args: Any, kwargs: Any) -> float:
    """Of one operator's call."""
    import torch

    x = args[0] if args else None
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.numel() == 0:
        return math.inf
    if name in _KINKS:
        return min(_nearest(x, point) for point in _KINKS[name])
    if name in _BOUNDED:
        points = [float(p) for p in (*args[1:3], *kwargs.values()) if isinstance(p, (int, float))]
        points = [-points[0], points[0]] if name.endswith("shrink") and points else points
        return min((_nearest(x, point) for point in points if math.isfinite(point)), default=math.inf)
    if name in _COMPARISONS and len(args) > 1:
        return _nearest(x, args[1])
    if name in _EXTREMA:
        return _between_largest(x, args, smallest="min" in name)
    if name in _POOLS:
        return _between_pooled(x, _POOLS[name], *args[1:])
    return math.inf


def _nearest(x: Any, point: Any) -> float:
    """How near to a number or a tensor any element comes that does not equal it."""
    return _smallest((x - point).abs(), x)


def _smallest(gaps: Any, x: Any) -> float:
    """The smallest gap above 0, in units of x's root mean square."""
    gaps = gaps[gaps > 0]
    scale = float(x.double().square().mean().sqrt())
    return float(gaps.min()) / scale if gaps.numel() and scale > 0 and math.isfinite(scale) else math.inf


def _between_largest(x: Any, args: Any, *, smallest: bool) -> float:
    """Between the largest two along the reduced axes; of all axes where none is named."""
    axes = args[1] if len(args) > 1 and args[1] is not None else ()
    named = [axes] if isinstance(axes, int) else list(axes) if isinstance(axes, (list, tuple)) else []
    moved = x.movedim(named, list(range(-len(named), 0))).flatten(-len(named)) if named else x.reshape(-1)
    return _between_two(-moved if smallest else moved, x)


def _between_two(rows: Any, x: Any) -> float:
    """Between the largest two of each row."""
    if rows.shape[-1] < 2:
        return math.inf
    two = rows.topk(2, dim=-1).values
    return _smallest((two[..., 0] - two[..., 1]).nan_to_num(posinf=0.0), x)


def _between_pooled(
    x: Any, dims: int, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, _ceil_mode: bool = False
) -> float:
    """Between the largest two of each window; a window of ceil_mode that hangs over the end is left out."""
    import torch

    sizes, steps = _each(size, dims), _each(stride, dims) if stride else _each(size, dims)
    borders, gaps = _each(padding, dims), _each(dilation, dims)
    room = [side for border in reversed(borders) for side in (border, border)]
    windows = torch.nn.functional.pad(x, room, value=-math.inf)
    for axis, (width, step, gap) in enumerate(zip(sizes, steps, gaps, strict=True)):
        windows = windows.unfold(x.dim() - dims + axis, gap * (width - 1) + 1, step)[..., ::gap]
    return _between_two(windows.flatten(-dims), x)


def _each(value: Any, dims: int) -> list[int]:
    return [value] * dims if isinstance(value, int) else list(value) * (dims if len(value) == 1 else 1)
