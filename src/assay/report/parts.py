"""Parts of a judgement as plain JSON: what every reader can parse, and nothing that a strict one refuses.

Sources and messages may hold anything (a candidate's own words end up in findings); numbers may be NaN. Here they
become finite numbers, nulls and well-formed text. A null is explained in the certificate's `missing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from assay.core.strict_json import MAX_INT
from assay.machine.facts import MachineFacts
from assay.machine.floor import RooflinePoint
from assay.referee.baseline import Baseline
from assay.referee.judgement import Correctness, Judgement, Timing
from assay.referee.timing.samples import Sample

_PACKAGES = ("assay", "torch", "numpy")


def plain(value: Any) -> Any:
    """Any value as JSON: not-finite numbers become null, too large integers, bytes and unknown types text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return int(value) if abs(value) <= MAX_INT else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    return plain(str(value))


def samples_to_json(samples: Iterable[Sample]) -> dict[str, list[int]]:
    """Column by column, in the order in which they were taken; `side` is the value of `Side`, `warm_up` is 0 or 1.

    Measurements on a device have one column more, the device's times.
    """
    rows = list(samples)
    names = ["round", "turn", "side", "wall_ns", "cpu_ns", "preempted_ns", "warm_up"]
    if any(row.device_ns for row in rows):
        names.append("device_ns")
    return {name: [int(getattr(row, name)) for row in rows] for name in names}


def timing_to_json(timing: Timing) -> dict[str, Any]:
    """All of a timing but its claim, which stands at the certificate's top."""
    return {
        "rounds": timing.rounds,
        "turns": timing.turns,
        "spawn_ms": timing.spawn_ms,
        "overhead": timing.overhead.to_json(),
        "floor": timing.floor.to_json() if timing.floor else None,
        "roofline": {name: _point(point) for name, point in timing.roofline.items()},
        "samples": samples_to_json(timing.samples),
    }


def _point(point: RooflinePoint) -> dict[str, Any]:
    return asdict(point) | {"level": point.level.value}


def correctness_to_json(correctness: Correctness) -> dict[str, Any]:
    """What was tried; a budget is in units of the accumulation type's rounding."""
    return {
        "verified_calls": correctness.verified_calls,
        "families": correctness.families,
        "dropped_families": correctness.dropped_families,
        "shapes": correctness.shapes,
        "budgets": correctness.budgets,
        "oracle": correctness.oracle,
        "notes": correctness.notes,
    }


def baseline_to_json(baseline: Baseline) -> dict[str, Any]:
    """The chosen variant and all that were considered; its program is the task itself."""
    considered = [each.to_json() for each in baseline.considered]
    return {"variant": baseline.variant, "considered": considered, "from_cache": baseline.from_cache}


def artifact_to_json(judgement: Judgement) -> dict[str, Any] | None:
    """What was built; None where nothing was."""
    if judgement.artifact_identity is None:
        return None
    device = {"device": judgement.device} if judgement.device is not None else {}
    return {"identity": judgement.artifact_identity, "build_cpu_seconds": judgement.build_cpu_seconds, **device}


def machine_to_json(facts: MachineFacts) -> dict[str, Any]:
    """The facts with their identity."""
    return facts.to_json() | {"identity": facts.identity}


def environment_versions(facts: MachineFacts) -> dict[str, str | None]:
    """Versions of what took part; None for what is not installed."""
    found = {name: _version(name) for name in _PACKAGES}
    return found | {"python": facts.python, "g++": facts.gxx, "glibc": facts.glibc, "kernel": facts.kernel}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
