"""What every method of pruning is: a pure function from hyperparameters, a model, data and a mask to a sparser mask.

Pure: the model keeps its parameters, buffers, mode, gradients and hooks, the mask its values, and PyTorch's random
numbers go on as if nothing had happened. Methods work on a copy for that, which costs the model's memory once more.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from assay.core.own_file import words_of
from assay.errors import InputError
from assay.pruning.counts import kept_count, share_out
from assay.pruning.masks import Mask, apply_mask, keep_largest


def default_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Adam with PyTorch's defaults."""
    return torch.optim.Adam(model.parameters())


@dataclass(frozen=True, slots=True)
class Data:
    """What a method may learn from: the functions of a training file (docs/training.md).

    Args:
        get_batch: that batch, a tuple of tensors; the same number gives the same batch.
        loss: of a model and a batch, a scalar tensor.
        make_optimizer: for methods that train a copy.
    """

    get_batch: Callable[[int], tuple[Any, ...]]
    loss: Callable[..., Tensor]
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer] = default_optimizer

    def loss_of(self, model: nn.Module, number: int) -> Tensor:
        """The loss of a batch. Raises InputError where it fails, or is no finite scalar."""
        try:
            found = self.loss(model, *self.get_batch(number))
        except Exception as error:
            raise InputError("the loss of a batch fails", value=f"batch {number}: {words_of(error)}",
                             rule="loss(model, *get_batch(number)) is a scalar tensor",
                             next_step="see docs/training.md") from error  # fmt: skip
        if not isinstance(found, Tensor) or found.numel() != 1 or not bool(found.isfinite().all()):
            raise InputError("the loss of a batch is no finite scalar", value=f"batch {number}: {found!r}"[:200],
                             rule="one number in a tensor, neither NaN nor infinite")  # fmt: skip
        return found.reshape(())


@dataclass(frozen=True, slots=True)
class Hparams:
    """What every method takes.

    Args:
        sparsity: the share of all weights in the mask that is gone afterwards, what was gone before included.
        minimum: how many weights each layer keeps at least; with 0, emptying a layer is an error.
        seed: of every random number that the method, the model or the batches draw.

    Raises InputError for values out of range.
    """

    sparsity: float = 0.9
    minimum: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_share("sparsity", self.sparsity)
        check_least("minimum", self.minimum, 0)


@dataclass(frozen=True, slots=True)
class Ranked(Hparams):
    """Of methods that give every weight a score.

    Args:
        scope: "global" ranks all weights together, "local" lets every layer keep the same share.
    """

    scope: Literal["global", "local"] = "global"

    def __post_init__(self) -> None:
        Hparams.__post_init__(self)  # `super()` does not work in a slotted dataclass before Python 3.14
        if self.scope not in ("global", "local"):
            raise InputError("no such scope", value=str(self.scope)[:100], rule="global or local")


Method = Callable[[Any, nn.Module, Data | None, Mask], dict[str, Tensor]]
"""From the method's own hyperparameters, a model, data and the mask so far to the new mask."""


def keep_ranked(scores: dict[str, Tensor], hparams: Ranked, mask: Mask) -> dict[str, Tensor]:
    """The exact share of weights that has the largest scores, over all or in each layer."""
    kept = kept_count(mask, hparams.sparsity)
    if hparams.scope == "global":
        return keep_largest(scores, kept, mask, hparams.minimum)
    return keep_largest(scores, share_out(kept, mask, hparams.minimum), mask)


def open_weights(copied: nn.Module, mask: Mask) -> dict[str, nn.Parameter]:
    """The weights that a mask names, frozen ones open to gradients now: of a working copy."""
    weights = {name: copied.get_parameter(name) for name in mask}
    for weight in weights.values():
        weight.requires_grad_(True)
    return weights


@contextlib.contextmanager
def working_copy(model: nn.Module, mask: Mask, seed: int) -> Iterator[nn.Module]:
    """A copy of the model with the mask applied, under random numbers of its own.

    Raises InputError for a mask that does not fit the model, and for a model that cannot be copied.
    """
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        raise InputError("the model cannot be copied", value=words_of(error),
                         rule="copy.deepcopy(model) works, so that the model itself stays as it is",
                         next_step="detach tensors that it keeps from a forward pass") from error  # fmt: skip
    apply_mask(copied, mask)
    devices = {each.device for each in model.parameters() if each.device.type == "cuda"}
    with torch.random.fork_rng(sorted(devices, key=str)), torch.enable_grad():
        torch.manual_seed(seed)
        yield copied


def needed(data: Data | None, method: str) -> Data:
    """The data. Raises InputError where there is none."""
    if data is None:
        raise InputError("this method needs data", value=method, rule="Data(get_batch, loss)",
                         next_step="give the batches and the loss of the training, or choose magnitude")  # fmt: skip
    return data


def check_share(name: str, value: float) -> None:
    """Raises InputError for what is no share below one."""
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"the {name} is no share", value=str(value)[:100], rule="from 0 to below 1")


def check_least(name: str, value: float, least: float) -> None:
    """Raises InputError for what is below the least, and for NaN."""
    if not isinstance(value, (int, float)) or not value >= least:
        raise InputError(f"the {name} is too small", value=str(value)[:100], rule=f"{least:g} at least")
