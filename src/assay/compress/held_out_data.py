"""Held-out data for the judgement: a file of the user's, or one that is made from the training.

A training without held_out() and score() is judged on batches of numbers that its own training never uses, by its own
loss, one example at a time: the loss is given the model's recorded outputs in the place of the model. Whether that
gives what the loss gives of the model itself is tried before anything is trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.claims.held_out import load_held_out
from assay.compress.source import Source
from assay.compress.states import write_file
from assay.core.own_file import import_own_file, words_of
from assay.errors import InputError

FIRST_BATCH, BATCHES = 1_000_000_000, 32
"""No training here makes so many steps."""
_NAME = "data.py"
_TOLERANCE = 1e-3
"""Relative: means over examples in another order, in float32."""

_MADE = f'''

# Held-out data, written by assay compress: batches that training did not use, scored by the training's loss.
SCORE = "training loss"


def held_out():
    """Batches of numbers that training never uses."""
    return [tuple(get_batch(number)) for number in range({FIRST_BATCH}, {FIRST_BATCH + BATCHES})]


def score(outputs, targets):
    """The loss of each example, from the model's outputs."""
    import torch

    def of(index):
        others = [None] * (len(get_batch({FIRST_BATCH})) - 2)
        return loss(lambda *inputs: outputs[index], None, *others, targets[index])

    return torch.stack([of(slice(index, index + 1)) for index in range(len(targets))])
'''


@dataclass(frozen=True, slots=True)
class Data:
    """What is judged on: a file of the user's, or the text of one that is still to be written."""

    path: Path | None
    made: str = ""

    @property
    def words(self) -> str:
        """Where it is from."""
        if self.path is not None:
            return f"Held-out data and their score are those of {self.path}."
        return (
            f"Held-out data are {BATCHES} batches of numbers from {FIRST_BATCH:,} on, which no training step here "
            "uses; the score is the training's loss."
        )

    def digest(self) -> str:
        """sha256 of the file's text."""
        text = self.made.encode() if self.path is None else self.path.read_bytes()
        return hashlib.sha256(text).hexdigest()

    def file_in(self, folder: Path) -> Path:
        """The file, written into an output folder if need be. Raises MachineError where it cannot be."""
        if self.path is not None:
            return self.path
        write_file(folder / _NAME, self.made.encode())
        return folder / _NAME


def choose_data(source: Source, named: Path | None) -> Data:
    """The file that was named, else the training's own, else one that is made of it.

    Raises InputError for a training that has one of both functions, or whose loss cannot serve as a score.
    """
    if named is not None:
        load_held_out(named)
        return Data(named)
    loaded = import_own_file(source.path)
    own = [name for name in ("held_out", "score") if callable(getattr(loaded, name, None))]
    if len(own) == 2:
        load_held_out(source.path)
        return Data(source.path)
    if own:
        raise InputError("the training has one of held_out and score", value=own[0], rule="both, or none of them",
                         next_step="see docs/compress.md")  # fmt: skip
    _try_loss(source)
    return Data(None, source.text + _MADE)


def _try_loss(source: Source) -> None:
    """Whether the loss of recorded outputs, example by example, is the loss of the model."""
    recipe = source.recipe
    try:
        batch = tuple(recipe.get_batch(FIRST_BATCH))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = recipe.make_model().eval()
            expected, outputs = float(recipe.loss(model, *batch)), model(*batch[:-1])
            found = [float(_of_example(recipe.loss, outputs, batch, index)) for index in range(len(batch[-1]))]
    except Exception as error:
        raise _no_score(words_of(error)) from error
    mean = sum(found) / max(len(found), 1)
    if not abs(mean - expected) <= _TOLERANCE * abs(expected):
        raise _no_score(f"the mean over examples is {mean:.6g}, the batch's loss {expected:.6g}")


def _of_example(loss: Callable[..., Any], outputs: Any, batch: tuple[Any, ...], index: int) -> Any:
    one = slice(index, index + 1)
    return loss(lambda *_inputs: outputs[one], *[None] * (len(batch) - 1), batch[-1][one])


def _no_score(value: str) -> InputError:
    return InputError(
        "this training's loss cannot score held-out data", value=value[:300],
        rule="a mean over examples of what the model returns for all of a batch but its last tensor, the targets",
        next_step="define held_out() and score(outputs, targets) in the training, or name a file with --data",
    )  # fmt: skip
