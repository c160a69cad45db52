"""The page of a whole model or training step: before and after, its parts by their shares, links to their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.engineer.page.learning import loss_curves
from assay.engineer.page.page import both, roofline, template
from assay.engineer.page.shares import Share, amdahl, predicted
from assay.engineer.places import APPLIED, EAGER, bound_text
from assay.report.svg import element
from assay.report.units import estimate_text, plural, ratio_text, sentence, time_text


@dataclass(frozen=True, slots=True)
class PartShown:
    """A part and what came of it.

    `gain` is how much faster than eager it is where its certificate
    accepts. `search_page` and `certificate_page` are relative to the page, empty for none.
    """

    name: str
    share: float
    words: str
    gain: float = 1.0
    certificate: Mapping[str, Any] | None = None
    command: str = ""
    search_page: str = ""
    certificate_page: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about: a model, or a training with what it learnt (a `Curves` as JSON)."""

    name: str
    learning: Mapping[str, Any] | None = None

    @property
    def what(self) -> str:
        """Its kind, in words."""
        return "training step" if self.learning else "model"

    @property
    def per(self) -> str:
        """One of it."""
        return "a step" if self.learning else "a call"


def render_whole(
    subject: Subject, parts: Sequence[PartShown], left_out: Mapping[str, str], whole: Mapping[str, Any] | None
) -> str:
    """The page; `whole` is a `Timed` or `Comparison` as JSON, None where nothing was certified."""
    accepted = [part for part in parts if part.certificate is not None]
    shares = [Share(part.name, min(part.share, 1.0), part.gain) for part in parts]
    headline, learning = estimate_text(*whole["speedup"]) if whole else "", subject.learning
    return template("module.html.jinja").render(
        title=f"{headline or 'nothing certified'}: {subject.name}", kind=f"Assay: a whole {subject.what}",
        badge="✓ PARTS CERTIFIED", accepted=bool(accepted), headline=headline, name=subject.name, what=subject.what,
        reason=_reason(subject, whole, len(accepted), len(parts)), facts=_facts(subject, whole),
        amdahl=both(lambda width: amdahl(shares, whole, width)),
        predicted=ratio_text(1 / predicted(shares)) if accepted else "",
        parts=[_row(part) for part in parts], left_out=list(left_out.items()),
        commands=[part.command for part in accepted if part.command],
        rooflines=[(part.name, *roofline(part.certificate)) for part in accepted if part.certificate],
        learning=both(lambda width: loss_curves(learning, width)) if learning else "",
        learning_words=_learning_words(learning) if learning else "",
    )  # fmt: skip


def _reason(subject: Subject, whole: Mapping[str, Any] | None, accepted: int, of: int) -> str:
    if whole is None:
        return f"No kernel was certified as faster, so the {subject.what} stays as it is."
    have = "has a certified kernel" if accepted == 1 else "have certified kernels"
    return sentence(f"{accepted} of {plural(of, 'part')} {have}; the whole was timed around them")


def _facts(subject: Subject, whole: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The end-to-end result."""
    if whole is None:
        return []
    times = dict(whole["milliseconds"])
    found = [("With the kernels", f"{time_text(times.pop(APPLIED) * 1e6)} {subject.per}")]
    found += [(name.replace(EAGER, "Eager"), f"{time_text(ms * 1e6)} {subject.per}") for name, ms in times.items()]
    if not times.keys() - {EAGER}:
        found.append(("torch.compile", f"does not work on this {subject.what}"))
    found.append(("Speedup", f"{estimate_text(*whole['speedup'])} over {whole['baseline']}, with a 95% interval"))
    if "difference" in whole:
        found.append(("Outputs differ by", f"{whole['difference']:.2g} at most"))
    if subject.learning:
        found.append(("Loss curves", "not inferior" if subject.learning["not_inferior"] else "NOT SHOWN to be as good"))
    return found


def _learning_words(learning: Mapping[str, Any]) -> str:
    return (
        f"Over the last tenth of the steps the loss differs by {learning['difference']:+.3%}; the one-sided 95 % limit "
        f"is {learning['limit']:+.3%}, the margin, fixed before the first step, {learning['margin']:+.1%}."
    )


def _row(part: PartShown) -> tuple[Any, ...]:
    name = element("a", part.name, href=part.search_page) if part.search_page else part.name
    words = element("a", part.words, href=part.certificate_page) if part.certificate_page else part.words
    return name, f"{part.share:.0%}", bound_text(part.share, "at most "), words
