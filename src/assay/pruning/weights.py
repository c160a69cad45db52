"""Which weights of a model can be pruned, and a reason for a model whose weights cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from assay.errors import InputError
from assay.sparse.int8 import Int8BlockSparseLinear
from assay.sparse.linear import BlockSparseLinear
from assay.sparse.unstructured_layer import UnstructuredLayer

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)
"""Whose weights are pruned where nothing else is named."""
_CONVERTED = (BlockSparseLinear, UnstructuredLayer, Int8BlockSparseLinear)


def prunable(model: nn.Module, names: Sequence[str] = ()) -> dict[str, nn.Parameter]:
    """The weights of Linear, Conv1d, Conv2d and Conv3d by the names that named_parameters gives them.

    Args:
        model: any module; it is not changed.
        names: patterns with `*` and `?`; what they fit is taken instead, embeddings and attention's joined projections
            too, if it has two dimensions or more.

    Raises InputError for a model without any such weight, a pattern that fits none, and weights that are shared,
    reparametrised, converted already, without values yet, of no floating type, or not finite.
    """
    everywhere = dict(model.named_parameters(remove_duplicate=False))
    chosen = _named(everywhere, names) if names else _of_layers(model)
    if not chosen:
        raise InputError("there is nothing to prune", value=type(model).__name__,
                         rule="a Linear, Conv1d, Conv2d or Conv3d, or parameters that `names` fits")  # fmt: skip
    for name, parameter in chosen.items():
        _check(name, parameter)
    _check_owners(chosen, everywhere)
    return chosen


def weight_name(layer: str) -> str:
    """Of a layer's weight, as named_parameters gives it; a layer without a name is the model itself."""
    return f"{layer}.weight" if layer else "weight"


def _of_layers(model: nn.Module) -> dict[str, nn.Parameter]:
    chosen = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, _CONVERTED):
            raise _refused(path, "its layer is converted already", "prune the dense model, and convert it afterwards")
        if isinstance(module, LAYERS):
            name = weight_name(path)
            weight = module._parameters.get("weight")
            if weight is None:
                raise _refused(name, "computed from other parameters", "remove the parametrization before pruning")
            chosen[name] = weight
    return chosen


def _named(everywhere: dict[str, nn.Parameter], names: Sequence[str]) -> dict[str, nn.Parameter]:
    for pattern in names:
        if not any(fnmatchcase(name, pattern) for name in everywhere):
            raise InputError("no parameter has such a name", value=pattern[:100],
                             rule=f"one of: {', '.join(everywhere)}"[:600])  # fmt: skip
    return {
        name: parameter
        for name, parameter in everywhere.items()
        if parameter.dim() > 1 and any(fnmatchcase(name, pattern) for pattern in names)
    }


def _check(name: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, nn.parameter.UninitializedParameter) or parameter.is_meta:
        raise _refused(name, "it has no values yet", "give it values, or run the model on a batch first")
    if type(parameter.data) is not torch.Tensor or not parameter.is_floating_point():
        raise _refused(name, f"{type(parameter.data).__name__} of {parameter.dtype}", "prune before quantising")
    if not bool(parameter.isfinite().all()):
        raise _refused(name, "it holds NaN or infinity", "prune a model whose training went well")


def _check_owners(chosen: dict[str, nn.Parameter], everywhere: dict[str, nn.Parameter]) -> None:
    """Two names for the same numbers: a mask of one of them would prune the other unasked."""
    places = Counter(parameter.data_ptr() for parameter in everywhere.values() if _has_memory(parameter))
    for name, parameter in chosen.items():
        if places[parameter.data_ptr()] > 1:
            others = [other for other, each in everywhere.items()
                      if other != name and _has_memory(each) and each.data_ptr() == parameter.data_ptr()]  # fmt: skip
            raise _refused(name, f"shared with {', '.join(others)}", "name others with `names`, or untie it")


def _has_memory(parameter: nn.Parameter) -> bool:
    """Whether it has an address of its own; empty, meta and uninitialised ones have none."""
    uninitialised = isinstance(parameter, nn.parameter.UninitializedParameter)
    return not uninitialised and not parameter.is_meta and parameter.data_ptr() != 0


def _refused(name: str, why: str, next_step: str) -> InputError:
    return InputError("this weight cannot be pruned", value=f"{name or 'the model'}: {why}"[:300],
                      rule="a finite floating-point Parameter that belongs to one layer only",
                      next_step=next_step)  # fmt: skip
