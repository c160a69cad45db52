"""The page of a whole model: end to end before and after, its parts by their shares, and links to their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.engineer.page.page import both, roofline, template
from assay.engineer.page.shares import Share, amdahl, predicted
from assay.engineer.places import bound_text
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


def render_module(
    name: str, parts: Sequence[PartShown], left_out: Mapping[str, str], whole: Mapping[str, Any] | None
) -> str:
    """The page; `whole` is a `Comparison` as JSON, None where nothing was certified."""
    accepted = [part for part in parts if part.certificate is not None]
    shares = [Share(part.name, min(part.share, 1.0), part.gain) for part in parts]
    headline = estimate_text(*whole["speedup"]) if whole else ""
    return template("module.html.jinja").render(
        title=f"{headline or 'nothing certified'}: {name}", kind="Assay: a whole model", badge="✓ PARTS CERTIFIED",
        accepted=bool(accepted),
        headline=headline, name=name, reason=_reason(whole, len(accepted), len(parts)), facts=_facts(whole),
        amdahl=both(lambda width: amdahl(shares, whole, width)),
        predicted=ratio_text(1 / predicted(shares)) if accepted else "",
        parts=[_row(part) for part in parts], left_out=list(left_out.items()),
        commands=[part.command for part in accepted if part.command],
        rooflines=[(part.name, *roofline(part.certificate)) for part in accepted if part.certificate],
    )  # fmt: skip


def _reason(whole: Mapping[str, Any] | None, accepted: int, of: int) -> str:
    if whole is None:
        return "No kernel was certified as faster, so the model stays as it is."
    have = "has a certified kernel" if accepted == 1 else "have certified kernels"
    return sentence(f"{accepted} of {plural(of, 'part')} {have}; the whole was timed around them")


def _facts(whole: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The end-to-end result."""
    if whole is None:
        return []
    compiled = whole["compiled_ms"]
    return [
        ("With the kernels", f"{time_text(whole['applied_ms'] * 1e6)} a call"),
        ("Eager", f"{time_text(whole['eager_ms'] * 1e6)} a call"),
        ("torch.compile", f"{time_text(compiled * 1e6)} a call" if compiled else "does not work on this model"),
        ("Speedup", f"{estimate_text(*whole['speedup'])} over {whole['baseline']}, with a 95% interval"),
        ("Outputs differ by", f"{whole['difference']:.2g} at most"),
    ]


def _row(part: PartShown) -> tuple[Any, ...]:
    name = element("a", part.name, href=part.search_page) if part.search_page else part.name
    words = element("a", part.words, href=part.certificate_page) if part.certificate_page else part.words
    return name, f"{part.share:.0%}", bound_text(part.share, "at most "), words
