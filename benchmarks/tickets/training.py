"""One training: masked, with a look at the validation loss every so many steps, and the test accuracy at two places."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.prune import Mask, Masked
from benchmarks.tickets.images import Part, Parts
from benchmarks.tickets.settings import Settings


def train(
    network: nn.Sequential, mask: Mask, parts: Parts, settings: Settings, order: int, steps: int, last_rate: float = 1.0
) -> dict[str, Any]:
    """Train in place and say what came of it.

    Args:
        network: ends with the weights of the last step.
        mask: what stays; the rest is zero at every step.
        order: seed of the order of the images.
        steps: how many batches.
        last_rate: the rate falls linearly to this share of it.

    Early stopping is the step of least validation loss, the first of equal ones. `stopped` and `ended` are test images
    that were classified correctly there and after the last step. Raises InputError where the loss is not finite.
    """
    begun, rate = time.process_time(), settings.training.rate
    optimizer = torch.optim.Adam(network.parameters(), rate, fused=True)
    masked = Masked(network, mask, optimizer)
    losses: list[float] = []
    best: dict[str, Tensor] = {}
    for step, chosen in enumerate(batches(len(parts.training.labels), settings.training.batch, order, steps)):
        optimizer.param_groups[0]["lr"] = rate * (1 - (1 - last_rate) * step / steps)
        logits = network(parts.training.images[chosen])
        functional.cross_entropy(logits, parts.training.labels[chosen]).backward()  # type: ignore[no-untyped-call]
        masked.before_step()
        optimizer.step()  # `after_step` is not needed: without decay Adam leaves a weight that never had a gradient
        optimizer.zero_grad()
        if (step + 1) % settings.training.evaluate_every == 0:
            losses.append(validation_loss(network, parts.validation))
            if not math.isfinite(losses[-1]):
                raise InputError("the training diverged", value=f"step {step + 1}", next_step="lower the rate")
            if losses[-1] < min(losses[:-1], default=math.inf):
                best = {name: value.clone() for name, value in network.state_dict().items()}
    last = {name: value.clone() for name, value in network.state_dict().items()}
    ended = count_correct(network, parts.test)
    network.load_state_dict(best)
    stopped = count_correct(network, parts.test)
    network.load_state_dict(last)
    return {
        "kept": [int((network.get_parameter(name) != 0).sum()) for name in mask],
        "step": (losses.index(min(losses)) + 1) * settings.training.evaluate_every,
        "stopped": stopped, "ended": ended, "losses": [round(loss, 5) for loss in losses],
        "cpu_s": round(time.process_time() - begun, 2),
    }  # fmt: skip


def batches(images: int, batch: int, seed: int, steps: int) -> Iterator[Tensor]:
    """Places of images: a new order for every pass over them; what is left of a pass and fills no batch is skipped."""
    drawing, each = torch.Generator().manual_seed(seed), images // batch
    for step in range(steps):
        if step % each == 0:
            order = torch.randperm(images, generator=drawing)
        yield order[step % each * batch : (step % each + 1) * batch]


@torch.inference_mode()
def validation_loss(network: nn.Sequential, part: Part) -> float:
    """Mean cross-entropy."""
    return float(functional.cross_entropy(network(part.images), part.labels))


@torch.inference_mode()
def count_correct(network: nn.Sequential, part: Part) -> int:
    """How many images get their own label."""
    return int((network(part.images).argmax(1) == part.labels).sum())
