"""Device candidates for a traced graph, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.sources import Candidate
from assay.engineer.codegen.program import Unsupported
from assay.engineer.gpu.generate import HEAD, generate
from assay.engineer.gpu.products import Precision
from assay.engineer.gpu.schedule import USUAL, Schedule
from assay.engineer.graph import Graph
from assay.errors import CandidateError

STARTS = (
    USUAL,
    Schedule(tile=2048),
    Schedule(held=1024),
    Schedule(keep=True),
    Schedule(lanes=128),
    Schedule(m=32, n=32),
    Schedule(m=128, n=64, product_warps=8),
    Schedule(apart=True),
    Schedule(parts=1),
)
"""Tried first: the usual one, and one step into each direction that depends on the sizes."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Candidates that differ in their text; where there are none, the reason."""

    candidates: tuple[Candidate, ...]
    reason: str = ""


def propose(graph: Graph, name: str, precision: Precision = Precision.IEEE) -> Proposal:
    """Whole graphs only: one step without a kernel is a reason, and the graph is left to others.

    float32 products keep all bits unless the caller, who knows what the task grants, gives another precision.
    """
    found: dict[str, Candidate] = {}
    reasons: list[str] = []
    for schedule in STARTS:
        try:
            source = generate(graph, schedule, precision)
        except (Unsupported, CandidateError) as error:
            reasons.append(str(error))  # Unfused, a plan may have too many launches, for example.
            continue
        body = source.text.partition(HEAD)[0]
        if body not in found:
            found[body] = source.candidate(name)
    return Proposal(tuple(found.values()), "" if found else reasons[0])
