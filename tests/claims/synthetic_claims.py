"""Judgements of models made of numbers, for tests of certificates and pages."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from assay.checkpoints import Conversion, ModelFolder
from assay.claims.certificate import make_claim
from assay.claims.decision import decide
from assay.claims.evidence import Evidence
from assay.claims.held_out import Batch, HeldOut
from assay.claims.judgement import ModelJudgement
from assay.claims.quality import Margin
from assay.claims.samples import Samples, TimedPair
from assay.claims.settings import ClaimSettings, Cost
from assay.core.verdicts import Finding, Weight
from assay.machine.survey import read_facts
from assay.referee.tiers import Isolation
from assay.report.signing import sign

CREATED = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def samples(ratio):
    random = np.random.default_rng(2)
    pairs = []
    for cost in (Cost.THROUGHPUT, Cost.LATENCY):
        for number in range(6):
            for _ in range(4):
                dense = int(1e6 * np.exp(random.normal(0, 0.02)))
                cheap = int(dense * ratio * np.exp(random.normal(0, 0.02)))
                pairs.append(TimedPair(cost, number, (dense, cheap), (dense, cheap), (0, 0)))
    return Samples(pairs, [(50 << 20, 30 << 20)] * 6, [(4000, 1000)])


def judgement(difference=0.0, ratio=0.4, seeds=3, name="cheap", margin="0.1", failed=False):
    """`difference` in loss, `ratio` of times; `failed` is a model that ended with a finding."""
    random = np.random.default_rng(1)
    dense = 1 + random.random((seeds, 12))
    cheap = dense + difference + random.normal(0, 0.001, dense.shape)
    evidence = Evidence((dense.tolist(), cheap.tolist()), [0] * 4 + [1] * 4 + [2] * 4, [0.0], samples(ratio),
                        operations=[1000, "nobody counts it"], absent={Cost.TRAINING: "no loss in the data file"},
                        layers=("seccomp", "landlock"))  # fmt: skip
    if failed:
        evidence.findings.append(Finding("crashed", Weight.FATAL, f"it ended: {HOSTILE}"))
    settings = ClaimSettings(margin=Margin.parse(margin), at_most=0.9)
    folders = tuple(ModelFolder(Path("nowhere"), (Conversion("block-sparse", {"block": 32}),) * side,
                                {"model.py": str(side) * 64, "weights.safetensors": "b" * 64}, (), "0.1.0")
                    for side in (0, 1))  # fmt: skip
    data = HeldOut(Path("data.py"), "def held_out(): ...", (Batch((torch.ones(12, 2),), torch.ones(12)),),
                   lambda *_: None, "bits", "bits per byte", False, False)  # fmt: skip
    return ModelJudgement(
        ("dense", name), folders, ("class Dense: ...", f"# {HOSTILE}"), (0, 1, 2)[:seeds], data, "c" * 64, settings,
        evidence, decide(evidence, settings, "bits per byte"), Isolation.of(evidence.layers), read_facts(), b"k" * 32,
        "d" * 64, 12.5,
    )  # fmt: skip


def claimed(**more):
    """A signed certificate."""
    return sign(make_claim(judgement(**more), created=CREATED))
