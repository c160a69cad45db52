"""Judges a cheap model against its dense sibling: as good, and really cheaper?"""

from __future__ import annotations

import time
from pathlib import Path

from assay.checkpoints.folder import SOURCE
from assay.claims.courtroom import open_courtroom
from assay.claims.decision import decide
from assay.claims.held_out import load_held_out
from assay.claims.judgement import ModelJudgement
from assay.claims.measuring import Measurement, Progress
from assay.claims.settings import ClaimSettings
from assay.machine.survey import read_facts
from assay.referee.protocol.secret import Secret
from assay.referee.tiers import Isolation


def silent(what: str, share: float) -> None:
    """No progress."""


def judge_model(
    dense: str | Path, cheap: str | Path, data: str | Path, settings: ClaimSettings | None = None,
    progress: Progress = silent,
) -> ModelJudgement:  # fmt: skip
    """Is the model in folder `cheap` as good as the one in `dense` on the held-out data of a file, and cheaper?

    Args:
        dense, cheap: model folders (assay.checkpoints); their code runs in confined processes only.
        data: a file of the judge's own (docs/judge-model.md); it runs in this process.
        settings: margin, claimed costs and effort; the defaults claim throughput at a margin of 0.02.
        progress: called with what is being done and the share of it that is done.

    Raises InputError for folders, data or settings that decide nothing and for a dense model that fails, MachineError
    where this machine lacks something. A cheap model that fails is a verdict, not an exception.
    """
    settings = settings or ClaimSettings()
    started = time.monotonic()
    progress("reading held-out data and models", 0.0)
    paths = (Path(dense), Path(cheap))
    held_out, facts, secret = load_held_out(Path(data)), read_facts(), Secret()
    with open_courtroom(*paths, settings, facts, trains=held_out.trains) as room:
        evidence = Measurement(room, held_out, settings, secret, progress).run()
        sources = tuple((folder.path / SOURCE).read_text() for folder in room.folders)
        folders, seeds = room.folders, room.seeds
    decision = decide(evidence, settings, held_out.unit)
    names = tuple(path.resolve().name for path in paths)
    return ModelJudgement(
        (names[0], names[1]), folders, (sources[0], sources[1]), seeds, held_out, held_out.digest(), settings, evidence,
        decision, Isolation.of(evidence.layers) if evidence.layers else None, facts, secret.key, secret.commitment,
        time.monotonic() - started,
    )  # fmt: skip
