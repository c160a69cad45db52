"""The page: verdict, quality, costs, what is covered; no network, no script, every value escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from assay.claims.page.figures import cost_figure, quality_figure
from assay.claims.words import MEANING, cost_rows, facts, headline, reason
from assay.report.axes import NARROW, WIDE
from assay.report.highlight import highlighted
from assay.report.page import make_environment
from assay.report.view import SYMBOLS, findings, layers, machine, signature_text

_TEMPLATES = Path(__file__).parent
_MOST_LINES = 2000


def render_claim_page(claim: Mapping[str, Any]) -> str:
    """The page of a certificate that `make_claim` made or `read_claim` checked."""
    values = {
        "claim": claim, "verdict": claim["verdict"], "symbol": SYMBOLS[claim["verdict"]], "meaning": MEANING,
        "headline": headline(claim), "reason": reason(claim), "facts": facts(claim), "findings": findings(claim),
        "quality": _drawn(quality_figure, claim) if claim["quality"] else claim["missing"].get("quality", "not known"),
        "costs": _drawn(cost_figure, claim), "rows": cost_rows(claim), "layers": layers(claim),
        "machine": machine(claim), "signature": signature_text(claim), "sources": list(_sources(claim)),
    }  # fmt: skip
    return make_environment(_TEMPLATES).get_template("claim.html.jinja").render(values)


def _drawn(draw: Callable[[Mapping[str, Any], float], Markup], claim: Mapping[str, Any]) -> Markup | str:
    """The picture in both widths, or why there is none: a certificate may come from anybody."""
    try:
        return draw(claim, WIDE) + draw(claim, NARROW)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        return f"no picture can be drawn of these numbers: {error}"


def _sources(claim: Mapping[str, Any]) -> Any:
    texts = [("Cheap model", claim["cheap"]["source"], claim["cheap"]),
             ("Dense model", claim["dense"]["source"], claim["dense"]),
             ("Held-out data and score", claim["data"]["text"], None)]  # fmt: skip
    for title, text, model in texts:
        lines = highlighted("model.py", text)
        about = [("sha256 of the data", claim["data"]["sha256"])]
        if model is not None:
            steps = ", ".join(f"{one['name']} {one['settings']}" for one in model["conversions"]) or "none"
            about = [("identity", model["identity"]), ("conversions", steps), *model["files"].items()]
        yield {"title": title, "about": about, "lines": lines[:_MOST_LINES], "more": max(len(lines) - _MOST_LINES, 0)}
