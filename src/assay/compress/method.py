"""What a method of making a model cheaper has to answer."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from assay.checkpoints import Conversion


class Converter(Protocol):
    """One method, decided for one model."""

    @property
    def conversion(self) -> Conversion:
        """Makes the same layers again when the model folder is loaded."""
        ...

    def convert(self, model: nn.Module) -> nn.Module:
        """The trained dense model, converted; it may be changed."""
        ...

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Change the converted model before a step of its training, from 0."""
        ...

    def training_loss(self, model: nn.Module, loss: Any) -> Any:
        """The loss of a step, with what the method adds to it."""
        ...

    def finish(self, model: nn.Module) -> nn.Module:
        """The trained model in the form that is saved; it may be changed."""
        ...
