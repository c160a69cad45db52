"""The lines of one loop body, and what of them belongs before the loop."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(slots=True)
class Scope:
    """Lines of one loop body, and the names of what has been computed there.

    With the loop variable `lane`, what does not depend on it goes before the loop: the compiler does not move data
    that is looked up.
    """

    lines: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    lane: str = ""
    before: list[str] = field(default_factory=list)
    inside: set[str] = field(default_factory=set)
    is_loop: bool = False

    def define(self, kind: str, name: str, value: str) -> None:
        """A constant of the body, or one before it."""
        line = f"const {kind} {name} = {value};"
        if line in self.lines or line in self.before:
            return
        if self.lane and self.is_common(value):
            self.before.append(line)
        else:
            self.lines.append(line)
            self.inside.add(name)

    def is_common(self, value: str) -> bool:
        """Whether a value is the same in all passes of the loop over `lane`."""
        return not set(WORD.findall(value)) & {self.lane, "lane", *self.inside}
