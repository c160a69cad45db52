"""Counts and quantiles of recorded results: pure functions of the JSON, nothing else."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
Record = Mapping[str, Any]


NOT_ABOUT_RESULTS = frozenset({"does-not-build", "impossible", "clocks-disagree"})
"""Fatal findings of the candidate's own fault that say nothing about its outputs."""


def results(data: Record, suite: str) -> list[Result]:
    """A suite's results; [] where it has not run."""
    return list(data["suites"].get(suite, {}).get("results", ()))


def failures(members: Iterable[Result]) -> list[Result]:
    """Cases in which the referee itself failed."""
    return [result for result in members if result.get("error")]


def accepted(attack: Result) -> bool:
    """Whether the referee was fooled."""
    return attack.get("verdict") == "ACCEPT"


def as_expected(attack: Result) -> bool:
    """Whether the verdict is what the attack's own description demands."""
    if attack["expected"] == "NOT_ACCEPT":
        return attack.get("verdict") in ("REJECT", "INCONCLUSIVE")
    return bool(attack.get("verdict") == attack["expected"])


def fooled_at(tolerance: str) -> Callable[[Result], bool]:
    """`fooled` at one tolerance."""
    return lambda case: fooled(case, tolerance)


def differs_at(tolerance: str) -> Callable[[Result], bool]:
    """Whether the conventional judge found a case wrong at one tolerance."""
    return lambda case: not case["right"][tolerance]


def fooled(case: Result, tolerance: str) -> bool:
    """Whether the conventional judge believed an attack: right, and faster too where the attack is about speed."""
    if not case["right"][tolerance]:
        return False
    return not case.get("about_speed") or (case["speedup"] or 0.0) > 1.0


def blamed(case: Result) -> bool:
    """Whether anything fatal was laid on the candidate; not being faster is nobody's fault."""
    return any(f["weight"] == "fatal" and f["fault"] == "candidate" for f in case.get("findings", ()))


def found_wrong(case: Result) -> bool:
    """Whether the referee rejected because of what the candidate computes, returns or does in a call."""
    found = [f for f in case.get("findings", ()) if f["code"] not in NOT_ABOUT_RESULTS]
    return blamed({"findings": found})


def is_control(case: Result) -> bool:
    """Whether a case of the mutants' suite is an unchanged kernel."""
    return bool(case["group"] == "control")


def split_mutants(members: Iterable[Result]) -> tuple[list[Result], list[Result], list[Result]]:
    """(planted bugs, controls, mutants that do not build and so test nothing)."""
    members = list(members)
    broken = [m for m in members if any(f["code"] == "does-not-build" for f in m.get("findings", ()))]
    rest = [m for m in members if m not in broken]
    return [m for m in rest if not is_control(m)], [m for m in rest if is_control(m)], broken


def of_kind(members: Iterable[Result], kind: str) -> list[Result]:
    """The conventional judge's results of one kind: exploits, mutants, controls, honest or a_a."""
    return [member for member in members if member["kind"] == kind]


def verdicts(members: Iterable[Result]) -> Counter[str]:
    """How often each verdict, failures of the referee among them."""
    return Counter("referee failed" if m.get("error") else str(m["verdict"]) for m in members)


def doubts(members: Iterable[Result]) -> Counter[str]:
    """Why inconclusive verdicts were inconclusive; a verdict may have several reasons."""
    inconclusive = (m for m in members if m.get("verdict") == "INCONCLUSIVE")
    return Counter(f["code"] for m in inconclusive for f in m["findings"] if f["weight"] == "doubt")


def deciding(case: Result) -> str:
    """The codes of what decided a verdict, or the referee's failure."""
    if case.get("error"):
        return "referee failed: " + error_line(case["error"])
    codes = [f["code"] for f in case.get("findings", ()) if f["weight"] != "note"]
    return ", ".join(dict.fromkeys(codes)) or "nothing found"


def error_line(error: str) -> str:
    """An error on one line: a traceback's last line, or all lines of a deliberate error."""
    lines = str(error).strip().splitlines() or [""]
    return (lines[-1] if lines[0].startswith("Traceback") else "; ".join(line.strip() for line in lines))[:300]


def message(case: Result) -> str:
    """What the fatal finding says, else the first that is not a note."""
    findings = sorted(case.get("findings", ()), key=lambda f: f["weight"] != "fatal")
    return next((str(f["message"]) for f in findings if f["weight"] != "note"), "")


def by_group(
    members: Iterable[Result], key: Callable[[Result], str] = lambda m: str(m["group"])
) -> dict[str, list[Result]]:
    """Members by family or category, in order of the name."""
    groups: dict[str, list[Result]] = {}
    for member in sorted(members, key=key):
        groups.setdefault(key(member), []).append(member)
    return groups


def quantile(values: Sequence[float], share: float) -> float:
    """Linear interpolation between the nearest two; raises ValueError for no values."""
    if not values:
        raise ValueError("no values, no quantile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float | None:
    """None for no values."""
    return statistics.median(values) if values else None


def holds(run: Result, truth: float) -> bool:
    """Whether a run's interval contains the truth; a run without an interval does not."""
    return bool(run.get("speedup")) and run["speedup"][1] <= truth <= run["speedup"][2]


def named(members: Iterable[Result], start: str) -> list[Result]:
    """Results whose name begins so."""
    return [member for member in members if str(member["name"]).startswith(start)]
