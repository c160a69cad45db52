"""The targets and whether they are met; a target whose suite did not run in full is never called met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from benchmarks.referee import tally
from benchmarks.referee.tally import Record, Result

_TOLERANCES = ("1e-2", "1e-4")
_MOST_NULL_US, _MOST_WORKER_MS, _MOST_BUILD_S, _MOST_VERDICT_S, _MOST_SCREENING_S = 60, 60, 0.6, 20, 3
_LEAST_CAUGHT, _MOST_UNDECIDED, _SMALLEST_SPEEDUP = 0.99, 0.05, 0.03
_LEAST_COVERAGE = 0.95
_LEAST_DECIDED = 0.9
"""Share of A/A runs that need an interval: where noise forbids any claim, the absence of false ones proves nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `loose` and `strict` are the conventional judge's at 1e-2 and 1e-4."""

    YES: ClassVar[str] = "yes"
    NO: ClassVar[str] = "NO"
    PARTLY: ClassVar[str] = "cut short or quick: not decided"
    ABSENT: ClassVar[str] = "not run"
    NOISY: ClassVar[str] = "too noisy: not decided"
    NONE: ClassVar[str] = ""

    what: str
    target: str
    measured: str
    met: str
    loose: str = ""
    strict: str = ""


def rows(data: Record) -> list[Row]:
    """Every target in order."""
    return [
        *_attacks(data), *_bugs(data), *_honest(data), *_claims(data), *_ratio(data), *_load(data), *_costs(data),
        _failures(data),
    ]  # fmt: skip


def _row(
    data: Record, suite: str, what: str, target: str, measured: str | None, ok: bool | None,
    rivals: Sequence[str] = ("", ""),
) -> Row:  # fmt: skip
    """A miss stays a miss in a partial run; a success of a partial run decides nothing."""
    record = data["suites"].get(suite)
    if measured is None or record is None:
        return Row(what, target, "", Row.ABSENT, *rivals)
    if ok is None:
        return Row(what, target, measured, Row.NONE, *rivals)
    if not ok:
        return Row(what, target, measured, Row.NO, *rivals)
    full = record["complete"] and not record["quick"] and not record.get("broken")
    return Row(what, target, measured, Row.YES if full else Row.PARTLY, *rivals)


def _count(members: Sequence[Result], hits: int) -> str | None:
    return f"{hits} of {len(members)}" if members else None


def _rivals(data: Record, kind: str) -> list[Result]:
    return tally.of_kind(tally.results(data, "conventional"), kind)


def _attacks(data: Record) -> list[Row]:
    attacks = tally.results(data, "exploits")
    rivals = _rivals(data, "exploits")
    made = []
    for what, keep in (("attacks accepted", (True, False)), ("... C++", (True,)), ("... Python", (False,))):
        mine = [a for a in attacks if a["native"] in keep]
        theirs = [c for c in rivals if c["native"] in keep]
        hits = sum(map(tally.accepted, mine))
        shown = [_count(theirs, sum(tally.fooled(c, t) for c in theirs)) or "not run" for t in _TOLERANCES]
        made.append(_row(data, "exploits", what, "0", _count(mine, hits), not hits, shown))
    left = sum(bool(a.get("left_running")) for a in attacks)
    settings = data["suites"].get("exploits", {}).get("settings", {})
    at_end = settings.get("left_running_at_end") or 0
    measured = f"{left} attacks, {at_end} processes at the end" if attacks else None
    made.append(_row(data, "exploits", "attacks that left something running", "0", measured, not left and not at_end))
    other = sum(not tally.as_expected(a) for a in attacks)
    what = "attacks with another verdict than demanded"
    made.append(_row(data, "exploits", what, "0", _count(attacks, other), not other))
    return made


def _bugs(data: Record) -> list[Row]:
    bugs, controls, _ = tally.split_mutants(tally.results(data, "mutants"))
    caught, wrong = sum(tally.found_wrong(m) for m in bugs), sum(tally.blamed(m) for m in controls)
    theirs, their_controls = _rivals(data, "mutants"), _rivals(data, "controls")
    shown = [_count(theirs, sum(not c["right"][t] for c in theirs)) or "not run" for t in _TOLERANCES]
    kept = [_count(their_controls, sum(not c["right"][t] for c in their_controls)) or "not run" for t in _TOLERANCES]
    return [
        _row(
            data,
            "mutants",
            "planted bugs caught",
            "at least 99 %",
            _count(bugs, caught),
            caught >= _LEAST_CAUGHT * len(bugs),
            shown,
        ),
        _row(data, "mutants", "unchanged kernels found wrong", "0", _count(controls, wrong), not wrong, kept),
    ]


def _honest(data: Record) -> list[Row]:
    members, theirs = tally.results(data, "honest"), _rivals(data, "honest")
    wrong = sum(tally.blamed(m) for m in members)
    unsure = tally.verdicts(members)["INCONCLUSIVE"]
    shown = [_count(theirs, sum(not c["right"][t] for c in theirs)) or "not run" for t in _TOLERANCES]
    return [
        _row(data, "honest", "honest candidates rejected as wrong", "0", _count(members, wrong), not wrong, shown),
        _row(
            data,
            "honest",
            "honest candidates left undecided",
            "at most 5 %",
            _count(members, unsure),
            unsure <= _MOST_UNDECIDED * len(members),
        ),
    ]


