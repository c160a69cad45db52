"""The whole of it: train both models, write them, and have them judged from what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from assay.checkpoints import Conversion, write_folder
from assay.checkpoints.folder import DESCRIPTION
from assay.claims.judgement import ModelJudgement
from assay.claims.judging import judge_model
from assay.claims.publish import publish_claim
from assay.claims.settings import ClaimSettings
from assay.compress.folder import OutputFolder, open_folder
from assay.compress.preparing import Compression, prepare
from assay.compress.settings import CompressSettings
from assay.compress.training import Trainer
from assay.report.store import Run

Progress = Callable[..., None]
"""Called with what is being done, the share of it that is done, and now and then a detail."""


def silent(what: str, share: float, detail: str = "") -> None:
    """No progress."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """What came of it: where everything is, what the training brought, what the judge said, and where he signed it."""

    folder: OutputFolder
    training: Mapping[str, Any]
    judgement: ModelJudgement
    certificate: Mapping[str, Any]
    run: Run


def compress_training(
    path: str | Path, settings: CompressSettings, output: str | Path, *, claim: ClaimSettings | None = None,
    data: str | Path | None = None, start: str | Path | None = None, resume: bool = False, progress: Progress = silent,
) -> Compressed:  # fmt: skip
    """Make a training's model cheaper, and have it judged against the dense one: `prepare`, then `compress`."""
    return compress(prepare(path, settings, claim, data, start), output, resume=resume, progress=progress)


def compress(
    compression: Compression, output: str | Path, *, resume: bool = False, progress: Progress = silent
) -> Compressed:
    """Train, convert, write both model folders into `output`, judge them in fresh processes, and sign what was found.

    With `resume` an earlier run of the same plan goes on from its last states, or is judged again. Raises InputError
    for an occupied folder and a training that fails, MachineError where something cannot be written or judged here.
    """
    with open_folder(Path(output), compression.plan(), resume=resume) as folder:
        training = train_models(compression, folder, progress)
        data = compression.data.file_in(folder.path)
        judgement = judge_model(folder.dense, folder.cheap, data, compression.claim, progress)
        certificate, run = publish_claim(judgement, folder.runs)
    return Compressed(folder, training, judgement, certificate, run)


def train_models(compression: Compression, folder: OutputFolder, progress: Progress) -> Mapping[str, Any]:
    """Train what is not trained yet, and write both model folders; returns what the training brought."""
    known = folder.training()
    if known is not None:
        return known
    text, converter = compression.source.text, compression.converter
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(
            compression.source, compression.settings, converter, folder.states, compression.start, progress
        )
        seeds = {seed: trainer.train(number, seed) for number, seed in enumerate(trainer.seeds)}
    progress("writing the model folders", 1.0)
    _write(folder.dense, text, {seed: each.dense for seed, each in seeds.items()}, ())
    _write(folder.cheap, text, {seed: each.cheap for seed, each in seeds.items()}, (converter.conversion,))
    found = {"choice": compression.choice.to_json(), "losses": {str(seed): each.losses for seed, each in seeds.items()}}
    folder.finish_training(found)
    return found


def _write(path: Path, text: str, models: Mapping[int, nn.Module], conversions: Sequence[Conversion]) -> None:
    """A folder that is there already is whole, and was written by an earlier run of this plan."""
    if not (path / DESCRIPTION).is_file():
        write_folder(path, text, models, conversions)
