"""Training with pruned weights at exactly zero, whatever the optimiser.

An optimiser moves a weight whose gradient is zero all the same: by momentum, by Adam's moments, by decay. So three
things are done around its step: gradients of pruned weights are cleared before it, and weights and everything that the
optimiser keeps for them after it. The model's forward pass stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from assay.pruning.masks import Mask, check_mask
from assay.pruning.protocol import Data


class Masked:
    """A model, its mask and its optimiser; call `before_step` and `after_step` around every `optimizer.step()`.

        masked = Masked(model, mask, optimizer)
        for batch in batches:
            loss(model, *batch).backward()
            masked.before_step()  # before clipping, so that pruned weights' gradients count for nothing
            optimizer.step()
            masked.after_step()
            optimizer.zero_grad()

    Kept by the optimiser for a parameter and cleared is what has the parameter's shape: momentum, Adam's moments.
    A step that computes gradients again inside (LBFGS) sees them unmasked; weights still end at zero.

    Args:
        model: its weights outside of the mask become zero now.
        mask: what stays.
        optimizer: of the model's parameters.

    Raises InputError for a mask that does not fit the model.
    """

    def __init__(self, model: nn.Module, mask: Mask, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self.set_mask(mask)

    @property
    def mask(self) -> dict[str, Tensor]:
        """A copy of the mask: what is done to it changes nothing here."""
        return {name: ~gone for name, (_, gone) in self._gone.items()}

    def set_mask(self, mask: Mask) -> None:
        """Go on with another mask. A weight that comes back does so as a zero, without a history in the optimiser.

        Raises InputError for a mask that does not fit the model.
        """
        parameters = check_mask(self._model, mask)
        self._gone = {name: (parameter, ~mask[name]) for name, parameter in parameters.items()}
        self.before_step()
        self.after_step()

    def step(self) -> None:
        """The optimiser's step between both, and no gradients after it."""
        self.before_step()
        self._optimizer.step()
        self.after_step()
        self._optimizer.zero_grad()

    def zero_grad(self) -> None:
        """The optimiser's."""
        self._optimizer.zero_grad()

    @torch.no_grad()
    def before_step(self) -> None:
        """Clear the gradients of pruned weights."""
        for parameter, gone in self._gone.values():
            if parameter.grad is not None:
                parameter.grad.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Set pruned weights, and what the optimiser keeps for them, to zero."""
        for parameter, gone in self._gone.values():
            parameter.masked_fill_(gone, 0.0)
            for kept in self._optimizer.state.get(parameter, {}).values():
                if isinstance(kept, Tensor) and kept.shape == parameter.shape:
                    kept.masked_fill_(gone, 0.0)


def train(
    model: nn.Module, data: Data, masked: Masked, steps: Iterable[int],
    before_update: Callable[[int], object] | None = None, penalty: Callable[[], Tensor] | None = None,
) -> list[float]:  # fmt: skip
    """Train a model in training mode, in place, on the batches of these numbers; returns their losses.

    Args:
        model: the masked one.
        data: its loss and batches.
        masked: the same model with its mask and optimiser.
        steps: numbers of batches, one a step.
        before_update: called with the step when gradients are there and not masked yet; what is true skips the update.
        penalty: is added to the loss, and not returned.

    Raises InputError for a loss that fails or is not finite.
    """
    model.train()
    losses = []
    for step in steps:
        loss = data.loss_of(model, step)
        losses.append(float(loss.detach()))
        masked.zero_grad()
        torch.autograd.backward(loss if penalty is None else loss + penalty())
        if before_update is None or not before_update(step):
            masked.step()
    masked.zero_grad()
    return losses
