"""A judgement made public: signed, and a run of the store with its page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.referee.judgement import Judgement
from assay.report.certificate import make_certificate
from assay.report.page import render_page
from assay.report.signing import sign
from assay.report.store import Run, save_run


def publish(judgement: Judgement, runs: Path) -> tuple[dict[str, Any], Run]:
    """Its signed certificate, and the run that holds it. Raises MachineError where `runs` cannot be written."""
    certificate = sign(make_certificate(judgement, created=datetime.now(UTC)))
    return certificate, save_run(runs, certificate, render_page(certificate))
