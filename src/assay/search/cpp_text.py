"""C++ as tokens: a form without comments, layout and names of locals; and one local renamed.

A name counts as a local only where that is beyond doubt: declared with a built-in type, never called, never a member,
not in a preprocessor line, another file or beside assembly. All its uses in the file are renamed together.
"""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
    (?P<comment>//(?:\\\r?\n|[^\n])*|/\*.*?\*/)
  | (?P<raw>(?:u8|[uUL])?R"(?P<tag>[^()\s\\"]{0,16})\(.*?\)(?P=tag)")
  | (?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*"|(?:u8|[uUL])?'(?:\\.|[^'\\\n])+')
  | (?P<directive>(?:(?<=\n)|\A)[^\S\n]*\#(?:\\\r?\n|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?!//)[^\n])*)
  | (?P<number>\.?\d(?:[eEpP][+-]|'?\w|\.)*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<space>\n|[^\S\n]+)
  | (?P<mark>::|->|\#\#|<<=|>>=|<=|>=|==|!=|&&|\|\||\+\+|--|[+\-*/%&|^]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)

NAME = re.compile(r"[A-Za-z_]\w*")

BUILT_IN = frozenset(
    re.findall(
        r"\w+",
        """bool char short int long unsigned signed float double auto size_t ptrdiff_t uintptr_t intptr_t
        int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
        __m128 __m256 __m512 __m128i __m256i __m512i __m128d __m256d __m512d""",
    )
)
KEYWORDS = BUILT_IN | frozenset(
    re.findall(
        r"\w+",
        """const constexpr static inline register volatile return if else for while do switch case default break
        continue goto sizeof struct class enum union template typename using namespace new delete
        this operator extern""",
    )
)


def tokens(text: str) -> list[tuple[str, str]]:
    """(group, text) of every token, spaces and comments included; joined again they are the text."""
    return [(match.lastgroup or "mark", match.group()) for match in TOKEN.finditer(text) if match.lastgroup != "tag"]


def names_of(text: str) -> frozenset[str]:
    """Every name in a file, in directives too."""
    named = {token for group, token in tokens(text) if group == "name"}
    directives = (token for group, token in tokens(text) if group == "directive")
    return frozenset(named.union(*(NAME.findall(directive) for directive in directives)))


def normal_form(text: str, elsewhere: frozenset[str] = frozenset()) -> str:
    """Tokens without comments and layout; locals by order of appearance, but for names that other files use."""
    found = tokens(text)
    free = [name for name in locals_of(found) if name not in elsewhere]
    numbers = {name: f"$local{number}" for number, name in enumerate(free)}
    parts = []
    for group, token in found:
        if group == "directive":
            parts.append("\n" + " ".join(re.sub(r"\\\r?\n|/\*.*?\*/", " ", token).split()) + "\n")
        elif group == "name":
            parts.append(numbers.get(token, token))
        elif group not in ("comment", "space"):
            parts.append(token)
    return " ".join(parts)


def rename_one(text: str, number: int, elsewhere: frozenset[str] = frozenset()) -> str:
    """The same text with one local under a new name; unchanged if there is none beyond doubt."""
    found = tokens(text)
    names = [name for name in locals_of(found) if name not in elsewhere]
    if not names:
        return text
    old = names[number % len(names)]
    new = f"{old}_v{number}"
    while new in text:
        new += "_"
    return "".join(new if (group, token) == ("name", old) else token for group, token in found)


def locals_of(found: list[tuple[str, str]]) -> list[str]:
    """Names that are certainly plain locals, by first appearance."""
    code = [each for each in found if each[0] not in ("comment", "space")]
    names = {token for group, token in code if group == "name"}
    if names & {"asm", "__asm__", "__asm"}:
        return []
    declared: dict[str, None] = {}
    doubtful = {name for group, token in code if group == "directive" for name in NAME.findall(token)}
    depth = 0
    for index in range(1, len(code) - 1):
        (_, before), (group, token), (_, after) = code[index - 1 : index + 2]
        depth += (token == "{") - (token == "}")
        if group != "name" or token in KEYWORDS:
            continue
        if before in (".", "->", "::", "goto") or after in ("(", "::"):
            doubtful.add(token)
        elif depth > 0 and before in BUILT_IN and after in ("=", ";", ","):
            declared.setdefault(token)
    return [name for name in declared if name not in doubtful and not _is_field(name, code)]


def _is_field(name: str, code: list[tuple[str, str]]) -> bool:
    """Whether a name is declared in the body of a struct, where layout and designated initialisers may use it."""
    inside: list[bool] = []
    opens = False
    for group, token in code:
        if group == "name" and token in ("struct", "class", "union", "enum"):
            opens = True
        elif token == "{":
            inside.append(opens)
            opens = False
        elif token == "}" and inside:
            inside.pop()
        elif token in (";", ")", ">"):
            opens = False
        elif token == name and inside and inside[-1]:
            return True
    return False
