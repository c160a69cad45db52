"""A layer in the place of another one, wherever it stands in a model."""

from __future__ import annotations

from torch import nn

from assay.errors import InputError


def find_linear(model: nn.Module, name: str) -> nn.Linear:
    """The torch.nn.Linear of this name, "" for the model itself. Raises InputError where there is none."""
    found = find_layer(model, name, (nn.Linear,), "linear layers")
    assert isinstance(found, nn.Linear)
    return found


def find_layer(model: nn.Module, name: str, kinds: tuple[type[nn.Module], ...], words: str) -> nn.Module:
    """The module of this name, which is of one of these types exactly. Raises InputError where there is none.

    `words` says in an error what a conversion names.
    """
    try:
        found = model.get_submodule(name)
    except AttributeError as error:
        raise _unfit(name, "no such module", words) from error
    if type(found) not in kinds:
        raise _unfit(name, type(found).__name__, words)
    return found


def replace_module(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """The model with `layer` in the place of this name; the model itself where the name is not empty."""
    if not name:
        return layer
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return model


def _unfit(name: str, value: str, words: str) -> InputError:
    return InputError("the conversion does not fit the model", value=f"{name!r}: {value}"[:300],
                      rule=f"it names {words} of the model that make_model makes")  # fmt: skip
