"""Trains the dense models of a subject once, every cut from them, and has each judged from what was written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from assay.checkpoints import write_folder
from assay.checkpoints.folder import WEIGHTS
from assay.claims.decision import Decision
from assay.claims.judging import judge_model
from assay.compress.preparing import Compression, prepare
from assay.compress.run import silent
from assay.compress.states import States
from assay.compress.training import Seed, Trainer
from benchmarks.compress.plan import SUBJECTS, Cut


def run_cut(cut: Cut, folder: Path) -> dict[str, Any]:
    """One row. `folder` keeps the dense models' training between the cuts of a subject.

    Both models get as many steps on the same batches, as `assay compress` does it; the dense one's are made once.
    """
    about = SUBJECTS[cut.subject]
    compression = prepare(about.path, cut.settings, about.claim)
    seeds = _train(compression, folder / "states")
    source, converter = compression.source.text, compression.converter
    dense, cheap = folder / "dense", folder / "cheap"
    shutil.rmtree(cheap, ignore_errors=True)
    if not dense.exists():
        write_folder(dense, source, {seed: each.dense for seed, each in seeds.items()})
    write_folder(cheap, source, {seed: each.cheap for seed, each in seeds.items()}, (converter.conversion,))
    judgement = judge_model(dense, cheap, compression.data.file_in(folder), compression.claim)
    return {"name": cut.name, "subject": cut.subject, "kind": cut.kind, "sparsity": cut.sparsity,
            **_outcome(judgement.decision), "parameters": _sizes(seeds),
            "bytes": {path.name: (path / "seed-0" / WEIGHTS).stat().st_size for path in (dense, cheap)},
            "settings": cut.settings.to_json(), "claim": compression.claim.to_json(),
            "seconds": round(judgement.seconds, 1)}  # fmt: skip


def _train(compression: Compression, folder: Path) -> Mapping[int, Seed]:
    """All seeds; what an earlier cut left of its own is removed, what it left of the dense models is used."""
    for own in folder.glob("*-cheap.pt"):
        own.unlink()
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(compression.source, compression.settings, compression.converter, States(folder), None, silent)
        found = {seed: trainer.train(number, seed) for number, seed in enumerate(trainer.seeds)}
    return found


def _outcome(decision: Decision) -> dict[str, Any]:
    """`costs` maps names to a ratio over dense and its limits, where it could be measured."""
    found = decision.to_json()
    ratios = {name: each["ratio"] for name, each in found["costs"].items()}
    return {
        "verdict": found["verdict"], "quality": found["quality"],
        "costs": {name: [ratio[key] for key in ("ratio", "lower", "upper")] for name, ratio in ratios.items() if ratio},
        "findings": [each["code"] for each in found["findings"]],
    }  # fmt: skip


def _sizes(seeds: Mapping[int, Seed]) -> dict[str, int]:
    """Numbers that the first seed's models hold, and those of them that are not zero."""
    first = next(iter(seeds.values()))
    return {
        f"{name}_{what}": sum(int(count(each)) for each in model.parameters())
        for name, model in (("dense", first.dense), ("cheap", first.cheap))
        for what, count in (("all", torch.numel), ("nonzero", torch.count_nonzero))
    }
