"""`pruned`: layers that lost weights, in whatever form is left of each: smaller, with zeros left out, or not at all.

Settings: {"modules": ["fc1", ...]}, every layer whose form may differ from what make_model makes. The form itself is in
the weights' file, since seeds of one architecture lose different units: a layer with `values`, `mask` and `shape`
becomes a SparseLinear or a SparseConv2d with its epilogue, one whose `weight` is smaller takes its size, and one of
which nothing is there was folded into its neighbours and hands on what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.checkpoints.conversions.replacing import find_layer, replace_module
from assay.errors import InputError
from assay.pruning.weights import CONVOLUTIONS, LAYERS
from assay.sparse.bits import unpack_bits
from assay.sparse.convolution import SparseConv2d
from assay.sparse.epilogues import fuse
from assay.sparse.unstructured import SparseLinear
from assay.sparse.unstructured_layer import UnstructuredLayer

NAME = "pruned"
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RESIZABLE = (*LAYERS, *_NORMS)
"""Layers whose size can follow their weights."""
SHAPE = "shape"
"""A buffer beside a sparse layer's own state: that of its weight, whose columns the mask rounds up to words."""


def to_pruned(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The model, which takes the form of the weights that are loaded into it.

    Raises InputError for settings that do not fit it.
    """
    names = settings.get("modules")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"these are no settings of {NAME}", value=str(dict(settings))[:300],
                         rule='"modules", a list of names')  # fmt: skip
    for name in names:
        find_layer(model, name, RESIZABLE, "linear layers, convolutions and batch norms")

    def take_form(_model: nn.Module, state: Mapping[str, Tensor], *_rest: Any) -> None:
        for name in names:
            replace_module(model, name, formed(model.get_submodule(name), state, name))
        fuse(model)

    model.register_load_state_dict_pre_hook(take_form)  # type: ignore[no-untyped-call]
    return model


def formed(module: nn.Module, state: Mapping[str, Tensor], name: str) -> nn.Module:
    """A layer in the form that `state` has under its name; where that is another size, `module` itself resized."""
    own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    if not own:
        return nn.Identity()
    if {"values", "mask", SHAPE} <= set(own):
        return _sparse(module, own)
    if "weight" in own:
        _resize(module, own)
    return module


def to_sparse(layer: nn.Linear | nn.Conv2d) -> UnstructuredLayer:
    """A layer whose zeros are left out, with the state that `formed` reads. Raises InputError where there is none."""
    made = SparseLinear.from_linear(layer) if isinstance(layer, nn.Linear) else SparseConv2d.from_conv2d(layer)
    made.register_buffer(SHAPE, torch.tensor(made.weight_shape))
    return made


def _sparse(module: nn.Module, own: Mapping[str, Tensor]) -> UnstructuredLayer:
    """In the place of a dense layer, which knows a convolution's stride and padding."""
    shape = own[SHAPE].tolist()
    dimensions = 2 if isinstance(module, nn.Linear) else 4
    whole = isinstance(module, nn.Linear | nn.Conv2d) and len(shape) == dimensions and min(shape) > 0
    if not whole or own["mask"].dtype != torch.int64 or own["mask"].shape[0] != shape[0]:
        raise InputError("the weights' file has a damaged sparse layer", value=f"shape {shape}",
                         rule="a linear layer's or a convolution's, a row of the mask for each output")  # fmt: skip
    mask = unpack_bits(own["mask"], math.prod(shape[1:])).view(shape)
    dense = torch.zeros(shape, dtype=own["values"].dtype)
    made: UnstructuredLayer
    if isinstance(module, nn.Linear):
        made = SparseLinear(shape[1], shape[0], "bias" in own, mask=mask, dtype=dense.dtype)
    else:
        assert isinstance(module, nn.Conv2d)
        _resize(module, {"weight": dense} | ({"bias": own["bias"]} if "bias" in own else {}))
        made = SparseConv2d.from_conv2d(module, mask=mask)
    made.register_buffer(SHAPE, own[SHAPE].clone())
    return made


def _resize(module: nn.Module, own: Mapping[str, Tensor]) -> None:
    """Parameters and buffers of the sizes in `own`, and the attributes that name them."""
    weight = own["weight"]
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, CONVOLUTIONS):
        _resize_convolution(module, weight)
    elif isinstance(module, _NORMS):
        module.num_features = weight.shape[0]
    for key, value in own.items():
        present = module._parameters.get(key)
        if present is not None or key in ("weight", "bias"):
            module._parameters[key] = nn.Parameter(torch.empty_like(value))
        elif module._buffers.get(key) is not None:
            module._buffers[key] = torch.empty_like(value)


def _resize_convolution(module: nn.Module, weight: Tensor) -> None:
    """Without groups, or with as many groups as channels: others are left as they are."""
    assert isinstance(module, CONVOLUTIONS)
    if module.groups == 1:
        module.out_channels, module.in_channels = weight.shape[:2]
    elif module.groups == module.in_channels == module.out_channels:
        module.groups = module.in_channels = module.out_channels = weight.shape[0]
