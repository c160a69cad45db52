"""`pruned`: layers that lost weights, in whatever form is left of each: smaller, with zeros left out, or not at all.

Settings: {"modules": ["fc1", ...]}, every layer whose form may differ from what make_model makes. The form itself is in
the weights' file, since seeds of one architecture lose different units: a layer with `values`, `mask` and `shape`
becomes a SparseLinear, one whose `weight` is smaller takes its size, and one of which nothing is there was folded into
its neighbours and hands on what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.checkpoints.conversions.replacing import find_layer, replace_module
from assay.errors import InputError
from assay.pruning.weights import CONVOLUTIONS, LAYERS
from assay.sparse.bits import unpack_bits
from assay.sparse.unstructured import SparseLinear

NAME = "pruned"
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RESIZABLE = (*LAYERS, *_NORMS)
"""Layers whose size can follow their weights."""
SHAPE = "shape"
"""A buffer beside a SparseLinear's own state: [out_features, in_features], which its mask rounds up to words."""


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

    model.register_load_state_dict_pre_hook(take_form)  # type: ignore[no-untyped-call]
    return model


def formed(module: nn.Module, state: Mapping[str, Tensor], name: str) -> nn.Module:
    """A layer in the form that `state` has under its name; where that is another size, `module` itself resized."""
    own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    if not own:
        return nn.Identity()
    if {"values", "mask", SHAPE} <= set(own):
        return _sparse(own)
    if "weight" in own:
        _resize(module, own)
    return module


def to_sparse(linear: nn.Linear) -> SparseLinear:
    """A linear layer whose zeros are left out, with the state that `formed` reads."""
    made = SparseLinear.from_linear(linear)
    made.register_buffer(SHAPE, torch.tensor([linear.out_features, linear.in_features]))
    return made


def _sparse(own: Mapping[str, Tensor]) -> SparseLinear:
    outputs, inputs = own[SHAPE].tolist()
    if outputs < 1 or inputs < 1 or own["mask"].dtype != torch.int64 or own["mask"].shape[0] != outputs:
        raise InputError("the weights' file has a damaged sparse layer", value=f"shape {outputs} x {inputs}",
                         rule="positive, with one row of the mask for each output")  # fmt: skip
    mask = unpack_bits(own["mask"], inputs)
    made = SparseLinear(inputs, outputs, "bias" in own, mask=mask, dtype=own["values"].dtype)
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
