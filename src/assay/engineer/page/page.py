"""The page itself: no network, no script, every value escaped; in the style of the certificates' pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from assay.core.sources import Candidate
from assay.engineer.optimize import Optimized
from assay.engineer.page.figure import progress
from assay.engineer.page.times import before_and_after
from assay.engineer.page.trail import Contribution, Trail, read_trail
from assay.engineer.page.tree import family
from assay.report.axes import NARROW, WIDE
from assay.report.drawing import figures
from assay.report.highlight import highlighted
from assay.report.page import make_environment
from assay.report.store import PAGE, Run
from assay.report.svg import element
from assay.report.units import estimate_text, plural, ratio_text, seconds_text, sentence
from assay.report.view import facts, reason

_TEMPLATES = Path(__file__).parent
_MOST_FAILURES, _WORDS = 12, 300

Published = tuple[Mapping[str, Any], Run]
"""A judgement's certificate and the run that holds it."""


def render_search(task: str, found: Optimized, published: Sequence[Published] = ()) -> str:
    """The page of a finished search; `published` are its judgements' certificates, in the order judged."""
    trail = read_trail(found.records)
    last = published[-1] if published else None
    best = _best(found)
    failures = _failures(trail)
    values = {
        "task": task, "accepted": found.accepted is not None, "kind": "Assay search", "badge": "✓ CERTIFIED",
        "title": f"{_headline(found) or 'nothing certified'}: search for {task}", "headline": _headline(found),
        "reason": sentence(found.search.words), "facts": _facts(found, trail, best),
        "contributions": [_contribution(each) for each in trail.contributions()],
        "several": len(trail.proposers) > 1, "progress": both(lambda width: progress(trail, width)),
        "family": both(lambda width: family(trail, best.identity if best else "", width)),
        "family_words": _family_words(trail),
        "judged": [_judged(certificate, run) for certificate, run in published],
        "failures": failures[:_MOST_FAILURES], "more_failures": max(len(failures) - _MOST_FAILURES, 0),
        "sources": [(file.path, highlighted(file.path, file.text)) for file in best.files] if best else [],
    }  # fmt: skip
    return template("search.html.jinja").render(values | _certificate(last))


def template(name: str) -> Template:
    """One of the templates beside this file, which share a sheet."""
    environment = make_environment(_TEMPLATES)
    environment.globals["is_markup"] = lambda value: isinstance(value, Markup)
    return environment.get_template(name)


def both(draw: Callable[[float], Markup | str]) -> Markup | str:
    """A picture in both widths; the words where it is none."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return wide + narrow if isinstance(wide, Markup) and isinstance(narrow, Markup) else wide


def _best(found: Optimized) -> Candidate | None:
    """The accepted candidate, else the first that was judged, else the one that led."""
    if found.accepted is not None:
        return found.accepted.candidate
    if found.judgements:
        return found.judgements[0].candidate
    return found.search.best.idea.candidate if found.search.best else None


def _headline(found: Optimized) -> str:
    speedup = found.accepted.speedup if found.accepted else None
    return estimate_text(*speedup) if speedup else ""


def _certificate(last: Published | None) -> dict[str, Any]:
    """What the page shows of the certificate, and the pictures drawn from it."""
    if last is None:
        return {"certificate": [], "command": "", "certificate_page": "", "times": None}
    certificate, run = last
    drawn, (position, position_words) = before_and_after(certificate), roofline(certificate)
    return {
        "certificate": [("Verdict", f"{certificate['verdict']}: {reason(certificate)}"), *facts(certificate)],
        "command": f"assay verify {run.certificate}", "certificate_page": f"../{run.id}/{PAGE}",
        "times": drawn[0] if drawn else None, "times_words": drawn[1] if drawn else "",
        "roofline": position, "roofline_words": position_words,
    }  # fmt: skip


def roofline(certificate: Mapping[str, Any]) -> tuple[Any, str]:
    """The picture and its words; words alone where there is none."""
    found = figures(certificate)["roofline"]
    return (found, "") if isinstance(found, str) else found


def _judged(certificate: Mapping[str, Any], run: Run) -> tuple[Any, ...]:
    speedup = certificate["speedup"]
    return (
        element("a", element("code", certificate["candidate"]["identity"][:12]), href=f"../{run.id}/{PAGE}"),
        certificate["verdict"],
        estimate_text(speedup["ratio"], speedup["lower"], speedup["upper"]) if speedup else "not measured",
        ", ".join(finding["code"] for finding in certificate["findings"]),
    )


def _facts(found: Optimized, trail: Trail, best: Candidate | None) -> list[tuple[str, str]]:
    search, wins = found.search, found.search.false_wins
    share = search.overhead_share
    own = f", {share:.1%} of it the search's own" if share is not None else ""
    clones = f"{wins.won} of {plural(wins.tried, 'clone')} of a leader would have won by noise"
    idea = trail.origins.get(best.identity) if best else None
    return [
        *([("Winner", f"{idea.note or 'an idea'}, by {idea.proposer}")] if idea else []),
        ("Strategy", trail.strategy or "not recorded"),
        ("Tried", f"{plural(search.ideas, 'idea')}, {plural(search.spent.evaluations, 'evaluation')}"),
        ("Searched for", seconds_text(search.spent.seconds) + own),
        *([("Knockoffs", clones)] if wins.tried else []),
        *([("Tokens", _cost(search.spent.tokens, search.spent.money))] if search.spent.tokens else []),
    ]


def _family_words(trail: Trail) -> str:
    if not trail.origins:
        return ""
    colours = " Colours are the proposers'." if len(trail.proposers) > 1 else ""
    return (
        "Each idea hangs below the one that it was made from, the better one where there are two; at the right its "
        f"speedup over eager when it was last timed. The way to the winner is bold.{colours}"
    )


def _contribution(each: Contribution) -> tuple[str, ...]:
    best = ratio_text(each.best) if each.best else "none"
    cost = f"tokens: {_cost(each.tokens, each.money)}" if each.tokens else "none"
    return each.proposer, str(each.ideas), str(each.passed), best, cost


def _cost(tokens: int, money: float) -> str:
    """Models without a price have cost no money."""
    return f"{tokens}" + (f", for {money:.2f}" if money else "")


def _failures(trail: Trail) -> list[tuple[str, str, str]]:
    """What did not pass, with the referee's or the compiler's words."""
    numbers = {identity: number for number, identity in enumerate(trail.origins, 1)}
    failed = [each.evaluation for each in trail.tried if not each.evaluation.passed and not each.knockoff]
    return [(f"#{numbers[one.identity]}", one.fidelity.name.lower(), one.words[:_WORDS]) for one in failed]
