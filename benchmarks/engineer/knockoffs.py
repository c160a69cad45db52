"""How often would noise alone have taken the lead? Clones of one kernel in other bytes, each timed in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.sources import Task
from assay.engineer.codegen.generate import Schedule, generate
from assay.engineer.tracing import Tracing
from assay.engineer.trial import Trials
from assay.search import Evaluation, Fidelity, Idea
from assay.search.novelty import knockoff
from assay.search.race import Race

CLONES = 9


def knockoff_row(task: Task) -> dict[str, Any]:
    """The race of the generator's first kernel against its clones, as a search runs it."""
    with Tracing() as tracing:
        kernel = generate(tracing.trace(task), Schedule(), task.name)
    race, timed = Race(knockoff_every=2), []
    with Trials(task, 0, "eager") as trials:
        for number in range(1 + CLONES):
            candidate = knockoff(kernel, number) if number else kernel
            found = trials.evaluate(Idea(candidate, "knockoff"), Fidelity.FULL)
            timed.append(found)
            if number:
                race.record_knockoff(kernel.identity, found)
            elif not race.record(found):
                return {"scores": [], "errors": [], "tried": 0, "won": 0, "reason": found.words[:200]}
    wins = race.false_wins
    return {"scores": _of(timed, "score"), "errors": _of(timed, "error"), "tried": wins.tried, "won": wins.won}


def _of(timed: list[Evaluation], what: str) -> list[float | None]:
    return [getattr(one, what) for one in timed]


def knockoff_suite(suite: Mapping[str, Any]) -> Iterator[str]:
    """Markdown of one record."""
    rows = suite["results"]
    tried, won = sum(row["tried"] for row in rows), sum(row["won"] for row in rows)
    yield "### knockoffs"
    yield ""
    share = f"{won} of {tried} clones ({won / tried:.1%}) would have taken over" if tried else "no clone could be timed"
    yield (
        "Clones of the generator's first kernel in other bytes, each timed in full as a search does. A challenger "
        f"takes over above the leader and its best clone, by 2.58 standard errors: {share}. Log speedups over eager; "
        "the first is the original's."
    )
    yield ""
    yield "| task | won | log speedups | standard errors |"
    yield "|---|---|---|---|"
    for row in rows:
        shown = [" ".join("none" if v is None else f"{v:.3f}" for v in row[key]) for key in ("scores", "errors")]
        yield f"| {row['name']} | {row['won']} of {row['tried']} | {shown[0] or row.get('reason', '')} | {shown[1]} |"
    yield ""
