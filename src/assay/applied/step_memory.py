"""The memory of a training step: what a kernel reads and what it writes, and which of it is the model's at present."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.engineer.training.memory import flat_size, views_of


class StepMemory:
    """Copies of everything that a step changes: two of the buffers, and one or two of the rest. `side` is what counts.

    `flat[side]` are the flat tensors: all parameters, then the optimiser's slots. `parameters[side]` and `slots[side]`
    are views of them by parameter.
    """

    def __init__(self, parameters: Sequence[Any], buffers: Sequence[Any], slots: int, copies: int) -> None:
        import torch

        self.side, self.copies = 0, copies
        size = flat_size(parameters)
        self._owners, self._owned_buffers = list(parameters), list(buffers)
        self.gradient = torch.zeros(size)
        self.gradients = views_of(self.gradient, parameters)
        self.flat = [[torch.zeros(size) for _ in range(1 + slots)] for _ in range(copies)]
        self.parameters = [views_of(flat[0], parameters) for flat in self.flat]
        self.slots = [[views_of(one, parameters) for one in flat[1:]] for flat in self.flat]
        self.buffers = [[buffer.detach().clone() for buffer in buffers] for _ in range(2)]
        for mine, parameter in zip(self.parameters[0], parameters, strict=True):
            mine.copy_(parameter.detach())
        self._show()

    def turn(self) -> None:
        """The other copy counts from now on."""
        self.side = 1 - self.side
        self._show()

    def is_shown(self) -> bool:
        """Whether the model's parameters are still this memory, and still trained."""
        mine = self.parameters[self.side % self.copies]
        return all(p.requires_grad and p.data_ptr() == m.data_ptr() for p, m in zip(self._owners, mine, strict=True))

    def _show(self) -> None:
        for parameter, mine in zip(self._owners, self.parameters[self.side % self.copies], strict=True):
            parameter.data = mine
        for buffer, mine in zip(self._owned_buffers, self.buffers[self.side], strict=True):
            buffer.data = mine
