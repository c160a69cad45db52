"""The certificate's JSON layout: its version, its history, and a check that a file has that layout.

Version history:
  1  the first: the parts of `LAYOUT`; `identity` is over everything but itself and `signature`.

A certificate comes from anybody: what passes here can be drawn and replayed without surprises. What the parts claim is
not checked here; `assay verify` runs them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.verdicts import Verdict, Weight
from assay.errors import InputError

SCHEMA, VERSION = "assay-certificate", 1

NUMBER = (int, float)
TEXT, FLAG, COUNT = (str,), (bool,), (int,)
ANY: tuple[type, ...] = (str, bool, int, float, list, dict, type(None))


class Optional:
    """A part that may be null; then `missing` of the certificate names the reason."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout


class MapOf:
    """An object with any keys and values of one layout."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout


class Maybe:
    """A part that older certificates, or those of other devices, do not have."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout


_FILES = [{"path": TEXT, "text": TEXT}]
_INTERVAL = {"ratio": NUMBER, "lower": NUMBER, "upper": NUMBER, "confidence": NUMBER, "rounds": COUNT}
_DROPS = dict.fromkeys(("turns", "kept", "first_only", "second_only", "both", "below_overhead"), COUNT)
_POINT = {
    "bytes_per_s": NUMBER, "flops_per_s": NUMBER, "level": TEXT, "memory_fraction": NUMBER,
    "compute_fraction": Optional(NUMBER), "intensity": Optional(NUMBER), "ridge": Optional(NUMBER),
}  # fmt: skip
_SAMPLES = {
    "round": [COUNT], "turn": [COUNT], "side": [COUNT], "wall_ns": [COUNT], "cpu_ns": [COUNT], "preempted_ns": [COUNT],
    "warm_up": [COUNT], "device_ns": Maybe([COUNT]),
}  # fmt: skip
_CLAIM = {
    "outcome": TEXT, "reason": Optional(TEXT), "message": TEXT, "resolution": Optional(NUMBER),
    "p_value": Optional(NUMBER), "total_ratio": Optional(NUMBER), "speedup": Optional(_INTERVAL),
    "same": Optional(_INTERVAL), "drops": Optional(_DROPS), "same_drops": Optional(_DROPS),
}  # fmt: skip
_TIMING = {
    "rounds": COUNT, "turns": COUNT, "spawn_ms": Optional(NUMBER),
    "overhead": {"median_ns": NUMBER, "spread_ns": NUMBER, "error_ns": NUMBER, "samples": COUNT,
                 "baseline_extra_ns": NUMBER},
    "floor": Optional({"min_ns": NUMBER, "bound": TEXT, "explanation": TEXT, "inputs": MapOf(ANY)}),
    "roofline": MapOf(_POINT), "samples": _SAMPLES,
}  # fmt: skip
MACHINE = {
    "machine": TEXT, "cpu_model": Optional(TEXT), "isa": [TEXT], "cores": COUNT, "cpu_quota": Optional(NUMBER),
    "memory_total_bytes": Optional(COUNT), "memory_available_bytes": Optional(COUNT),
    "caches": Optional([{"level": COUNT, "kind": TEXT, "size_bytes": COUNT, "shared_by": COUNT}]), "kernel": TEXT,
    "hypervisor": Optional(TEXT), "container": Optional(TEXT), "huge_pages": Optional(TEXT), "glibc": Optional(TEXT),
    "python": TEXT, "torch": Optional(TEXT), "gxx": Optional(TEXT), "load_average": Optional(NUMBER),
    "cpu_pressure": Optional(NUMBER), "unknown": MapOf(TEXT), "identity": TEXT,
}  # fmt: skip
LAYOUT: dict[str, Any] = {
    "schema": TEXT, "version": COUNT, "created": TEXT, "identity": TEXT, "verdict": TEXT, "right": Optional(FLAG),
    "speedup": Optional(_INTERVAL), "claim": Optional(_CLAIM), "seconds": NUMBER,
    "task": {"name": TEXT, "format": TEXT, "files": _FILES, "entry": TEXT, "identity": TEXT, "profile": TEXT,
             "overrides": MapOf(ANY), "notes": [TEXT]},
    "candidate": {"name": TEXT, "language": TEXT, "files": _FILES, "entry": TEXT, "identity": TEXT, "flags": [TEXT],
                  "parent": Optional(TEXT), "proposer": Optional(TEXT)},
    "artifact": Optional({"identity": TEXT, "build_cpu_seconds": Optional(NUMBER), "device": Maybe(MapOf(ANY))}),
    "config": {"depth": TEXT, "budget_s": NUMBER, "threads": COUNT, "memory_bytes": COUNT, "baseline": TEXT,
               "call_timeout_s": NUMBER},
    "axes": MapOf(COUNT), "declaration": MapOf(ANY), "machine": MACHINE, "environment": MapOf(Optional(TEXT)),
    "audit": Optional({"trivial": [{"answer": TEXT, "passes_on": [TEXT], "fails_on": [TEXT]}]}),
    "baseline": Optional({
        "variant": TEXT, "from_cache": FLAG,
        "considered": [{"variant": TEXT, "median_ns": Optional(NUMBER), "problem": TEXT}],
    }),
    "correctness": Optional({
        "verified_calls": COUNT, "families": [TEXT], "dropped_families": MapOf(TEXT), "shapes": [MapOf(COUNT)],
        "budgets": MapOf(NUMBER), "oracle": TEXT, "notes": [TEXT],
    }),
    "timing": Optional(_TIMING),
    "isolation": Optional({"tier": TEXT, "held": [TEXT], "missing": [TEXT]}),
    "findings": [{"code": TEXT, "weight": TEXT, "message": TEXT, "fault": Optional(TEXT), "data": MapOf(ANY)}],
    "secret": {"key": TEXT, "commitment": TEXT}, "covered": [TEXT], "not_covered": [TEXT],
    "replay": {"command": TEXT, "note": TEXT}, "missing": MapOf(TEXT),
}  # fmt: skip
"""Every part. A tuple lists the types of a value, a list of one is an array, a dict an object with these keys."""


