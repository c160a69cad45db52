"""A layer in the place of another one, wherever it stands in a model."""

from __future__ import annotations

from torch import nn

from assay.errors import InputError


def find_linear(model: nn.Module, name: str) -> nn.Linear:
    """The torch.nn.Linear of this name, "" for the model itself. Raises InputError where there is none."""
    try:
        found = model.get_submodule(name)
    except AttributeError as error:
        raise _unfit(name, "no such module") from error
    if type(found) is not nn.Linear:
        raise _unfit(name, type(found).__name__)
    return found


def replace_module(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with `layer` in the place of this name; the model itself where the name is not empty."""
    if not name:
        return layer
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return model


def _unfit(name: str, value: str) -> InputError:
    return InputError("the conversion does not fit the model", value=f"{name!r}: {value}"[:300],
                      rule="it names linear layers of the model that make_model makes")  # fmt: skip
