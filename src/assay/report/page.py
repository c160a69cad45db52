"""A certificate as one HTML file for people: no network, no script, readable on a desk, on a phone and on paper.

Candidates, tasks and whoever wrote the certificate are hostile here. Every value is escaped by the template engine,
what cannot be seen is shown (`hostile`), and a content policy in the page forbids to load or run anything. The page
shows what a certificate says; whether that is so is for `assay verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.report.hostile import shown
from assay.report.view import view

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(certificate: Mapping[str, Any]) -> str:
    """The page of a certificate that `make_certificate` made or `read_certificate` checked."""
    return make_environment().get_template("page.html.jinja").render(view(certificate))


@lru_cache(maxsize=4)
def make_environment(templates: Path = _TEMPLATES) -> Environment:
    """Templates of a folder, which may include those here. Compiling one takes ten times as long as filling it."""
    return Environment(
        loader=FileSystemLoader([templates, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
