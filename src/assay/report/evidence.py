"""A certificate's raw samples back as arrays, so that pages draw what was measured and not what was concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.referee.timing.decision import DEFAULT_LIMITS
from assay.referee.timing.pairing import Overhead, Refusal, pair
from assay.referee.timing.samples import Floats, Ints, Sample, Side, Triples
from assay.referee.timing.statistics import round_medians


@dataclass(frozen=True, slots=True, eq=False)
class RoundRatios:
    """The median speedup of each round that keeps enough turns: numbers int64[K], ratios float64[K]."""

    numbers: Ints
    ratios: Floats


def read_samples(certificate: Mapping[str, Any]) -> Triples:
    """The samples of a certificate with a timing. Raises ValueError where they are not complete turns."""
    columns = certificate["timing"]["samples"]
    names = ("round", "turn", "side", "wall_ns", "cpu_ns", "preempted_ns", "warm_up")
    device = columns.get("device_ns", [0] * len(columns["round"]))
    rows = zip(*(columns[name] for name in names), device, strict=True)
    return Triples.from_samples(Sample(r, t, Side(s), w, c, p, bool(u), d) for r, t, s, w, c, p, u, d in rows)


def read_overhead(certificate: Mapping[str, Any]) -> Overhead:
    """What the shell itself cost."""
    return Overhead(**{name: certificate["timing"]["overhead"][name] for name in Overhead.__slots__})


def round_ratios(triples: Triples, second: Side, overhead: Overhead) -> RoundRatios | None:
    """Baseline time over `second`'s, by round, exactly as the decision saw it; None where the pairing refuses."""
    pairs = pair(triples, second, overhead)
    if isinstance(pairs, Refusal):
        return None
    numbers, counts = np.unique(pairs.round, return_counts=True)
    medians = round_medians(pairs.round, pairs.log_ratio, DEFAULT_LIMITS.min_turns)
    kept = np.asarray(numbers[counts >= DEFAULT_LIMITS.min_turns], dtype=np.int64)
    return RoundRatios(kept, np.exp(medians)) if kept.size else None
