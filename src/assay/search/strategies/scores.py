"""Scores by identity in the order of arrival: the memory that most strategies share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay.search.protocols import Ask, Kind

Scores = dict[str, float | None]
"""None for what did not pass."""


def best_of(scores: Mapping[str, float | None], count: int) -> list[str]:
    """The identities with the highest scores, best first; earlier ones first among equals; none that did not pass."""
    passed = [(identity, score) for identity, score in scores.items() if score is not None]
    return [identity for identity, _ in sorted(passed, key=lambda pair: -pair[1])[:count]]


def fresh_or_repair(scores: Scores) -> Ask:
    """While nothing has passed: something new and repairs of the latest failure, in turn.

    A proposer that reads the compiler's words repairs more often than it starts again right.
    """
    latest = next(reversed(scores), None)
    return Ask(Kind.FRESH) if latest is None or len(scores) % 2 == 0 else Ask(Kind.REFINE, (latest,))


def pairs(scores: Mapping[str, float | None]) -> list[list[str | float | None]]:
    """As JSON that keeps the order."""
    return [[identity, score] for identity, score in scores.items()]


def from_pairs(data: Iterable[Iterable[str | float | None]]) -> Scores:
    """The inverse of `pairs`."""
    scores: Scores = {}
    for identity, score in data:
        scores[str(identity)] = None if score is None else float(score)
    return scores
