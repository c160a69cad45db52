"""JSON from anybody: an object without repeated keys, NaN, infinity or numbers that few readers keep.

A repeated key would let one file say different things to two readers; the size and depth are bounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 64 << 20
"""Sources may have 4 MiB a side, and 30 rounds of 60 turns make 0.2 MB of samples: this is a generous bound."""

MAX_INT = 2**64
"""Larger integers are written as text: few readers of JSON keep them."""

_MAX_DEPTH = 64


def parse_object(content: bytes) -> dict[str, Any]:
    """Bytes as a JSON object; raises ValueError for anything else, saying what it is instead."""
    try:
        data = json.loads(
            content.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite_float,
            parse_int=_bounded_int,
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}"[:250]) from error
    if not isinstance(data, dict):
        raise ValueError(f"not an object but {type(data).__name__}")
    if _too_deep(data):
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    return data


def _too_deep(data: Mapping[str, Any]) -> bool:
    level: list[Any] = [data]
    for _ in range(_MAX_DEPTH):
        children = [child for each in level for child in (each.values() if isinstance(each, Mapping) else each)]
        level = [child for child in children if isinstance(child, Mapping | list)]
    return bool(level)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is out of range")
    return value


def _bounded_int(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INT:
        raise ValueError(f"{text[:40]} is out of range")
    return value
