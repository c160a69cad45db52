"""What every schedule has in common: a frozen record whose fields have lists of choices, read from a plain mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

S = TypeVar("S")


def read_schedule(kind: type[S], data: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> S:
    """A schedule of a kind; what an older version did not write is as usual.

    Raises ValueError for values that are not on the list of choices.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"no schedule: {data!r}")
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass, which no bound can say
    found = kind(**{name: data[name] for name in names if name in data})
    for name, values in choices.items():
        if getattr(found, name) not in values:
            raise ValueError(f"{name} is {getattr(found, name)!r}, not one of {values}")
    return found
