"""Active operations of a forward pass: multiplications and additions that are really asked for, two a multiply-add.

torch's own counter knows the operators of dense layers; of Assay's unstructured ones it is told. Another layer that
leaves work out says so itself, by a method `active_operations(rows) -> int` for that many rows (tokens) of its input;
what the counter saw inside it is left out.
Whoever says it is the model's own process, so that the number explains a cost and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from assay.sparse import unstructured_ops as _operators  # noqa: F401 - registers unstructured_mm
from assay.sparse.convolution_ops import out_sizes

_TOLD: dict[Any, Any] = {
    torch.ops.assay.unstructured_mm: lambda x, values, *_, **__: 2 * x[0] * values[0],
    torch.ops.assay.sparse_conv2d: lambda x, values, layout, bias, kernel, stride, padding, dilation, *_, **__: (
        2 * x[0] * values[0] * math.prod(out_sizes(x[-2:], kernel, stride, padding, dilation))
    ),
}
"""Operations of an operator, from its arguments with shapes in the places of tensors: two for each kept weight."""
_OWN = ("aten", "prim", "prims", "profiler")
"""Namespaces of PyTorch's own operators; what the counter does not know there multiplies no matrices."""


class UnknownOperations(Exception):
    """An operator whose work nobody counts; the message names it."""


def active_operations(model: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Of `model(*inputs)`. Raises UnknownOperations for an operator that is not PyTorch's, in no layer that counts."""
    own = _Layers(model)
    strange = _Strange(own)
    with torch.no_grad(), own, FlopCounterMode(display=False, custom_mapping=dict(_TOLD)) as counter, strange:
        model(*inputs)
    if strange.names:
        raise UnknownOperations(f"nobody counts the work of {', '.join(sorted(strange.names))}")
    return int(counter.get_total_flops()) - own.seen_inside(counter) + own.operations


class _Layers:
    """The outermost layers that count for themselves, hooked for one pass."""

    def __init__(self, model: nn.Module) -> None:
        self.operations, self.inside = 0, 0
        self._root = type(model).__name__
        self._layers = list(_outermost(model, ""))
        self._handles: list[Any] = []

    def __enter__(self) -> _Layers:
        for _, layer in self._layers:
            self._handles.append(layer.register_forward_pre_hook(self._enter))
            self._handles.append(layer.register_forward_hook(self._leave))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def seen_inside(self, counter: FlopCounterMode) -> int:
        """What the counter saw in them."""
        counts = counter.get_flop_counts()
        names = [f"{self._root}.{name}" if name else self._root for name, _ in self._layers]
        return sum(sum(counts.get(name, {}).values()) for name in names)

    def _enter(self, layer: Any, arguments: tuple[Any, ...]) -> None:
        self.inside += 1
        rows = arguments[0].numel() // max(arguments[0].shape[-1], 1)
        self.operations += int(layer.active_operations(rows))

    def _leave(self, *_: object) -> None:
        self.inside -= 1


class _Strange(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's classes without annotations
    """Collects operators that are not PyTorch's, outside the layers that count for themselves."""

    def __init__(self, layers: _Layers) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.names: set[str] = set()
        self._layers = layers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = func.namespace in _OWN or func._overloadpacket in _TOLD
        if not known and not self._layers.inside:
            self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def _outermost(module: nn.Module, name: str) -> Any:
    if callable(getattr(module, "active_operations", None)):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _outermost(child, f"{name}.{child_name}".lstrip("."))
