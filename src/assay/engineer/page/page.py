"""The page itself: no network, no script, every value escaped; in the style of the certificates' pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from assay.engineer.optimize import Optimized
from assay.engineer.page.figure import progress
from assay.engineer.page.trail import Trail, read_trail
from assay.report.axes import NARROW, WIDE
from assay.report.page import make_environment
from assay.report.units import plural, ratio_text, seconds_text

_TEMPLATES = Path(__file__).parent
_MOST_FAILURES, _WORDS = 12, 300


def render_search(task: str, found: Optimized, certificate_page: str = "") -> str:
    """The page of a finished search; `certificate_page` is where the accepted run's own page lies, relative to it."""
    trail = read_trail(found.records)
    accepted = found.accepted
    certified = accepted.speedup if accepted else None
    figures = [progress(trail, width) for width in (WIDE, NARROW)]
    drawn: Any = (
        figures[0] if isinstance(figures[0], str) and not isinstance(figures[0], Markup) else Markup().join(figures)
    )
    winner = accepted.candidate.identity if accepted else found.search.best.idea.identity if found.search.best else ""
    return make_environment(_TEMPLATES).get_template("search.html.jinja").render(
        task=task, accepted=accepted is not None, certified=_interval(certified), certificate_page=certificate_page,
        reason=found.search.words, facts=_facts(found, trail), figure=drawn, is_drawn=isinstance(drawn, Markup),
        contributions=[_contribution(each) for each in trail.contributions()],
        lineage=[(identity[:12], origin, ratio_text(speed) if speed else "not timed")
                 for identity, origin, speed in trail.lineage(winner)],
        judged=[(j.candidate.identity[:12], j.verdict.value, _interval(j.speedup),
                 ", ".join(finding.code for finding in j.findings)) for j in found.judgements],
        failures=_failures(trail),
        lines=accepted.candidate.files[0].text.splitlines() if accepted else [],
    )  # fmt: skip


def _facts(found: Optimized, trail: Trail) -> list[tuple[str, str]]:
    search, wins = found.search, found.search.false_wins
    share = search.overhead_share
    return [
        ("strategy", trail.strategy or "not recorded"),
        ("tried", f"{plural(search.ideas, 'idea')}, {plural(search.spent.evaluations, 'evaluation')}"),
        ("took", seconds_text(search.spent.seconds)),
        ("the search's own share of that", f"{share:.1%}" if share is not None else "no time passed"),
        ("knockoffs", f"{wins.won} of {wins.tried} clones of a leader would have won by noise"),
        *([("tokens", f"{search.spent.tokens}, for {search.spent.money:.2f}")] if search.spent.tokens else []),
    ]


def _interval(speedup: tuple[float, float, float] | None) -> str:
    return "" if speedup is None else f"{ratio_text(speedup[0])} [{speedup[1]:.2f}, {speedup[2]:.2f}]"


def _contribution(each: Any) -> tuple[str, ...]:
    best = ratio_text(each.best) if each.best else "none"
    cost = f"{each.tokens} tokens, {each.money:.2f}" if each.tokens else ""
    return each.proposer, str(each.ideas), str(each.passed), best, cost


def _failures(trail: Trail) -> list[tuple[str, str, str]]:
    """The first of what did not pass, with the referee's or the compiler's words."""
    failed = [each for each in trail.tried if not each.passed]
    return [(each.identity[:12], each.fidelity, each.words[:_WORDS]) for each in failed[:_MOST_FAILURES]]
