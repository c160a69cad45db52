"""Trained models of the first seed, kept in Assay's cache: costs are measured on them, since routing is learnt."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from assay.core.identity import identity
from assay.machine.cache_dirs import atomic_write, find_dirs
from benchmarks.moe.model import LanguageModel, make_model
from benchmarks.moe.settings import Settings
from benchmarks.moe.training import Run


def checkpoint_path(run: Run, settings: Settings, text_sha256: str) -> Path:
    """Where the parameters of a run lie, trained or not."""
    whole = identity({"run": run.name, "hidden": run.hidden, "settings": settings.identity, "text": text_sha256})
    return find_dirs().cache / "moe-benchmark" / f"{run.arm}-{whole[:16]}.pt"


def save_checkpoint(model: LanguageModel, run: Run, settings: Settings, text_sha256: str) -> None:
    """Keep a trained model."""
    atomic_write(checkpoint_path(run, settings, text_sha256), saved(model))


def saved(model: LanguageModel) -> bytes:
    """The file that torch.save makes of a model's state."""
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    return content.getvalue()


def load_model(run: Run, settings: Settings, text_sha256: str) -> tuple[LanguageModel, bool]:
    """The model of a run and whether it is trained; without its checkpoint it has the seed's first parameters."""
    model = make_model(settings.arm(run.arm), settings, run.seed, run.hidden)
    path = checkpoint_path(run, settings, text_sha256)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    return model, path.exists()
