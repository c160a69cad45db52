"""A training step by certified kernels: one call for loss and gradients, one for the optimiser's update.

Parameters, their gradients and the optimiser's state lie in flat memory, each twice: a kernel reads one copy and writes
the other, for its outputs may not be its inputs, and the tensors of the model move along. The original step serves
whatever does not fit, on the same memory, and both are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from assay.applied.dispatch import Layout
from assay.applied.kernel import Calls, CertifiedKernel, PreparedCall, load_kernels
from assay.applied.step_memory import StepMemory
from assay.engineer.convert import key_of
from assay.engineer.training.gradients import Gradients, convert_gradients
from assay.engineer.training.recipe import plain_step
from assay.engineer.training.update import Update, settings_of, update_for
from assay.errors import InputError

_ADAM_SLOT = "exp_avg"
"""Of the optimisers that count their steps."""


class TrainingStep:
    """Called with a batch it makes one step and returns the loss, a tensor without dimensions.

    Args:
        model, optimizer: trained in place. Their tensors keep their identity; `parameter.grad` stays None.
        loss: `loss(model, *batch)`, for the original step.
        batch: of the layout that the kernels were certified for.
        gradients, update: what they were certified for.
        update_kernel: None where the optimiser makes its update itself, on the gradients of the other kernel.

    `calls` counts steps by kernels and by the original, with its reasons. Parameters must be float32 and contiguous.
    """

    def __init__(
        self, model: Any, optimizer: Any, loss: Callable[..., Any], batch: Sequence[Any], gradients: Gradients,
        update: Update, gradient_kernel: CertifiedKernel, update_kernel: CertifiedKernel | None,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.calls = Calls()
        self._gradients, self._update = gradients, update
        self._layouts = [Layout.of(tensor) for tensor in batch]
        self._parameters = [model.get_parameter(name) for name in gradients.parameters]
        self._buffers = [model.get_buffer(name) for name in gradients.buffers]
        self._slots = update.slots if update_kernel is not None else ()
        self._memory = StepMemory(self._parameters, self._buffers, len(self._slots), 1 if update_kernel is None else 2)
        self._steps = _steps_of(optimizer, self._parameters)
        self._adopt_state()
        self._calls = [self._prepared(batch, gradient_kernel, update_kernel, side) for side in (0, 1)]
        optimizer.register_state_dict_pre_hook(lambda _optimizer: self._show_state())
        optimizer.register_load_state_dict_post_hook(lambda _optimizer: self._adopt_state())

    def __call__(self, *batch: Any) -> Any:
        """One step."""
        reason = self._unfit(batch)
        if reason:
            self.calls.refuse(reason)
            return self._original(batch)
        self.calls.certified += 1
        gradient, update, results = self._calls[self._memory.side]
        gradient.give(batch)
        gradient.run()
        self._steps += 1
        if update is None:
            self._step_by_optimizer()
        else:
            update.run(self._update.numbers(self._steps, float(self.optimizer.param_groups[0]["lr"])))
        self._memory.turn()
        return results.clone()

    def _step_by_optimizer(self) -> None:
        for parameter, gradient in zip(self._parameters, self._memory.gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        for parameter in self._parameters:
            parameter.grad = None

    def _unfit(self, batch: Sequence[Any]) -> str:
        """Why the original has to serve; empty where the kernels fit."""
        if [Layout.of(tensor) for tensor in batch] != self._layouts:
            return "another layout of the batch"
        if not self.model.training:
            return "the model is not in training mode"
        if settings_of(self.optimizer) != dict(self._update.settings):
            return "the optimiser's options have changed"
        if not self._memory.is_shown():
            return "a parameter was frozen, or has other memory"
        return ""

    def _original(self, batch: Sequence[Any]) -> Any:
        self._show_state()
        found = plain_step(self.loss, self.model, self.optimizer, batch)
        self.optimizer.zero_grad()
        self._adopt_state()
        return found

    def _prepared(
        self, batch: Sequence[Any], gradient: CertifiedKernel, update: CertifiedKernel | None, side: int
    ) -> tuple[PreparedCall, PreparedCall | None, Any]:
        """Both calls while `side` is the copy that is read, and where the loss will be."""
        import torch

        memory, other = self._memory, 1 - side
        own = dict(zip(self._gradients.parameters, memory.parameters[side % memory.copies], strict=True))
        own |= dict(zip(self._gradients.buffers, memory.buffers[side], strict=True))
        rest = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        weights = [own[name] if name in own else rest[name].detach() for name in self._gradients.converted.weight_names]
        loss = torch.empty(())
        made = [loss, *memory.gradients, *memory.buffers[other]]
        flat, count = memory.flat, len(self._update.numbers(1, 0.0))
        first = gradient.prepare(batch, weights, made)
        if update is None:
            return first, None, loss
        return first, update.prepare([flat[side][0], memory.gradient, *flat[side][1:]], [], flat[other], count), loss

    def _show_state(self) -> None:
        """The optimiser's own state as it is now: views of the copy that counts."""
        import torch

        for number, parameter in enumerate(self._parameters):
            state = self.optimizer.state[parameter]
            if _ADAM_SLOT in self._slots:
                state["step"] = torch.tensor(float(self._steps))
            for slot, name in enumerate(self._slots):
                state[name] = self._memory.slots[self._memory.side][slot][number]

    def _adopt_state(self) -> None:
        """What the optimiser holds, into the copy that counts."""
        self._steps = _steps_of(self.optimizer, self._parameters)
        for number, parameter in enumerate(self._parameters):
            state = self.optimizer.state[parameter]
            for slot, name in enumerate(self._slots):
                mine = self._memory.slots[self._memory.side][slot][number]
                if state.get(name) is not None and state[name].data_ptr() != mine.data_ptr():
                    mine.copy_(state[name])


