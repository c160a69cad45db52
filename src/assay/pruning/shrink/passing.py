"""What may stand between two layers without mixing units: each is known by its exact type, all else is unknown."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

_ELEMENTWISE = {
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU,
    nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softplus,
    nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Threshold,
}  # fmt: skip
_FUNCTIONS = {
    torch.relu, torch.sigmoid, torch.tanh, functional.relu, functional.relu6, functional.leaky_relu, functional.elu,
    functional.selu, functional.celu, functional.gelu, functional.silu, functional.mish, functional.sigmoid,
    functional.logsigmoid, functional.tanh, functional.softplus, functional.softsign, functional.hardtanh,
    functional.hardswish, functional.hardsigmoid,
}  # fmt: skip
_METHODS = {"relu", "sigmoid", "tanh"}
_POOLS = {nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
          nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d}  # fmt: skip


def module_of(node: fx.Node) -> nn.Module | None:
    """The module that a node calls."""
    root = node.graph.owning_module
    return root.get_submodule(str(node.target)) if node.op == "call_module" and root is not None else None


def is_elementwise(node: fx.Node) -> bool:
    """Whether each output is a function of the same place of the one input, in evaluation mode."""
    if len(node.all_input_nodes) != 1 or node.args[:1] != (node.all_input_nodes[0],):
        return False
    if node.op == "call_module":
        module = module_of(node)
        return type(module) in _ELEMENTWISE or (isinstance(module, nn.PReLU) and module.num_parameters == 1)
    if node.op == "call_function":
        return node.target in _FUNCTIONS or (node.target is functional.dropout and node.kwargs.get("training") is False)
    return node.op == "call_method" and node.target in _METHODS


def is_pool(node: fx.Node) -> bool:
    """Whether it pools each channel for itself, and gives one tensor."""
    module = module_of(node)
    return type(module) in _POOLS and not getattr(module, "return_indices", False)


def is_flatten(node: fx.Node) -> bool:
    """Whether it joins all dimensions but the first."""
    module = module_of(node)
    if type(module) is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    is_call = node.op == "call_function" and node.target is torch.flatten
    if not is_call and not (node.op == "call_method" and node.target == "flatten"):
        return False
    return node.args[1:] == (1,) and not node.kwargs


def constants_after(node: fx.Node, values: Tensor) -> tuple[Tensor, Tensor]:
    """What constant channels become: their new values, and which of them still are constant at borders."""
    if is_elementwise(node):
        return _computed(node, values), torch.ones_like(values, dtype=torch.bool)
    module: Any = module_of(node)
    if type(module) in (nn.AvgPool1d, nn.AvgPool2d):
        padding = module.padding if isinstance(module.padding, tuple) else (module.padding,)
        divides_otherwise = getattr(module, "divisor_override", None) is not None
        if (any(padding) and module.count_include_pad) or divides_otherwise:
            return values, values == 0
    if type(module) in (nn.MaxPool1d, nn.MaxPool2d) and module.dilation not in (1, (1,), (1, 1)):
        return values, torch.zeros_like(values, dtype=torch.bool)  # a window may lie in the padding alone
    return values, torch.ones_like(values, dtype=torch.bool)


@torch.no_grad()
def _computed(node: fx.Node, values: Tensor) -> Tensor:
    values = values.clone()[None]
    found: Tensor
    if node.op == "call_method":
        found = operator.methodcaller(str(node.target), *node.args[1:], **node.kwargs)(values)
    else:
        called: Any = module_of(node) if node.op == "call_module" else node.target
        found = called(values, *node.args[1:], **node.kwargs)
    return found[0]


def words_of_node(node: fx.Node) -> str:
    """What a node is, for a reason."""
    module = module_of(node)
    if module is not None:
        return f"{node.target}, a {type(module).__name__}"
    return str(getattr(node.target, "__name__", node.target))
