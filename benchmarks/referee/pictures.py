"""Pictures that stand alone in Markdown: SVG with its own styles, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from assay.report.axes import WIDE
from assay.report.svg import element, rectangle

_COLOURS = {
    "paper": ("#ffffff", "#12151a"), "ink": ("#16191f", "#e8ebf0"), "soft": ("#565e6b", "#a4adba"),
    "rule": ("#d5d9e0", "#363e4a"),
}  # fmt: skip
"""On a light page, and on a dark one."""
_RULES = """
.paper { fill: var(--paper); }
.label { font: 13px system-ui, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
.tick, .title { fill: var(--soft); } .axis { stroke: var(--soft); } .grid { stroke: var(--rule); }
"""
HALO = """
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
"""
"""For labels that may lie on lines."""


def stand_alone(
    parts: Iterable[Markup], height: float, label: str, colours: Mapping[str, tuple[str, str]], rules: str
) -> str:  # fmt: skip
    """A picture of these parts on paper.

    Args:
        parts: what is drawn, in order.
        height: in pixels; all are as wide.
        label: the words that stand in for it.
        colours: by name, on a light page and on a dark one: var(--name) in the rules.
        rules: CSS of the parts' classes.
    """
    both = {**_COLOURS, **colours}
    light, dark = ("; ".join(f"--{name}: {pair[side]}" for name, pair in both.items()) for side in (0, 1))
    style = f"\nsvg {{ {light}; }}\n@media (prefers-color-scheme: dark) {{ svg {{ {dark}; }} }}{_RULES}{rules}"
    inner = Markup().join([element("style", Markup(style)), rectangle(0, 0, WIDE, height, "paper"), *parts])
    return str(
        element(
            "svg", inner, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDE:g} {height:g}", role="img",
            aria_label=label,
        )
    )  # fmt: skip
