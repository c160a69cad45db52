"""Whole channels go, through residual sums and joins: Torch-Pruning's dependency graph (Fang and others, 2301.12900).

What comes back is a smaller dense model. Fewer operations are not less time: measure it (`assay judge-model`).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from assay.core.own_file import words_of
from assay.errors import InputError, MachineError
from assay.pruning.protocol import Data, check_share, needed

Importance = Literal["magnitude", "lamp", "random", "taylor"]
_IMPORTANCES = {"magnitude": "GroupMagnitudeImportance", "lamp": "LAMPImportance", "random": "RandomImportance",
                "taylor": "GroupTaylorImportance"}  # fmt: skip


def prune_channels(
    model: nn.Module, example: Tensor, share: float = 0.5, importance: Importance = "magnitude",
    keep: Sequence[str] = (), data: Data | None = None, together: bool = False, multiple_of: int | None = None,
) -> nn.Module:  # fmt: skip
    """A copy of the model with a share of each layer's channels gone.

    Args:
        model: any that runs on the example.
        example: a batch.
        share: of the channels of each layer, or of all with `together`.
        importance: how groups of channels are ranked.
        keep: names of layers whose outputs stay as they are: the head's must.
        data: for "taylor", whose first batch gives the gradients.
        together: rank the groups of all layers together.
        multiple_of: widths are rounded to it.

    Raises MachineError without Torch-Pruning, InputError for a model that it cannot take apart and for a result whose
    output has another shape.
    """
    check_share("share", share)
    library = _library()
    if importance not in _IMPORTANCES:
        raise InputError("no such importance", value=str(importance)[:100], rule=f"one of: {', '.join(_IMPORTANCES)}")
    pruned = copy.deepcopy(model)
    kept = [_submodule(pruned, name) for name in keep]
    shape = _output_shape(pruned, example)
    if importance == "taylor":
        torch.autograd.backward(needed(data, "taylor").loss_of(pruned, 0))
    try:
        ranking = getattr(library.importance, _IMPORTANCES[importance])()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parameters outside of modules, and how it would cut those
            library.pruner.BasePruner(
                pruned, example, ranking, global_pruning=together, pruning_ratio=share, ignored_layers=kept,
                round_to=multiple_of,
            ).step()  # fmt: skip
    except Exception as error:
        raise InputError("Torch-Pruning cannot prune the model", value=words_of(error),
                         next_step="name layers to keep with keep=") from error  # fmt: skip
    pruned.zero_grad()
    if (found := _output_shape(pruned, example)) != shape:
        raise InputError("the output would have another shape", value=f"{found}, not {shape}",
                         rule="the head's outputs stay", next_step="name the last layer with keep=")  # fmt: skip
    return pruned


def _library() -> Any:
    try:
        import torch_pruning
    except ImportError:
        raise MachineError("Torch-Pruning is not installed", value="torch_pruning",
                           next_step="pip install 'assay[prune]'") from None  # fmt: skip
    return torch_pruning


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise InputError("no such layer", value=name[:100], rule="a name of named_modules()") from error


@torch.no_grad()
def _output_shape(model: nn.Module, example: Tensor) -> tuple[int, ...]:
    """In evaluation mode, so that running statistics stay."""
    modes = [(each, each.training) for each in model.modules()]
    try:
        return tuple(model.eval()(example).shape)
    except Exception as error:
        raise InputError("the model does not run on the example", value=words_of(error),
                         rule="model(example) is a tensor") from error  # fmt: skip
    finally:
        for each, training in modes:
            each.training = training
