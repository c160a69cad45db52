"""Launch plans: which kernels of a candidate run, in what order, how large, and with what arguments.

A plan is TOML, in a file `launch.toml` or in the comment that opens a single file:

    [sizes]                                  # names for numbers, each may use those above it
    rows = "in0.shape[0]"
    columns = "in0.shape[1]"

    [scratch]                                # device memory between launches, in bytes; it holds random bytes at first
    partial = "4 * rows"

    [[launch]]
    kernel = "softmax"
    when = "columns <= 1024"                 # skipped where this is false
    grid = ["rows"]
    block = [128]
    shared_bytes = "4 * columns"
    arguments = ["in0", "out0", "partial", "i32 columns", "f32 1 / columns"]

`in0`, `weight0` and `out0` are the call's tensors by number, `scalar0` its numbers. An argument is a tensor, a scratch
area, or a type and an expression.

Triton's kernels have `constants`, `num_warps` and `num_stages` instead of `block`. What they are compiled for stands in
a table [types]: the element type of each pointer that is not to float32, by its name. An integer that is always a
multiple of 16 says so, "i32/16 columns", which lets rows of such a length be read in wide loads; `when` sees to it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.sources import SourceFile
from assay.errors import CandidateError
from assay.launch.expressions import FUNCTIONS, Expression

PLAN_FILE = "launch.toml"
NUMBER_TYPES = ("i32", "u32", "i64", "u64", "f32", "f64", "i32/16", "i64/16")
"""How a number is passed to a kernel: the bytes that its parameter has, and what is known of it."""
ELEMENT_TYPES = ("fp32", "fp64", "fp16", "bf16", "i8", "i16", "i32", "i64", "u8", "i1")
"""Triton's names of the types that a pointer may point to."""
MOST_LAUNCHES = 64
"""Of a plan: the longest honest one, a recurrent layer step by step, has as many launches as steps, and is refused."""
MOST_SCRATCH = 16

_TENSOR = re.compile(r"(in|weight|out)(\d{1,3})")
_SCALAR = re.compile(r"scalar\d{1,3}")
_NAME = re.compile(r"[A-Za-z_]\w{0,63}")
_SYMBOL = re.compile(r"[A-Za-z_$][\w$]{0,255}")
_LAUNCH_KEYS = frozenset({
    "kernel", "when", "grid", "block", "cluster", "shared_bytes", "arguments", "constants", "num_warps", "num_stages",
})  # fmt: skip
_EMBEDDED = re.compile(r"\A\s*(?:/\*|\"\"\"|''')\s*launch\.toml\s*\n(.*?)(?:\*/|\"\"\"|''')", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a kernel: `type` is "pointer" with a tensor's or a scratch area's name, or a number's type."""

    type: str
    name: str = ""
    value: Expression | None = None

    @property
    def size_bytes(self) -> int:
        """What a parameter of this type has."""
        return 4 if self.type[:3] in ("i32", "u32", "f32") else 8


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch. Grid, block and cluster have three sizes each."""

    kernel: str
    arguments: tuple[Argument, ...]
    grid: tuple[Expression, Expression, Expression]
    block: tuple[Expression, Expression, Expression]
    cluster: tuple[int, int, int]
    shared_bytes: Expression
    when: Expression
    constants: tuple[tuple[str, int | float | bool], ...] = ()
    """Of a Triton kernel: what is compiled in."""
    num_warps: int = 4
    num_stages: int = 3


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """A candidate's launches in order, with the names that they use."""

    launches: tuple[Launch, ...]
    sizes: tuple[tuple[str, Expression], ...] = ()
    scratch: tuple[tuple[str, Expression], ...] = ()
    types: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> LaunchPlan:
        """A plan from TOML. Raises CandidateError, naming the entry that is wrong."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _wrong("it is not TOML", str(error)) from None
        for key in data:
            if key not in ("sizes", "scratch", "types", "launch"):
                raise _wrong("an unknown table", key, "sizes, scratch, types and launch")
        known: set[str] = set()
        sizes = _named(data.get("sizes", {}), "sizes", known)
        areas: set[str] = set()
        scratch = _named(data.get("scratch", {}), "scratch", known, areas)
        entries = data.get("launch", [])
        if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_LAUNCHES:
            raise _wrong("no launch, or too many", str(entries)[:60], f"1 to {MOST_LAUNCHES} tables [[launch]]")
        if len(scratch) > MOST_SCRATCH:
            raise _wrong("too many scratch areas", str(len(scratch)), f"at most {MOST_SCRATCH}")
        types = _types(data.get("types", {}), areas)
        return cls(tuple(_launch(entry, known, areas) for entry in entries), sizes, scratch, types)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels' symbols, each once, in the order of their first launch."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))


def find_plan(files: Iterable[SourceFile]) -> LaunchPlan:
    """The plan of a candidate's files. Raises CandidateError where there is none, more than one, or a wrong one."""
    return LaunchPlan.parse(plan_text(files))


def plan_text(files: Iterable[SourceFile]) -> str:
    """The plan's TOML: `launch.toml`, or the opening comment of one of the files.

    Raises CandidateError where there is none, or more than one.
    """
    files = tuple(files)
    found = [file.text for file in files if file.path == PLAN_FILE]
    found += [text for file in files if file.path != PLAN_FILE and (text := embedded_plan(file))]
    if len(found) != 1:
        raise CandidateError(
            "a device candidate needs a launch plan" if not found else "a device candidate has several launch plans",
            value=", ".join(file.path for file in files),
            rule=f"{PLAN_FILE}, or a first comment that begins with the line {PLAN_FILE}",
            next_step="see docs/gpu.md for an example",
        )
    return found[0]


def embedded_plan(file: SourceFile) -> str:
    """The plan in a file's opening comment; empty where there is none."""
    match = _EMBEDDED.match(file.text)
    return match[1] if match else ""


def _launch(entry: Any, sizes: set[str], areas: set[str]) -> Launch:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("kernel"), str)
        or not _SYMBOL.fullmatch(entry["kernel"])
    ):
        raise _wrong("a launch names no kernel", str(entry)[:80], 'kernel = "its symbol"')
    for key in entry:
        if key not in _LAUNCH_KEYS:
            raise _wrong("an unknown key in a launch", key, ", ".join(sorted(_LAUNCH_KEYS)))
    written = entry.get("arguments", [])
    if not isinstance(written, list) or not all(isinstance(item, str) for item in written):
        raise _wrong("arguments are no list of texts", str(written)[:80])
    cluster = tuple(e.integer({}) for e in _three(entry.get("cluster", [1]), "cluster", set()))
    return Launch(
        kernel=str(entry["kernel"]),
        arguments=tuple(_argument(item, sizes, areas) for item in written),
        grid=_three(entry.get("grid", [1]), "grid", sizes),
        block=_three(entry.get("block", [1]), "block", sizes),
        cluster=(cluster[0], cluster[1], cluster[2]),
        shared_bytes=_expression(entry.get("shared_bytes", 0), "shared_bytes", sizes),
        when=_expression(entry.get("when", 1), "when", sizes),
        constants=_constants(entry.get("constants", {})),
        num_warps=_small(entry.get("num_warps", 4), "num_warps"),
        num_stages=_small(entry.get("num_stages", 3), "num_stages"),
    )


