"""Signed certificates with known content, for the tests of the archive: no process started, nothing measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from synthetic_judgement import CANDIDATE_TEXT, EVERY_KIND, accepted

from assay.core.sources import SourceFile
from assay.report.certificate import certificate_identity, make_certificate
from assay.report.signing import sign

CREATED = datetime(2026, 11, 22, 6, 47, 19, tzinfo=UTC)
accepted = cache(accepted)


def certified(name="softmax", text=CANDIDATE_TEXT, speedup=1.6, proposer=None, task_name="softmax", created=CREATED):
    """The signed certificate of an ACCEPT: a candidate of this name and source that is `speedup` times as fast."""
    judgement = accepted(speedup)
    files = (SourceFile("kernel.cpp", text),)
    candidate = replace(judgement.candidate, name=name, files=files, proposer=proposer)
    judgement = replace(judgement, candidate=candidate, task=replace(judgement.task, name=task_name))
    return sign(make_certificate(judgement, created=created))


def of_kind(kind):
    """The signed certificate of a judgement of any kind."""
    return sign(make_certificate(EVERY_KIND[kind](), created=CREATED))


def changed(certificate, **parts):
    """Other content, its identity and signature made anew: what somebody with a key of his own can forge."""
    forged = certificate | parts
    return sign(forged | {"identity": certificate_identity(forged)})
