"""Batch normalisation folded into the layer before it, as evaluation mode computes it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from assay.pruning.shrink.passing import module_of

_PAIRS: dict[type, tuple[type, Any]] = {
    nn.Conv1d: (nn.BatchNorm1d, fuse_conv_bn_eval),
    nn.Conv2d: (nn.BatchNorm2d, fuse_conv_bn_eval),
    nn.Linear: (nn.BatchNorm1d, fuse_linear_bn_eval),
}


def fold_normalisation(traced: fx.GraphModule) -> None:
    """Fold, in place, where a layer's only reader is a normalisation with running statistics, and both occur once."""
    modules = Counter(id(module_of(node)) for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        layer, users = module_of(node), list(node.users)
        if type(layer) not in _PAIRS or len(users) != 1:
            continue
        norm, (kind, fuse) = module_of(users[0]), _PAIRS[type(layer)]
        if (
            norm is None
            or type(norm) is not kind
            or norm.running_mean is None
            or max(modules[id(layer)], modules[id(norm)]) > 1
        ):
            continue
        if isinstance(layer, nn.Linear) and len(node.meta["tensor_meta"].shape) != 2:
            continue  # it normalises the dimension after the batch, which is not the units
        traced.set_submodule(str(node.target), fuse(layer, norm))
        users[0].replace_all_uses_with(node)
        traced.graph.erase_node(users[0])
    traced.delete_all_unused_submodules()
    traced.recompile()
