"""Epilogues: the ReLU and the max pooling that a convolution's result passes, done in the convolution's own call.

A model is traced for which modules alone read a convolution. Where a `SparseConv2d` takes them in, an nn.Identity
stands in their places, so that every name stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import fx, nn

from assay.sparse.convolution import SparseConv2d, both


class _Tracer(fx.Tracer):
    """Takes a module without others in it as one call."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


def find_epilogues(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """For each convolution, by name, the modules of its epilogue in order; nothing for a model that fx cannot trace.

    Each of them is called once, and hands its result to the next one alone, in evaluation mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        graph = _Tracer().trace(model.eval())
    except Exception:  # noqa: BLE001 - whatever a model's code makes of a proxy
        return {}
    finally:
        for module, mode in modes:
            module.training = mode
    calls = [node for node in graph.nodes if node.op == "call_module"]
    modules = {node: model.get_submodule(str(node.target)) for node in calls}
    called = Counter(id(module) for module in modules.values())
    once = {node: module for node, module in modules.items() if called[id(module)] == 1}
    starts = [node for node, module in once.items() if isinstance(module, nn.Conv2d | SparseConv2d)]
    return {str(node.target): tuple(_follow(node, once)) for node in starts}


def fuse(model: nn.Module) -> None:
    """Every `SparseConv2d` takes its epilogue in."""
    if not any(isinstance(module, SparseConv2d) for module in model.modules()):
        return  # nothing to trace for
    for name, after in find_epilogues(model).items():
        layer = model.get_submodule(name)
        if isinstance(layer, SparseConv2d):
            take_in(layer, [model.get_submodule(each) for each in after])
            leave_out(model, after)


def leave_out(model: nn.Module, names: Sequence[str]) -> None:
    """These modules hand on what they are given."""
    for name in names:
        model.set_submodule(name, nn.Identity())


def take_in(layer: SparseConv2d, epilogue: Sequence[nn.Module]) -> None:
    """The layer does what these modules do; they stand in the order in which they were called."""
    for module in epilogue:
        if isinstance(module, nn.MaxPool2d):
            layer.pool = _window(module)
        else:
            layer.relu = True


def _follow(node: fx.Node, once: dict[fx.Node, nn.Module]) -> list[str]:
    """ReLU before pooling is ReLU behind it; of poolings a layer has one."""
    layer, names = once[node], []
    pooled = isinstance(layer, SparseConv2d) and layer.pool > 1
    while len(node.users) == 1:
        node = next(iter(node.users))
        module = once.get(node)
        if type(module) is nn.Identity:
            continue
        window = _window(module) if type(module) is nn.MaxPool2d and not pooled else 0
        if not (type(module) is nn.ReLU or window) or _has_hooks(module):
            break
        pooled = pooled or window > 0
        names.append(str(node.target))
    return names


def _window(module: nn.MaxPool2d) -> int:
    """The side of its windows if they are squares next to each other that cover no border; else 0."""
    sizes = {*both(module.kernel_size), *both(module.stride)}
    plain = len(sizes) == 1 and both(module.padding) == (0, 0) and both(module.dilation) == (1, 1)
    return sizes.pop() if plain and not module.ceil_mode and not module.return_indices else 0


def _has_hooks(module: nn.Module | None) -> bool:
    return module is not None and bool(module._forward_hooks or module._forward_pre_hooks)
