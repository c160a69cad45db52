"""One run: train a model of an arm from a seed, and measure it on held-out text."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from benchmarks.moe.layers import Mixture
from benchmarks.moe.model import LanguageModel, make_model, parameters
from benchmarks.moe.settings import Settings, Training, Trial
from benchmarks.moe.text import Corpus, windows

_CURVE = 20
"""Points of a run's curve of the training loss."""
_LAST_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One run: an arm's name, its optimiser, a seed; `hidden` for arms whose units were chosen by measured cost."""

    arm: str
    trial: Trial
    seed: int
    hidden: int | None = None

    @property
    def name(self) -> str:
        """What the record calls it."""
        return f"{self.arm}, {self.trial}, seed {self.seed}"


def make_optimizer(model: nn.Module, training: Training, trial: Trial) -> torch.optim.Optimizer:
    """AdamW in PyTorch's fused form, the fastest that it has on a CPU."""
    return torch.optim.AdamW(
        model.parameters(), trial.rate, betas=(training.beta1, trial.beta2), weight_decay=training.weight_decay,
        fused=True,
    )  # fmt: skip


def train_step(model: LanguageModel, optimizer: torch.optim.Optimizer, tokens: Tensor, training: Training) -> Tensor:
    """Forward, backward, clipping, update: what a training step costs. Returns the loss in nats per byte, without the
    router's."""
    logits, router_loss = model(tokens[:, :-1])
    loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    (loss + router_loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def rate_share(step: int, steps: int, warm_up: float) -> float:
    """The share of the learning rate at a step counted from 0: a linear rise, then half a cosine down to a tenth."""
    rising = max(round(steps * warm_up), 1)
    if step < rising:
        return (step + 1) / rising
    through = (step - rising) / max(steps - rising, 1)
    return _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * through)) / 2


def train(run: Run, settings: Settings, corpus: Corpus) -> tuple[LanguageModel, dict[str, Any]]:
    """The trained model and its row. A loss that is not finite ends the run, and the row says so instead of bits."""
    arm = settings.arm(run.arm)
    shape, training = settings.of(arm), settings.training
    model = make_model(arm, settings, run.seed, run.hidden)
    optimizer = make_optimizer(model, training, run.trial)
    places = torch.Generator().manual_seed(run.seed)
    choosing = run.seed == settings.rate_seed
    steps = max(round(shape.steps * settings.sweep_share), 1) if choosing else shape.steps
    begun, began, losses = time.process_time(), time.monotonic(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = run.trial.rate * rate_share(step, steps, training.warm_up)
        try:
            loss = train_step(model, optimizer, corpus.batch(places, shape.batch, shape.context), training)
        except InputError:  # a router refuses logits that are not finite
            break
        losses.append(float(loss))
        if not math.isfinite(losses[-1]):
            break
    used = time.process_time() - begun, time.monotonic() - began
    finite = len(losses) == steps and math.isfinite(losses[-1])
    text = corpus.choosing if choosing else corpus.measuring
    chunks, loads = held_out(model, text, shape.context, shape.batch) if finite else ([], [])
    bits = sum(chunks) / len(chunks) if finite else math.nan
    total, active = parameters(model, arm)
    return model, {
        "name": run.name, "arm": run.arm, "rate": run.trial.rate, "beta2": run.trial.beta2,
        "seed": run.seed, "hidden": run.hidden or arm.hidden,
        "text": "choosing" if choosing else "measuring",
        "bits": bits if math.isfinite(bits) else None, "chunks": [round(each, 5) for each in chunks], "loads": loads,
        "steps": len(losses), "curve": _curve(losses) if finite else None,
        "parameters": total, "active": active, "cpu_s": round(used[0], 2), "wall_s": round(used[1], 2),
    }  # fmt: skip


@torch.inference_mode()
def held_out(model: LanguageModel, chunks: Tensor, context: int, batch: int) -> tuple[list[float], list[list[float]]]:
    """Mean bits per byte of every chunk, each byte predicted once, from at most `context` bytes before it; and for each
    mixture the share of its work that every expert got."""
    mixtures = [module for module in model.modules() if isinstance(module, Mixture)]
    for mixture in mixtures:
        mixture.counts = torch.zeros(mixture.moe.experts.num_experts, dtype=torch.int64)
    model.eval()
    parts = windows(chunks, context)
    bits = [_bits(model, chunk, batch) for chunk in parts]
    model.train()
    loads = []
    for mixture in mixtures:
        assert mixture.counts is not None
        loads.append([round(share, 4) for share in (mixture.counts / mixture.counts.sum()).tolist()])
        mixture.counts = None
    return bits, loads


def _bits(model: LanguageModel, parts: Tensor, batch: int) -> float:
    """Mean bits per byte over windows."""
    total = 0.0
    for start in range(0, parts.shape[0], batch):
        tokens = parts[start : start + batch]
        logits, _ = model(tokens[:, :-1])
        total += float(functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum"))
    return total / parts[:, 1:].numel() / math.log(2)


def _curve(losses: list[float]) -> list[float]:
    """Mean bits of each twentieth of the steps."""
    parts = torch.tensor(losses).tensor_split(min(_CURVE, len(losses)))
    return [round(float(part.mean()) / math.log(2), 4) for part in parts]
