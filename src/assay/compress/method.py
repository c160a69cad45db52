"""What a method of making a model cheaper has to answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from assay.checkpoints import Conversion


class Converter(ABC):
    """One method, decided for one model. `conversion` makes the same layers again when the model folder is loaded."""

    conversion: Conversion

    @abstractmethod
    def convert(self, model: nn.Module) -> nn.Module:
        """The trained dense model, converted; it may be changed."""

    def before_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:  # noqa: B027
        """Change the converted model before a step of its training, from 0."""

    def training_loss(self, model: nn.Module, loss: Any) -> Any:
        """The loss of a step, with what the method adds to it."""
        return loss

    def finish(self, model: nn.Module) -> nn.Module:
        """The trained model in the form that is saved; it may be changed."""
        return model
