"""Writing C: indented lines, loops that vanish where they turn once, indices as sums, numbers as literals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from assay.export.network import Array

_NUMBERS_A_LINE = 12


class Text:
    """Lines of C at the present depth."""

    def __init__(self, index_type: str = "int_fast16_t") -> None:
        self.index_type = index_type
        self._lines: list[str] = []
        self._depth = 0

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    def add(self, *lines: str) -> None:
        """Write lines."""
        self._lines += ["    " * self._depth + line if line else "" for line in lines]

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head {` and what is written inside."""
        self.add(f"{head} {{" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.add("}")

    @contextlib.contextmanager
    def loop(self, name: str, count: int) -> Iterator[str | int]:
        """A loop from 0; gives the name of its counter, or 0 where it would turn once."""
        if count == 1:
            yield 0
            return
        with self.block(f"for ({self.index_type} {name} = 0; {name} < {count}; {name}++)"):
            yield name


def total(*terms: tuple[str | int, int] | int) -> str:
    """A sum of numbers and of (name, factor)."""
    constant, parts = 0, []
    for term in terms:
        name, factor = term if isinstance(term, tuple) else (term, 1)
        if isinstance(name, int):
            constant += name * factor
        elif factor:
            parts.append(name if factor == 1 else f"{name} * {factor}")
    if constant or not parts:
        parts.append(str(constant))
    return " + ".join(parts).replace("+ -", "- ")


def float_literal(number: float) -> str:
    """A float32 that is read back as the same bits."""
    text = f"{np.float32(number):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def table(kind: str, name: str, numbers: Array, macro: str, literals: Sequence[str]) -> str:
    """A constant array at file scope."""
    lines = [", ".join(literals[at : at + _NUMBERS_A_LINE]) for at in range(0, len(literals), _NUMBERS_A_LINE)]
    return f"{macro} {kind} {name}[{numbers.size}] = {{\n    " + ",\n    ".join(lines) + ",\n};\n"


def smallest_unsigned(largest: int) -> str:
    """The C type that holds 0 to `largest`."""
    return "uint8_t" if largest < 1 << 8 else "uint16_t" if largest < 1 << 16 else "uint32_t"
