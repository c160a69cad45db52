"""What is compared: a trained model, one way of pruning it in one shot, and its bits per byte on held-out text."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.pruning.masks import apply_mask, density, full_mask, nonzero_mask
from assay.pruning.methods.sparsegpt import Sparsegpt, reconstruct
from assay.pruning.protocol import Data
from assay.pruning.registry import find_method, make_hparams
from benchmarks.moe.model import LanguageModel
from benchmarks.moe.settings import Settings, Trial
from benchmarks.moe.text import Corpus
from benchmarks.moe.training import Run, held_out, train

ARM, TRIAL = "dense-x4", Trial(0.02, 0.95)
"""The dense model of benchmarks/moe; a pilot of its own chose these settings of AdamW for so short a training."""
BATCH, STEPS = 32, 600
"""Some two minutes of one core: what pruning loses shows on a model that is not trained to its end."""
SPARSITIES = (0.5, 0.7)
NAMES = ("attentions.*", "feed_forwards.*")
"""All products but the head, as in both papers."""
CHUNKS = 12
"""Of 16 KB, of the measuring text."""
BATCHES = 4
"""Of calibration, 32 sequences each: 128 in all, as in both papers, of the training text."""
_FIRST_CALIBRATION_SEED = 10_000

Pruned = Callable[[LanguageModel, Data, float], LanguageModel]


def by_mask(method: str, **options: Any) -> Pruned:
    """A copy without what a method's mask takes."""

    def prune(model: LanguageModel, data: Data, sparsity: float) -> LanguageModel:
        hparams = make_hparams(method, {"sparsity": sparsity, **options})
        pruned = copy.deepcopy(model)
        apply_mask(pruned, find_method(method).method(hparams, model, data, full_mask(model, NAMES)))
        return pruned

    return prune


def by_reconstruction(model: LanguageModel, data: Data, sparsity: float) -> LanguageModel:
    """A copy with SparseGPT's mask and weights."""
    pruned = copy.deepcopy(model)
    reconstruct(Sparsegpt(sparsity, batches=BATCHES), model, data, full_mask(model, NAMES)).apply(pruned)
    return pruned


WAYS: dict[str, Pruned] = {
    "SparseGPT": by_reconstruction,
    "SparseGPT, mask alone": by_mask("sparsegpt", batches=BATCHES),
    "Wanda": by_mask("wanda", batches=BATCHES),
    "magnitude, each layer": by_mask("magnitude", scope="local"),
    "magnitude, all layers": by_mask("magnitude"),
    "random": by_mask("random", scope="local"),
}


def measure(seed: int, settings: Settings, corpus: Corpus, steps: int) -> dict[str, Any]:
    """Train a seed's model and prune it in all ways: a row of results."""
    experiments = {
        name: dataclasses.replace(each, steps=steps, batch=min(BATCH, each.batch))
        for name, each in settings.experiments.items()
    }
    settings = dataclasses.replace(settings, experiments=experiments)
    shape = settings.of(settings.arm(ARM))
    corpus = dataclasses.replace(corpus, measuring=corpus.measuring[:CHUNKS])
    model, dense = train(Run(ARM, TRIAL, seed), settings, corpus)
    data = calibration(corpus, shape.batch, shape.context)
    found: list[dict[str, Any]] = []
    for sparsity in SPARSITIES if dense["bits"] is not None else ():  # a model that diverged has nothing to prune
        for way, prune in WAYS.items():
            pruned = prune(model, data, sparsity)
            chunks, _ = held_out(pruned, corpus.measuring, shape.context, shape.batch)
            gone = 1 - density(nonzero_mask(pruned, NAMES))
            found.append({"way": way, "sparsity": sparsity, "zeros": round(gone, 6), "bits": sum(chunks) / len(chunks)})
    return {
        "name": f"seed {seed}", "seed": seed, "dense": dense["bits"], "steps": dense["steps"],
        "parameters": dense["parameters"], "cpu_s": dense["cpu_s"], "pruned": found,
    }  # fmt: skip


def calibration(corpus: Corpus, size: int, context: int) -> Data:
    """Batches of the training text, none of them drawn as the training draws its own."""

    def get_batch(number: int) -> tuple[Tensor, ...]:
        return (corpus.batch(torch.Generator().manual_seed(_FIRST_CALIBRATION_SEED + number), size, context),)

    return Data(get_batch, next_byte_loss)


def next_byte_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Of [batch, tokens], in nats."""
    logits, _ = model(tokens[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
