"""Text from candidates and tasks made safe to show: it may move a terminal's cursor or turn a line's direction.

Control characters, and the characters that reorder text (Boucher and Anderson, "Trojan Source", 2021), are shown as
their code points instead of obeyed. Markup is not this module's affair: the terminal never parses any, and the page's
templates escape everything.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""C0 and C1 controls but tab and line feed, and what Unicode calls default-ignorable, bidirectional or a surrogate."""


def shown(text: str) -> str:
    """Any text with what cannot be seen as `<U+202E>`; line feeds and tabs stay."""
    return _UNSEEN.sub(lambda match: f"<U+{ord(match.group()):04X}>", text.replace("\r\n", "\n"))


def one_line(text: str, most: int = 500) -> str:
    """The same on one line, shortened to `most` characters."""
    line = " ".join(shown(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
