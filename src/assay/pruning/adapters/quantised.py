"""Linear layers in int8, by torchao: after pruning, whose zeros stay zeros because the scale has no offset.

"weight_only" keeps activations as they are and computes in floating point: a quarter of the weights' memory.
"dynamic" rounds activations too, by row, at every call. Neither skips zeros, and on some processors both are slower
than float32: measure it (`assay judge-model`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import nn

from assay.errors import InputError, MachineError
from assay.pruning.weights import prunable, weight_name

_CONFIGS = {"weight_only": "Int8WeightOnlyConfig", "dynamic": "Int8DynamicActivationInt8WeightConfig"}


def quantise(
    model: nn.Module, kind: Literal["weight_only", "dynamic"] = "weight_only", names: Sequence[str] = ("*",)
) -> nn.Module:
    """A copy of the model in evaluation mode whose Linear layers have int8 weights, a scale for each output.

    Args:
        model: pruned already, if it is to be: quantised weights cannot be pruned.
        kind: what is rounded.
        names: patterns of layers.

    Raises MachineError without torchao, InputError for a model without such a layer, and for weights that are not
    finite or shared.
    """
    if kind not in _CONFIGS:
        raise InputError("no such kind", value=str(kind)[:100], rule=f"one of: {', '.join(_CONFIGS)}")
    quantised = copy.deepcopy(model).eval()
    chosen = {
        name: each
        for name, each in quantised.named_modules()
        if type(each) is nn.Linear and any(fnmatchcase(name, pattern) for pattern in names)
    }
    if not chosen:
        raise InputError("there is no Linear layer to quantise", value=", ".join(names)[:100],
                         rule="a torch.nn.Linear whose name fits")  # fmt: skip
    try:
        prunable(quantised, [weight_name(name) for name in chosen])
    except InputError as error:
        raise InputError("this weight cannot be quantised", value=error.value, rule=error.rule) from error
    library = _library()
    config = getattr(library, _CONFIGS[kind])()
    library.quantize_(quantised, config, filter_fn=lambda module, name: name in chosen)
    return quantised


def _library() -> Any:
    try:
        import torchao.quantization
    except ImportError:
        raise MachineError("torchao is not installed", value="torchao",
                           next_step="pip install 'assay[prune]'") from None  # fmt: skip
    return torchao.quantization
