"""Source code with its words told apart by colour: classes only, so that the page's styles decide.

Pygments reads hostile text here, with regular expressions: what is unusually long or wide stays plain.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from assay.report.hostile import shown

_MOST_CHARACTERS, _WIDEST = 300_000, 2_000


def highlighted(path: str, source: str) -> list[Markup]:
    """The lines of a file, escaped, what cannot be seen shown; the language goes by the file's name."""
    text = shown(source)
    lines = text.splitlines()
    if len(text) > _MOST_CHARACTERS or any(len(line) > _WIDEST for line in lines):
        return [escape(line) for line in lines]
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import CppLexer, PythonLexer

    lexer = (PythonLexer if path.endswith(".py") else CppLexer)(stripnl=False)
    marked = highlight("\n".join(lines) + "\n", lexer, HtmlFormatter(nowrap=True, classprefix="c-"))
    return [Markup(line) for line in marked.split("\n")[: len(lines)]]