def _steps_of(optimizer: Any, parameters: Sequence[Any]) -> int:
    """How many steps an optimiser has made; SGD does not count them."""
    return max((int(optimizer.state[p].get("step", 0)) for p in parameters if p in optimizer.state), default=0)


def apply_to_training(
    model: Any, optimizer: Any, loss: Callable[..., Any], certificates: Iterable[Mapping[str, Any]],
    example_batch: Sequence[Any],
) -> TrainingStep:  # fmt: skip
    """A step for `model`, `optimizer` and `loss(model, *batch)` by the certificates of its two parts.

    Without one of the update the optimiser makes its own. Raises InputError for a certificate that does not accept or
    does not verify, and where none is about the gradients.
    """
    return step_by_kernels(model, optimizer, loss, load_step_kernels(certificates), example_batch)


def load_step_kernels(certificates: Iterable[Mapping[str, Any]]) -> dict[str, CertifiedKernel]:
    """For `step_by_kernels`, which may share them among models. Raises as `load_kernels` does."""
    return load_kernels(certificates, lambda task: key_of(task) or task.identity)


def step_by_kernels(
    model: Any, optimizer: Any, loss: Callable[..., Any], kernels: Mapping[str, CertifiedKernel],
    example_batch: Sequence[Any],
) -> TrainingStep:  # fmt: skip
    """As `apply_to_training`, with kernels that are loaded already."""
    gradients = convert_gradients(model, loss, example_batch, "step")
    update = update_for(gradients, model, optimizer)
    if gradients.converted.key not in kernels:
        raise InputError(
            "no certificate is about this training step", value=", ".join(kernels)[:200],
            rule="the same model, loss and layout of a batch as in assay optimize --train",
        )  # fmt: skip
    by_kernel = kernels[gradients.converted.key]
    return TrainingStep(
        model, optimizer, loss, example_batch, gradients, update, by_kernel, kernels.get(update.task.identity)
    )
