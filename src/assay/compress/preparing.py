"""Decides what will be done to a training's model, and tries it on one batch before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from assay.checkpoints import ModelFolder, read_folder
from assay.checkpoints.loading import load_weights
from assay.claims.settings import ClaimSettings, Cost
from assay.compress.block_pruning import BlockPruner
from assay.compress.channel_pruning import ChannelPruner, choose_channels
from assay.compress.choosing import Choice, choose_linears, modules_that_run
from assay.compress.finishing import Finisher
from assay.compress.held_out_data import Data, choose_data
from assay.compress.method import Converter
from assay.compress.mixing import Mixer, choose_feed_forwards
from assay.compress.settings import STRUCTURED, CompressSettings, Mixture, Prune
from assay.compress.source import Source, load_source
from assay.compress.training import choose_seeds
from assay.compress.weight_pruning import WeightPruner, choose_weights
from assay.core.own_file import words_of
from assay.errors import AssayError, InputError


@dataclass(frozen=True, slots=True)
class Compression:
    """What will be done, and what will be claimed of it; nothing is trained yet."""

    source: Source
    settings: CompressSettings
    claim: ClaimSettings
    choice: Choice
    converter: Converter
    data: Data
    start: ModelFolder | None

    @property
    def words(self) -> tuple[str, ...]:
        """What both models will be trained and judged on, in sentences."""
        seeds = len(choose_seeds(self.settings, self.start))
        first = f"the weights in {self.start.path}" if self.start else f"{self.settings.steps} steps of the dense model"
        return (
            f"{'Once' if seeds == 1 else f'For each of {seeds} seeds'}: {first}, then {self.settings.further_steps} "
            "more of it and as many of the cheaper model, on the same batches, each with a new optimiser.",
            self.data.words,
        )

    def plan(self) -> dict[str, Any]:
        """What a run has to have in common with an earlier one to go on with it, the claim's margin included."""
        return {
            **self.settings.to_json(), "training": self.source.sha256, "data": self.data.digest(),
            "start": self.start.identity if self.start is not None else None, "claim": self.claim.to_json(),
        }  # fmt: skip


def prepare(
    path: str | Path, settings: CompressSettings, claim: ClaimSettings | None = None, data: str | Path | None = None,
    start: str | Path | None = None,
) -> Compression:  # fmt: skip
    """Load a training file, choose layers, and try the converted model on one batch.

    Args:
        path: of the training (docs/training.md).
        settings: what to do.
        claim: what will be claimed of the result; the defaults claim throughput at a margin of 0.02.
        data: a file with held_out() and score(outputs, targets), where the training has none.
        start: a model folder whose weights are taken instead of training dense models.

    Raises InputError for a training that does not serve, for layers that cannot be chosen, for data that cannot be
    scored, and for a folder that does not fit.
    """
    source = load_source(Path(path))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, folder = _make_model(source), None
        if start is not None:
            folder = _read_start(Path(start))
            load_weights(model, folder.weights())
        claim = claim or ClaimSettings()
        choice, converter = _decide(model, source, settings, claim)
        _try(converter, model, source)
        chosen = choose_data(source, None if data is None else Path(data))
    return Compression(source, settings, claim, choice, converter, chosen, folder)


def _decide(
    model: nn.Module, source: Source, settings: CompressSettings, claim: ClaimSettings
) -> tuple[Choice, Converter]:
    recipe, method = source.recipe, settings.method
    if isinstance(method, Mixture):
        choice, width = choose_feed_forwards(model, method, settings.modules)
        return choice, Mixer(method, choice, width)
    if isinstance(method, Prune):
        finisher = Finisher(model, recipe, claim.costs == (Cost.LATENCY,))
        if method.method != STRUCTURED:
            choice = choose_weights(model, method, settings.modules)
            return choice, WeightPruner(method, choice, recipe, settings.further_steps, finisher)
        ran = modules_that_run(model, recipe.loss, recipe.get_batch(0))
        choice = choose_channels(model, method, ran, settings.modules)
        return choice, ChannelPruner(method, choice, model, recipe, finisher)
    choice = choose_linears(model, recipe.loss, recipe.get_batch(0), method, settings.modules)
    return choice, BlockPruner(method, choice, settings.further_steps)


def _try(converter: Converter, model: nn.Module, source: Source) -> None:
    """One loss and its gradients, so that a model that does not take the new layers is met before any training."""
    try:
        converted = converter.convert(model).train()
        source.recipe.make_optimizer(converted)
        converter.training_loss(converted, source.recipe.loss(converted, *source.recipe.get_batch(0))).backward()
    except AssayError:
        raise
    except Exception as error:
        raise InputError(
            "the model does not run with the converted layers", value=words_of(error),
            rule="what it asks of a layer is its output",
            next_step="leave the layer out: --modules names those that are converted",
        ) from error  # fmt: skip


def _make_model(source: Source) -> nn.Module:
    try:
        model = source.recipe.make_model()
    except Exception as error:
        raise InputError("make_model() fails", value=words_of(error), rule=str(source.path)) from error
    if not isinstance(model, nn.Module):
        raise InputError("make_model() makes no nn.Module", value=type(model).__name__, rule=str(source.path))
    return model.train()


def _read_start(path: Path) -> ModelFolder:
    folder = read_folder(path)
    if folder.conversions:
        raise InputError(
            "the model to begin with is converted already", value=f"{path}: {folder.conversions[0].name}",
            rule="--dense names a folder of dense models",
        )  # fmt: skip
    return folder
