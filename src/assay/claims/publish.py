"""A judgement of two models made public: signed, and a run of the store with its page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.claims.certificate import make_claim
from assay.claims.judgement import ModelJudgement
from assay.claims.page.page import render_claim_page
from assay.report.signing import sign
from assay.report.store import Run, save_run


def publish_claim(judgement: ModelJudgement, runs: Path) -> tuple[dict[str, Any], Run]:
    """Its signed certificate, and the run that holds it. Raises MachineError where `runs` cannot be written."""
    claim = sign(make_claim(judgement, created=datetime.now(UTC)))
    return claim, save_run(runs, claim, render_claim_page(claim))
