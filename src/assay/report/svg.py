"""A little SVG: elements as text, everything escaped, classes instead of colours so that the page's styles decide."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from assay.report.hostile import shown

CHARACTER_PX, STRONG_PX = 7.2, 8.0
"""About the width of a character at 13 px in a wide sans-serif face, plain and bold: labels must stay inside."""


def element(name: str, content: str | Markup = "", **attributes: str | float) -> Markup:
    """One element; `class_` stands for class, other underscores for hyphens. Content that is no Markup is escaped."""
    parts = [f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"' for key, value in attributes.items()]
    inner = content if isinstance(content, Markup) else escape(shown(content))
    return Markup(f"<{name}{''.join(parts)}>{inner}</{name}>")


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start", **attributes: str | float) -> Markup:
    """Words at a point on their base line; the anchor is start, middle or end."""
    return element("text", words, x=x, y=y, class_=css or "label", text_anchor=anchor, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def rectangle(x: float, y: float, width: float, height: float, css: str) -> Markup:
    """A rectangle; a negative width is none."""
    return element("rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=css)


def dots(points: Iterable[tuple[float, float]], css: str) -> Markup:
    """Many dots as one path: a dot is a line of no length with round ends, a tenth of a circle's bytes."""
    return element("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), class_=css)


def picture(width: float, height: float, label: str, css: str, parts: Iterable[Markup]) -> Markup:
    """A whole picture with the words that stand in for it."""
    return element(
        "svg", Markup().join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=css
    )  # fmt: skip


def _value(value: str | float) -> str:
    return shown(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
