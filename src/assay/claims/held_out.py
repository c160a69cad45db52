"""The judge's own file: held-out data and the score. It stays in the judge's process; models get inputs only.

def held_out(): ...              # batches: tuples of tensors (inputs..., targets), examples in dimension 0
def score(outputs, targets): ... # a loss for each example, tensor [n], lower is better
SCORE, UNIT = "loss", "nats"     # what the score is called
CAUSAL = True                    # inputs hold later targets: outputs may depend on nothing after their position
def loss(model, *batch): ...     # with make_optimizer(model): the training step, whose cost is measured then
def make_optimizer(model): ...
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from assay.core.own_file import import_own_file, words_of
from assay.core.tensors import TensorSpec
from assay.errors import InputError
from assay.referee.processes.tensors import spec_of

_SEE = "see docs/judge-model.md"


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs as a model gets them, and targets as it never does; contiguous, examples in dimension 0."""

    inputs: tuple[Tensor, ...]
    targets: Tensor

    @property
    def examples(self) -> int:
        """How many."""
        return int(self.targets.shape[0])

    def one(self, index: int) -> Batch:
        """A batch of one of them."""
        return Batch(
            tuple(each[index : index + 1].contiguous() for each in self.inputs), self.targets[index : index + 1]
        )


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A data file, loaded: its batches and what they are scored by."""

    path: Path
    text: str
    batches: tuple[Batch, ...]
    score: Callable[[Tensor, Tensor], Any]
    score_name: str
    unit: str
    causal: bool
    trains: bool
    """Whether the file has a training step."""

    @property
    def examples(self) -> int:
        """In all batches."""
        return sum(batch.examples for batch in self.batches)

    def digest(self) -> str:
        """sha256 over the file's text and every tensor."""
        digest = hashlib.sha256(self.text.encode())
        for batch in self.batches:
            for tensor in (*batch.inputs, batch.targets):
                digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
                digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        return digest.hexdigest()

    def losses(self, outputs: Tensor, batch: Batch) -> list[float]:
        """The score of each example. Raises InputError for a score that fails or gives no loss for each."""
        try:
            with torch.no_grad():
                found = self.score(outputs, batch.targets)
        except Exception as error:
            raise InputError("score() fails", value=words_of(error), rule=str(self.path), next_step=_SEE) from error
        if not isinstance(found, Tensor) or found.shape != (batch.examples,):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError("score() gives no loss for each example", value=str(shape),
                             rule=f"a tensor [{batch.examples}] for this batch", next_step=_SEE)  # fmt: skip
        return [float(value) for value in found.double()]


def load_held_out(path: Path) -> HeldOut:
    """The data file. Raises InputError for one that is missing, fails, lacks a function or holds too little."""
    loaded = import_own_file(path)
    for name, rule in (("held_out", "gives batches (inputs..., targets)"), ("score", "gives a loss for each example")):
        if not callable(getattr(loaded, name, None)):
            raise InputError(f"the data file has no {name}", value=str(path), rule=f"{name} {rule}", next_step=_SEE)
    try:
        batches = tuple(_batch(number, each) for number, each in enumerate(_iterate(loaded)))
    except InputError:
        raise
    except Exception as error:
        raise InputError("held_out() fails", value=words_of(error), rule=str(path), next_step=_SEE) from error
    data = HeldOut(
        path, path.read_text(), batches, loaded.score, str(getattr(loaded, "SCORE", "loss")),
        str(getattr(loaded, "UNIT", "")), bool(getattr(loaded, "CAUSAL", False)),
        callable(getattr(loaded, "loss", None)) and callable(getattr(loaded, "make_optimizer", None)),
    )  # fmt: skip
    if data.examples < 2:
        raise InputError("there are too few held-out examples", value=str(data.examples), rule="two at least",
                         next_step="give more of them")  # fmt: skip
    if data.causal and any(each.inputs[0].ndim < 2 or each.inputs[0].shape[1] < 2 for each in batches):
        raise InputError("CAUSAL data has no positions", value=str(tuple(batches[0].inputs[0].shape)),
                         rule="the first input is [examples, positions, ...]", next_step=_SEE)  # fmt: skip
    return data


def _iterate(loaded: ModuleType) -> Iterable[Any]:
    found = loaded.held_out()
    if isinstance(found, Tensor):
        raise InputError("held_out() gives one tensor", rule="batches: tuples (inputs..., targets)", next_step=_SEE)
    return list(found)


def _batch(number: int, found: Any) -> Batch:
    rule = "a tuple (inputs..., targets) of tensors on the CPU, as many examples in dimension 0 of each"
    tensors = tuple(found) if isinstance(found, tuple | list) else ()
    good = len(tensors) > 1 and all(isinstance(t, Tensor) and t.device.type == "cpu" and t.ndim for t in tensors)
    if not good or len({len(tensor) for tensor in tensors}) != 1 or not len(tensors[0]):
        shapes = [tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__ for t in tensors] or type(
            found
        ).__name__
        raise InputError("a held-out batch is no batch", value=f"batch {number}: {shapes}"[:300], rule=rule,
                         next_step=_SEE)  # fmt: skip
    inputs = tuple(tensor.detach().contiguous() for tensor in tensors[:-1])
    try:
        specs_of(inputs)
    except ValueError as error:
        raise InputError(
            "a held-out batch has inputs that no model can receive", value=str(error), rule=rule
        ) from error
    return Batch(inputs, tensors[-1].detach().contiguous())


def specs_of(tensors: Iterable[Tensor]) -> tuple[TensorSpec, ...]:
    """Their layouts; raises ValueError for types that cannot cross."""
    return tuple(spec_of("", tensor) for tensor in tensors)


def has_nan(outputs: Tensor) -> bool:
    """Whether a NaN is in it; infinity may be a mask."""
    return bool(torch.isnan(outputs).any())


def all_finite(losses: Iterable[float]) -> bool:
    """Whether every loss is a number."""
    return all(math.isfinite(loss) for loss in losses)
