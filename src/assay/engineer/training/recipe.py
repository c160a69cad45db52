"""The user's own training: FILE.py with make_model, make_optimizer, loss and get_batch, loaded into this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.own_file import import_own_file
from assay.errors import InputError

_FUNCTIONS = {
    "make_model": "returns the nn.Module to train",
    "make_optimizer": "takes the model and returns a torch.optim optimiser of its parameters",
    "loss": "takes the model and a batch's tensors and returns a scalar tensor",
    "get_batch": "takes a number and returns that batch as a tuple of tensors",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. `get_batch(number)` gives the same batch for the same number.

    `make_scheduler(optimizer, steps)` is the file's own where it has one: a learning-rate scheduler of torch that takes
    a step after each of so many training steps.
    """

    name: str
    make_model: Callable[[], Any]
    make_optimizer: Callable[[Any], Any]
    loss: Callable[..., Any]
    get_batch: Callable[[int], tuple[Any, ...]]
    make_scheduler: Callable[[Any, int], Any] | None = None

    def start(self, seed: int) -> tuple[Any, Any]:
        """A new model in training mode, and its optimiser."""
        import torch

        torch.manual_seed(seed)
        model = self.make_model().train()
        return model, self.make_optimizer(model)

    def step(self, model: Any, optimizer: Any, batch: tuple[Any, ...]) -> Any:
        """One step as PyTorch makes it; returns the loss."""
        return plain_step(self.loss, model, optimizer, batch)


def plain_step(loss: Callable[..., Any], model: Any, optimizer: Any, batch: Sequence[Any]) -> Any:
    """One training step as PyTorch makes it; returns the loss."""
    optimizer.zero_grad()
    found = loss(model, *batch)
    found.backward()
    optimizer.step()
    return found.detach()


def load_recipe(path: Path) -> Recipe:
    """The recipe in a file. Raises InputError for a file that is missing, fails, or lacks one of the functions."""
    loaded = import_own_file(path)
    for name, rule in _FUNCTIONS.items():
        if not callable(getattr(loaded, name, None)):
            raise InputError(
                f"the file has no {name}", value=str(path), rule=f"{name} {rule}", next_step="see docs/training.md"
            )
    scheduler = getattr(loaded, "make_scheduler", None)
    return Recipe(path.stem, loaded.make_model, loaded.make_optimizer, loaded.loss, loaded.get_batch, scheduler)