def _claims(data: Record) -> list[Row]:
    members, theirs = tally.results(data, "a_a"), _rivals(data, "a_a")
    claims = sum(m.get("outcome") == "faster" for m in members)
    decided = sum(bool(m.get("speedup")) for m in members)
    speeds = [c["speedup"] or 0.0 for c in theirs]
    shown = f"{sum(s > 1 for s in speeds)} above 1.00x, {sum(s > 1.05 for s in speeds)} above 1.05x of {len(speeds)}"
    rivals = (shown, "the same") if speeds else ("not run", "not run")
    measured = f"{claims} of {len(members)}" if members else None
    false = _row(data, "a_a", "false claims, same code on both sides", "0", measured, not claims, rivals)
    if false.met == Row.YES and decided < _LEAST_DECIDED * len(members):
        false = replace(false, met=Row.NOISY)
    return [
        false,
        _row(data, "a_a", "... runs quiet enough for an interval", "reported", _count(members, decided), None),
    ]


def _ratio(data: Record) -> list[Row]:
    members = tally.results(data, "known_ratio")
    runs, calibration = tally.named(members, "run "), next(iter(tally.named(members, "calibration")), None)
    held = sum(tally.holds(r, calibration["truth"]) for r in runs) if calibration else 0
    proved = sum(r.get("outcome") == "faster" for r in runs)
    enough = held >= _LEAST_COVERAGE * len(runs)
    return [
        _row(data, "known_ratio", "intervals that hold a known 1.3x", "95 of 100", _count(runs, held), enough),
        _row(data, "known_ratio", "... proved faster", "reported", _count(runs, proved), None),
    ]


def _load(data: Record) -> list[Row]:
    runs = [m for m in tally.results(data, "resolution") if "truth" in m]
    wrong, unsure = sum(m["wrong"] for m in runs), sum(m.get("outcome") == "undecided" for m in runs)
    return [
        *(_smallest(data, kernel) for kernel in ("work", "softmax")),
        _row(data, "resolution", "wrong claims on a busy machine", "0", _count(runs, wrong), not wrong),
        _row(data, "resolution", "... left undecided", "reported", _count(runs, unsure), None),
    ]


def _smallest(data: Record, kernel: str) -> Row:
    """Of one that computes, and of one that waits for memory, which a shared machine disturbs far more."""
    runs = [m for m in tally.results(data, "resolution") if m.get("kernel") == kernel and m.get("budget_s") == 20]
    middle = tally.median([m["detectable"] for m in runs if m.get("detectable")])
    shown = f"{100 * (middle - 1):.2f} %" if middle else None
    met = middle is not None and middle <= 1 + _SMALLEST_SPEEDUP
    return _row(data, "resolution", f"smallest provable speedup in 20 s, {kernel}, median", "at most 3 %", shown, met)


def _costs(data: Record) -> list[Row]:
    members = {m["name"]: m for m in tally.results(data, "costs")}

    def middle(name: str) -> float | None:
        return members[name]["quantiles"][2] if name in members else None

    def seconds(start: str) -> float | None:
        return tally.median([m["seconds"] for n, m in members.items() if n.startswith(start) and not m.get("error")])

    builds = [m["quantiles"][2] for name, m in members.items() if name.startswith("build ")]
    wanted = (
        ("null call, median", middle("null call us"), _MOST_NULL_US, "us"),
        ("fresh worker, median", middle("fresh worker ms"), _MOST_WORKER_MS, "ms"),
        ("C++ build of about 100 lines, CPU, median", tally.median(builds), _MOST_BUILD_S, "s"),
        ("full verdict from cold, baseline known", seconds("verdict cold"), _MOST_VERDICT_S, "s"),
        ("full verdict, held referee, median", seconds("verdict held"), _MOST_VERDICT_S, "s"),
        ("full verdict, the first on a machine", seconds("verdict first"), None, "s"),
        ("screening, held referee, median", seconds("screening held "), _MOST_SCREENING_S, "s"),
        ("screening from cold, median", seconds("screening cold"), _MOST_SCREENING_S, "s"),
    )
    return [
        _row(
            data, "costs", what, f"at most {limit} {unit}" if limit is not None else "reported",
            f"{value:.3g} {unit}" if value is not None else None,
            value <= limit if limit is not None and value is not None else None,
        )
        for what, value, limit, unit in wanted
    ]  # fmt: skip


def _failures(data: Record) -> Row:
    every = [r for suite in data["suites"] if suite != "conventional" for r in tally.results(data, suite)]
    failed = len(tally.failures(every))
    if not every:
        return Row("failures of the referee itself", "0", "", Row.ABSENT)
    return Row("failures of the referee itself", "0", f"{failed} of {len(every)}", Row.NO if failed else Row.YES)
