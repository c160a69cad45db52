"""SynFlow: without data, and without emptying a layer (Tanaka, Kunin, Yamins and Ganguli, arXiv 2006.05467).

With every parameter replaced by its absolute value and an input of ones, the output's sum R is a flow, and w dR/dw is
what flows through a weight. In a network of layers without biases each layer's scores add up to the same R
(theorem 1); pruning in many small steps then leaves every layer something (theorem 3). Computed in float64, because R
is a product over layers, and in evaluation mode. Biases and batch normalisation's running means count as zero: what is
added or subtracted breaks the flow, and a layer whose bias suffices for the next could be emptied (the authors' code
keeps both). Layer normalisation breaks it all the same, so that nothing is promised for transformers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.core.own_file import words_of
from assay.errors import InputError
from assay.pruning.counts import kept_count
from assay.pruning.gradients import differentiate
from assay.pruning.masks import Mask, apply_mask, keep_largest, kept_weights
from assay.pruning.protocol import Data, Hparams, check_least, open_weights, working_copy


@dataclass(frozen=True, slots=True)
class Synflow(Hparams):
    """Hyperparameters.

    Args:
        steps: between which the number of weights falls by the same factor; the paper's 100.
        input_shape: without the batch; without any, the first batch's first tensor tells it, and nothing else.
    """

    steps: int = 100
    input_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        Hparams.__post_init__(self)
        check_least("number of steps", self.steps, 1)


def synflow(hparams: Synflow, model: nn.Module, data: Data | None, mask: Mask) -> dict[str, Tensor]:
    """Keep the weights through which most flows, step by step; ranked over all layers."""
    shape = _input_shape(hparams, data)
    first, last = kept_weights(mask), kept_count(mask, hparams.sparsity)
    found = dict(mask)
    with working_copy(model, mask, hparams.seed) as copied:
        open_weights(copied, mask)
        _make_a_flow(copied)
        for step in range(1, hparams.steps + 1):
            kept = last if step == hparams.steps else round(first * (last / first) ** (step / hparams.steps))
            found = keep_largest(flow_scores(copied, found, shape), kept, found, hparams.minimum)
            apply_mask(copied, found)
    return found


def _make_a_flow(copied: nn.Module) -> None:
    copied.double().eval()
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.abs_()
        for module in copied.modules():
            for name in ("bias", "running_mean"):
                if isinstance(added := getattr(module, name, None), Tensor):
                    added.zero_()


def flow_scores(copied: nn.Module, mask: Mask, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """w dR/dw of a model of positive parameters. Raises InputError where it does not run on ones, or overflows."""
    device = next(copied.parameters()).device
    try:
        output = copied(torch.ones(1, *shape, dtype=torch.float64, device=device))
    except Exception as error:
        raise InputError("the model does not run on an input of ones", value=f"{(1, *shape)}: {words_of(error)}",
                         rule="SynFlow's input is a float64 tensor of this shape",
                         next_step="give input_shape=") from error  # fmt: skip
    total = (output[0] if isinstance(output, tuple) else output).sum()
    if not bool(total.isfinite()):
        raise InputError("SynFlow overflows", value=str(float(total)), rule="the flow is finite in float64",
                         next_step="scale the layers' weights down: ranks within SynFlow stay")  # fmt: skip
    slopes = differentiate(total, copied, list(mask))
    return {name: (copied.get_parameter(name).detach() * slope).abs() for name, slope in slopes.items()}


def _input_shape(hparams: Synflow, data: Data | None) -> tuple[int, ...]:
    if hparams.input_shape is not None:
        return hparams.input_shape
    if data is None:
        raise InputError("SynFlow does not know the input's shape", rule="input_shape=, or data",
                         next_step="give input_shape=(3, 32, 32), without the batch")  # fmt: skip
    first = data.get_batch(0)[0]
    if not isinstance(first, Tensor) or not first.is_floating_point():
        raise InputError("SynFlow needs an input of numbers", value=f"{type(first).__name__}"[:100],
                         rule="a floating-point tensor first in a batch")  # fmt: skip
    return tuple(first.shape[1:])
