"""Two certificates side by side, and what may be said about one candidate against the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Against:
    """How much faster the second is than the first, with bounds, or why that cannot be said."""

    ratio: tuple[float, float, float] | None
    words: str

    def to_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return {"ratio": list(self.ratio) if self.ratio else None, "words": self.words}


def against(first: Mapping[str, Any], second: Mapping[str, Any]) -> Against:
    """The quotient of two claims over the same baseline on the same machine; the bounds are the outermost ones.

    The two were not timed against each other, so a difference between the runs goes into the quotient.
    """
    for what, a, b in (
        ("tasks", first["task"]["identity"], second["task"]["identity"]),
        ("sizes", first["axes"], second["axes"]),
        ("machines", first["machine"]["identity"], second["machine"]["identity"]),
        ("thread counts", first["config"]["threads"], second["config"]["threads"]),
        ("baselines", _variant(first), _variant(second)),
    ):
        if a != b:
            return Against(None, f"different {what}: their speedups cannot be compared")
    claims = first["speedup"], second["speedup"]
    if None in claims:
        return Against(None, "one of them has no measured speedup")
    if not (first["right"] and second["right"]):
        return Against(None, "one of them is not right")
    (a, b) = claims
    ratio = (b["ratio"] / a["ratio"], b["lower"] / a["upper"], b["upper"] / a["lower"])
    sure = "" if ratio[1] > 1 or ratio[2] < 1 else "; the intervals overlap, so either may be the faster"
    return Against(ratio, f"from two runs, not timed against each other{sure}")


def _variant(certificate: Mapping[str, Any]) -> str | None:
    baseline = certificate["baseline"]
    return None if baseline is None else str(baseline["variant"])
