"""One training: masked, with a look at the validation loss every so many steps, and the test accuracy at two places."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.pruning.masks import Mask
from assay.pruning.training import Masked
from benchmarks.tickets.gradients import Gradients
from benchmarks.tickets.images import Part, Parts
from benchmarks.tickets.settings import Settings


@dataclass(frozen=True, slots=True)
class Course:
    """How a training goes.

    Args:
        steps: how many batches.
        last_rate: the rate falls linearly to this share of it.
        thin: makes the mask before a step from the network, the mask so far and the step's number, counted from 0.
        thinned: after so many steps the mask is final; only what is seen from there on can be where training stops.
    """

    steps: int
    last_rate: float = 1.0
    thin: Callable[[nn.Module, Mask, int], Mask] | None = None
    thinned: int = 0


def train(
    network: nn.Module, mask: Mask, parts: Parts, settings: Settings, order: int, course: Course
) -> dict[str, Any]:
    """Train in place and say what came of it.

    Args:
        network: ends with the weights of the last step.
        mask: what stays; the rest is zero at every step.
        order: seed of the order of the images.

    Early stopping is the step of least validation loss, the first of equal ones. `stopped` and `ended` are test images
    that were classified correctly there and after the last step. Raises InputError where the loss is not finite.
    """
    begun, rate, every = time.process_time(), settings.training.rate, settings.training.evaluate_every
    optimizer = torch.optim.Adam(network.parameters(), rate, fused=True)
    masked, gradients = Masked(network, mask, optimizer), Gradients(network)
    losses: dict[int, float] = {}
    best: dict[str, Tensor] = {}
    for step, chosen in enumerate(batches(len(parts.training.labels), settings.training.batch, order, course.steps)):
        optimizer.param_groups[0]["lr"] = rate * (1 - (1 - course.last_rate) * step / course.steps)
        if course.thin is not None and (thinner := course.thin(network, mask, step)) is not mask:
            masked.set_mask(mask := thinner)
        gradients.write(parts.training.images[chosen], parts.training.labels[chosen])
        masked.before_step()
        optimizer.step()  # no `after_step`: without decay Adam does not move a weight without gradient and moments
        if (step + 1) % every == 0 and step >= course.thinned:
            losses[step + 1] = validation_loss(network, parts.validation)
            if not math.isfinite(losses[step + 1]):
                raise InputError("the training diverged", value=f"step {step + 1}", next_step="lower the rate")
            if min(losses, key=losses.__getitem__) == step + 1:
                best = _weights(network)
    last, ended = _weights(network), count_correct(network, parts.test)
    network.load_state_dict(best)
    stopped = count_correct(network, parts.test)
    network.load_state_dict(last)
    return {
        "kept": [int((network.get_parameter(name) != 0).sum()) for name in mask],
        "step": min(losses, key=losses.__getitem__), "stopped": stopped, "ended": ended,
        "losses": [round(loss, 5) for loss in losses.values()], "cpu_s": round(time.process_time() - begun, 2),
    }  # fmt: skip


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def batches(images: int, batch: int, seed: int, steps: int) -> Iterator[Tensor]:
    """Places of images: a new order for every pass over them; what is left of a pass and fills no batch is skipped."""
    drawing, each = torch.Generator().manual_seed(seed), images // batch
    for step in range(steps):
        if step % each == 0:
            order = torch.randperm(images, generator=drawing)
        yield order[step % each * batch : (step % each + 1) * batch]


@torch.inference_mode()
def validation_loss(network: nn.Module, part: Part) -> float:
    """Mean cross-entropy."""
    return float(functional.cross_entropy(network(part.images), part.labels))


@torch.inference_mode()
def count_correct(network: nn.Module, part: Part) -> int:
    """How many images get their own label."""
    return int((network(part.images).argmax(1) == part.labels).sum())