def check_layout(data: Mapping[str, Any], source: str) -> None:
    """Raises InputError unless this is a certificate of a version that this reader knows, with every part."""
    schema, version = data.get("schema"), data.get("version")
    if schema != SCHEMA:
        raise damaged("This is not a certificate.", f"{source}: schema {schema!r}"[:200], f'"schema": "{SCHEMA}"')
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged("The certificate's version is no version.", f"{source}: {version!r}"[:200])
    if version > VERSION:
        raise InputError(
            "The certificate was written by a newer Assay.",
            value=f"{source}: version {version}",
            rule=f"this Assay reads versions up to {VERSION}",
            next_step="Update Assay, then read it again.",
        )
    for problem in layout_problems(data, LAYOUT, ""):
        raise damaged("The certificate is damaged.", f"{source}: {problem}"[:300])
    closed = ((data["verdict"], Verdict), *((finding["weight"], Weight) for finding in data["findings"]))
    for value, kind in closed:
        known = [member.value for member in kind]
        if value not in known:
            raise damaged("The certificate is damaged.", f"{source}: {value!r}"[:200], f"one of {', '.join(known)}")


def damaged(what: str, value: str, rule: str = f"the layout of {SCHEMA}, version {VERSION}") -> InputError:
    """The error for a file that cannot be read as a certificate."""
    return InputError(what, value=value, rule=rule, next_step="Get the file again from where it was written.")


def layout_problems(value: Any, layout: Any, path: str) -> Iterator[str]:
    """What does not fit, the first thing first; `path` is the value's own."""
    if isinstance(layout, Optional):
        if value is not None:
            yield from layout_problems(value, layout.layout, path)
    elif isinstance(layout, tuple):
        if not _is(value, layout):
            yield f"{path or 'the file'} is {_shown(value)}, expected {' or '.join(kind.__name__ for kind in layout)}"
    elif isinstance(layout, list):
        if not isinstance(value, list):
            yield f"{path} is {_shown(value)}, expected an array"
            return
        for index, each in enumerate(value):
            yield from layout_problems(each, layout[0], f"{path}[{index}]")
    elif not isinstance(value, Mapping):
        yield f"{path or 'the file'} is {_shown(value)}, expected an object"
    else:
        yield from _problems_of_object(value, layout, path)


def _problems_of_object(value: Mapping[str, Any], layout: Any, path: str) -> Iterator[str]:
    open_ended = isinstance(layout, MapOf)
    for key in value if open_ended else layout:
        place = f"{path}.{key}".lstrip(".")
        part = layout.layout if open_ended else layout[key]
        inner = part.layout if isinstance(part, Maybe) else part
        if key in value:
            yield from layout_problems(value[key], inner, place)
        elif not isinstance(part, Maybe):
            yield f"{place} is missing"


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) and bool not in kinds:
        return False
    return isinstance(value, kinds)


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)[:60]
