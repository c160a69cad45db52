"""Trains both models of every seed: the dense one, then it and the converted one as long on the same batches.

Both go on with a new optimiser of the recipe, so that the dense model has neither fewer steps nor an older optimiser
than the one that it is compared with. What a phase leaves is a state on disk: the next one begins there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import nn

from assay.checkpoints import ModelFolder
from assay.checkpoints.loading import load_weights
from assay.compress.method import Converter
from assay.compress.phases import Phase, Trained, train
from assay.compress.settings import CompressSettings
from assay.compress.source import Source
from assay.compress.states import States

INTERVAL_S = 30.0
"""Between two states of a phase: what a killed run loses at most."""

Progress = Callable[..., None]
"""Called with what is being done, the share that is done, and a detail that changes."""


class Part(Enum):
    """The phases of a seed."""

    DENSE = "dense"
    """The model before anything is done to it."""
    DENSE_FURTHER = "dense-further"
    """The same, trained on."""
    CHEAP = "cheap"
    """The same, converted and trained on."""


@dataclass(frozen=True, slots=True)
class Seed:
    """Both models of a seed, and the losses of all parts that were trained here."""

    dense: nn.Module
    cheap: nn.Module
    losses: dict[str, list[float]]


class Trainer:
    """Trains seed by seed.

    Args:
        source: the training.
        settings: how long.
        converter: what makes a model cheaper.
        states: of this run.
        start: a model folder to begin with instead of training dense models.
        progress: is told about every step.
    """

    def __init__(
        self, source: Source, settings: CompressSettings, converter: Converter, states: States,
        start: ModelFolder | None, progress: Progress,
    ) -> None:  # fmt: skip
        self._source, self._settings, self._converter = source, settings, converter
        self._states, self._start, self._progress = states, start, progress
        self.seeds = choose_seeds(settings, start)
        own = 0 if start is not None else settings.steps
        self._done, self._all = 0, len(self.seeds) * (own + 2 * settings.further_steps)

    def train(self, number: int, seed: int) -> Seed:
        """The models of one seed, the `number`-th."""
        losses = {}
        begin = self._loaded(seed)
        if self._start is None:
            dense = self._train(Part.DENSE, number, seed, self._source.recipe.make_model)
            losses[Part.DENSE.value] = dense.losses
            begin = self._copied(dense.model)
        further = self._train(Part.DENSE_FURTHER, number, seed, begin)
        cheap = self._train(Part.CHEAP, number, seed, lambda: self._converter.convert(begin()))
        losses |= {Part.DENSE_FURTHER.value: further.losses, Part.CHEAP.value: cheap.losses}
        return Seed(further.model.eval(), self._converter.finish(cheap.model).eval(), losses)

    def _train(self, part: Part, number: int, seed: int, make: Callable[[], nn.Module]) -> Trained:
        settings, converter = self._settings, self._converter
        first = number * (settings.steps + settings.further_steps) + (0 if part is Part.DENSE else settings.steps)
        steps = settings.steps if part is Part.DENSE else settings.further_steps
        phase = Phase(f"seed-{seed}-{part.value}", seed, make, steps, first, self._source.recipe.loss)
        if part is Part.CHEAP:
            phase = Phase(phase.name, seed, make, steps, first, self._converted_loss, converter.before_step)
        before = self._done

        def told(step: int, loss: float) -> None:
            self._done = before + step
            what = f"training seed {number + 1} of {len(self.seeds)}, {part.value}"
            self._progress(what, self._done / self._all, f"step {step} of {steps}, loss {loss:.4g}")

        found = train(phase, self._source.recipe, self._states, told, INTERVAL_S)
        self._done = before + steps
        return found

    def _converted_loss(self, model: nn.Module, *batch: Any) -> Any:
        return self._converter.training_loss(model, self._source.recipe.loss(model, *batch))

    def _copied(self, model: nn.Module) -> Callable[[], nn.Module]:
        """Makes the model again, with these weights."""
        weights = {name: value.clone() for name, value in model.state_dict().items()}

        def make() -> nn.Module:
            made: nn.Module = self._source.recipe.make_model()
            made.load_state_dict(weights)
            return made

        return make

    def _loaded(self, seed: int) -> Callable[[], nn.Module]:
        """Makes the model again, with the start's weights of a seed."""
        start = self._start

        def make() -> nn.Module:
            assert start is not None
            file = start.weights(seed if start.seeds else None)
            return load_weights(self._source.recipe.make_model(), file)

        return make


def choose_seeds(settings: CompressSettings, start: ModelFolder | None) -> list[int]:
    """0, 1, ... or the first ones of a model folder."""
    if start is None or not start.seeds:
        return list(range(settings.seeds))
    return list(start.seeds[: settings.seeds])