def _argument(text: str, sizes: set[str], areas: set[str]) -> Argument:
    kind, _, rest = text.strip().partition(" ")
    if kind in NUMBER_TYPES:
        return Argument(kind, value=_expression(rest, "arguments", sizes))
    if not rest and (kind in areas or _TENSOR.fullmatch(kind)):
        return Argument("pointer", name=kind)
    known = ", ".join(("in0", "weight0", "out0", *sorted(areas)))
    raise _wrong("an unknown argument", text, f"one of {known}, or one of {', '.join(NUMBER_TYPES)} and an expression")


def _named(table: Any, where: str, known: set[str], own: set[str] | None = None) -> tuple[tuple[str, Expression], ...]:
    """The expressions of a table; their names go into `own`, or are known to all that follow."""
    if not isinstance(table, dict):
        raise _wrong(f"{where} is no table", str(table)[:80])
    found = []
    for name, text in table.items():
        taken = name in known or name in FUNCTIONS or name in NUMBER_TYPES
        if taken or not _NAME.fullmatch(name) or _TENSOR.fullmatch(name) or _SCALAR.fullmatch(name):
            raise _wrong(f"a name in {where} is taken or no name", name)
        found.append((name, _expression(text, where, known)))
        (known if own is None else own).add(name)
    return tuple(found)


def _types(table: Any, areas: set[str]) -> tuple[tuple[str, str], ...]:
    if not isinstance(table, dict):
        raise _wrong("types is no table", str(table)[:80])
    for name, kind in table.items():
        if (name not in areas and not _TENSOR.fullmatch(name)) or kind not in ELEMENT_TYPES:
            rule = f"a tensor or scratch area, and one of {', '.join(ELEMENT_TYPES)}"
            raise _wrong("a wrong entry in types", f"{name} = {kind!r}", rule)
    return tuple(table.items())


def _three(sizes: Any, where: str, known: set[str]) -> tuple[Expression, Expression, Expression]:
    if not isinstance(sizes, list) or not 1 <= len(sizes) <= 3:
        raise _wrong(f"{where} is no list of sizes", str(sizes)[:80], "one to three sizes")
    x, y, z = (_expression(item, where, known) for item in [*sizes, 1, 1][:3])
    return x, y, z


def _expression(text: Any, where: str, known: set[str]) -> Expression:
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise _wrong(f"{where} holds no expression", str(text)[:80])
    expression = Expression.parse(text)
    for name in sorted(expression.names):
        if name not in known and not _TENSOR.fullmatch(name) and not _SCALAR.fullmatch(name):
            raise _wrong(f"{where} uses an unknown name", name, "in0, weight0, out0, scalar0 or a name from [sizes]")
    return expression


def _constants(table: Any) -> tuple[tuple[str, int | float | bool], ...]:
    if not isinstance(table, dict) or not all(isinstance(value, (int, float)) for value in table.values()):
        raise _wrong("constants are no table of numbers", str(table)[:80])
    return tuple(table.items())


def _small(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 32:
        raise _wrong(f"{where} is out of range", str(value), "1 to 32")
    return value


def _wrong(what: str, value: str, rule: str = "") -> CandidateError:
    return CandidateError(f"the launch plan is wrong: {what}", value=value, rule=rule,
                          next_step="see docs/gpu.md for what a plan may say")  # fmt: skip


def tensor_place(name: str) -> tuple[str, int] | None:
    """("in", 0) for `in0`; None for a name that stands for no tensor."""
    match = _TENSOR.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def values_of(tensors: Mapping[str, Iterable[Any]], scalars: Iterable[float]) -> dict[str, Any]:
    """The names that a plan's expressions may use, from the tensors by role ("in", "weight", "out") and the numbers."""
    named = {f"{role}{i}": spec for role, specs in tensors.items() for i, spec in enumerate(specs)}
    return named | {f"scalar{i}": value for i, value in enumerate(scalars)}
