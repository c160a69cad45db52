"""The whole program: NAME.c and NAME.h, for any C99 compiler, with <stdint.h> and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import InputError
from assay.export.c99 import mathematics
from assay.export.c99.convolution import Form
from assay.export.c99.layers import function_name, parameters, write_stage
from assay.export.c99.numerics import HELPERS, FloatNumerics, IntegerNumerics, Numerics, Table
from assay.export.c99.plan import plan_memory, plan_stages
from assay.export.c99.text import Text, table
from assay.export.network import Network
from assay.export.quantise import Element, IntegerNetwork

_KEYWORDS = frozenset(
    {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
     "for", "goto", "if", "inline", "int", "long", "main", "register", "restrict", "return", "short", "signed",
     "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """A generated program. `arena_bytes` is what it keeps between its layers; `arena_type` is empty where it
    holds that itself. Input and output are the caller's."""

    name: str
    source: str
    header: str
    arena_bytes: int
    forms: dict[int, str]
    input_type: str
    output_type: str
    inputs: int
    outputs: int
    decides: bool
    arena_type: str

    @property
    def has_floats(self) -> bool:
        """Whether anything in it is a fraction."""
        return self.input_type == "float"


def write_program(
    network: Network | IntegerNetwork,
    name: str = "model",
    *,
    form: Form | None = None,
    own_arena: bool = True,
    tap_bytes: int | None = None,
) -> Program:
    """The program of a float or an integer network.

    Args:
        network: what it computes; with `decides`, which channel is largest.
        name: of files, functions and macros.
        form: of all weights, in place of a choice by size.
        tap_bytes: of one product in straight-line code, for the choice by size; on Thumb without it.
        own_arena: whether it holds its working memory itself; else the caller hands it over.

    Raises InputError for a name that C does not take, and for a decision at more than one position.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name) or name in _KEYWORDS:
        raise InputError(
            "this is no name for a program", value=name, rule="lower-case letters, digits and _; no keyword of C"
        )
    numerics: Numerics = (
        FloatNumerics(network, name, tap_bytes)
        if isinstance(network, Network)
        else IntegerNumerics(network, name, tap_bytes)
    )
    if numerics.network.decides and numerics.network.output[1:] != (1, 1):
        raise InputError("a decision needs a vector of outputs", value=f"outputs {numerics.network.output}",
                         rule="one position", next_step="export without --argmax")  # fmt: skip
    return _Writer(numerics, form, own_arena).program()


class _Writer:
    def __init__(self, numerics: Numerics, form: Form | None, own_arena: bool) -> None:
        self._numerics, self._form, self._own_arena = numerics, form, own_arena
        self._network, self._name = numerics.network, numerics.name
        self._last = len(self._network.layers)
        self._stages = plan_stages(self._network)
        values = range(self._last + 1)
        wide = any(numerics.element(value) == Element.INT16.c_type for value in values)
        self._arena_type = "float" if isinstance(numerics, FloatNumerics) else "int16_t" if wide else "uint8_t"
        self._unit = {"float": 4, "int16_t": 2, "uint8_t": 1}[self._arena_type]
        outside = frozenset({0} if self._network.decides else {0, self._last})
        self._slots, self._bytes = plan_memory(
            self._network, self._stages, {value: numerics.element_bytes(value) for value in values},
            outside=outside, align=self._unit,
        )  # fmt: skip

    def program(self) -> Program:
        numerics, network = self._numerics, self._network
        largest = max(math.prod(network.shape(value)) for value in range(self._last + 1))
        code = Text("int_fast16_t" if largest < 1 << 15 else "int_fast32_t")
        forms: dict[int, Form] = {}
        for stage in self._stages:
            forms |= write_stage(code, numerics, stage, self._form)
            code.add("")
        self._write_entry(code)
        output_type = "int32_t" if network.decides else numerics.element(self._last)
        return Program(
            self._name, self._preamble() + str(code), self._header(), self._bytes,
            {value: form.value for value, form in forms.items()}, numerics.element(0), output_type,
            math.prod(network.takes), 1 if network.decides else math.prod(network.output), network.decides,
            "" if self._own_arena else self._arena_type,
        )  # fmt: skip

    def _signature(self) -> str:
        upper, numerics = self._name.upper(), self._numerics
        taken = [f"const {numerics.element(0)} input[{upper}_INPUTS]"]
        if not self._network.decides:
            taken.append(f"{numerics.element(self._last)} output[{upper}_OUTPUTS]")
        if not self._own_arena:
            taken.append(f"{self._arena_type} arena[{upper}_ARENA]")
        kind, verb = ("int32_t", "decide") if self._network.decides else ("void", "run")
        return f"{kind} {self._name}_{verb}({', '.join(taken)})"

    def _write_entry(self, code: Text) -> None:
        network = self._network
        arena = f"{self._name}_arena" if self._own_arena else "arena"
        if self._own_arena and self._bytes:
            code.add(f"static {self._arena_type} {arena}[{self._bytes // self._unit}];", "")
        code.add(self._signature())
        with code.block(""):
            if not self._own_arena and not self._bytes:
                code.add("(void)arena;")
            for stage in self._stages:
                given = [
                    self._pointer(value, arena, written) for _, value, written in parameters(self._numerics, stage)
                ]
                code.add(f"{function_name(self._numerics, stage)}({', '.join(given)});")
            if network.decides:
                self._write_decision(code, arena)

    def _pointer(self, value: int, arena: str, written: bool) -> str:
        if value == 0:
            return "input"
        if value not in self._slots:
            return "output"
        kind, place = self._numerics.element(value), self._slots[value].start // self._unit
        there = f"{arena} + {place}" if place else arena
        return there if kind == self._arena_type else f"({'' if written else 'const '}{kind} *)({there})"

    def _write_decision(self, code: Text, arena: str) -> None:
        count, kind = self._network.output[0], self._numerics.element(self._last)
        code.add(f"const {kind} *y = {self._pointer(self._last, arena, False)};")
        if count == 1:
            code.add("return y[0] > 0;")
            return
        code.add("int32_t best = 0;")
        with code.block(f"for (int32_t i = 1; i < {count}; i++)"), code.block("if (y[i] > y[best])"):
            code.add("best = i;")
        code.add("return best;")

    def _preamble(self) -> str:
        """Everything before the layers: what they need of helpers and tables."""
        numerics, name = self._numerics, self._name
        macro = f"{name.upper()}_TABLE"
        parts = [
            f'/* Generated by Assay. What it computes, and how it is called, is in {name}.h. */\n#include "{name}.h"\n'
        ]
        if numerics.tables:
            parts.append(
                "/* avr-gcc keeps constants in RAM unless told otherwise, which -std=gnu99 allows. */\n#ifdef __FLASH\n"
                f"#define {macro} static const __flash\n#else\n#define {macro} static const\n#endif\n"
            )
        if not isinstance(numerics, FloatNumerics):
            parts.append(mathematics.ARITHMETIC_SHIFT.replace("@", f"{name}_"))
        parts += [self._table(each, macro) for each in numerics.tables.values()]
        parts += [text.replace("@", f"{name}_") for key, text in HELPERS.items() if key in numerics.helpers]
        return "\n".join(parts) + "\n"

    def _table(self, found: Table, macro: str) -> str:
        kind, name, numbers = found
        return table(kind, name, numbers, macro, [self._numerics.literal(number) for number in numbers.tolist()])

    def _header(self) -> str:
        upper = self._name.upper()
        lines = [
            "/*", *(f" * {line}".rstrip() for line in self._description()), " */",
            f"#ifndef {upper}_H", f"#define {upper}_H", "", "#include <stdint.h>", "",
            f"#define {upper}_INPUTS {math.prod(self._network.takes)}",
            f"#define {upper}_OUTPUTS {math.prod(self._network.output)}",
        ]  # fmt: skip
        if not self._own_arena:
            lines.append(f"#define {upper}_ARENA {max(self._bytes // self._unit, 1)}")
        lines += ["", "#ifdef __cplusplus", 'extern "C" {', "#endif", "", f"{self._signature()};", "",
                  "#ifdef __cplusplus", "}", "#endif", "", "#endif"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _description(self) -> list[str]:
        network, name = self._network, self._name
        kept, of = network.weights
        own = "a static array" if self._own_arena else f"the caller's array of {name.upper()}_ARENA elements"
        lines = [
            f"{name}: a neural network of {len(network.layers)} layers; {kept} of {of} weights are not zero.",
            "Generated by Assay. C99; needs no library, no heap and no other file than stdint.h.",
            "",
            f"Build: cc -std=c99 -Os -c {name}.c        (AVR: -std=gnu99 keeps tables in flash)",
            f"Input: {_words(network.takes)}.",
            f"Output: {_words(network.output)}." if not network.decides else
            "Returns the number of the largest output." if network.output[0] > 1 else
            "Returns 1 where the output is above zero (a probability above a half), else 0.",
            f"Working memory: {self._bytes} bytes, in {own}; beside it a few words of stack.",
        ]  # fmt: skip
        if isinstance(self._numerics, IntegerNumerics):
            given, out = self._numerics.integer.takes, self._numerics.integer.output
            lines += ["", "Numbers are integers: an input x is given as round(x / scale), within its type's range.",
                      f"Input scale {given.scale:.9g}, output scale {out.scale:.9g}."]  # fmt: skip
        return lines if self._own_arena else [*lines, "Calls with different arenas may run at the same time."]


def _words(shape: Sequence[int]) -> str:
    channels, rows, columns = shape
    if (rows, columns) == (1, 1):
        return f"{channels} numbers" if channels > 1 else "one number"
    if channels == 1:
        return f"{rows} x {columns} numbers, row by row"
    return f"{channels} channels of {rows} x {columns} numbers, channel by channel, row by row"
