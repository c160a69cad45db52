"""Is a task worth optimising? Trivial answers are put before the same budget that a candidate must meet.

A task is degenerate where an answer that does no work would pass on inputs that its author would try. Hidden families
tighten such a task; where a trivial answer passes on all of them too, it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.referee.bench import Bench
from assay.referee.correctness import families
from assay.referee.protocol.oracle_client import NUMPY_TYPES, Array, Draw, view


@dataclass(frozen=True, slots=True)
class Trivial:
    """One trivial answer: on which families it would pass."""

    answer: str
    passes_on: tuple[str, ...]
    fails_on: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {"answer": self.answer, "passes_on": list(self.passes_on), "fails_on": list(self.fails_on)}


@dataclass(frozen=True, slots=True)
class Audit:
    """What trivial answers would achieve."""

    trivial: tuple[Trivial, ...]

    @property
    def degenerate(self) -> tuple[Trivial, ...]:
        """Answers that pass on everything: the task proves nothing."""
        return tuple(t for t in self.trivial if t.passes_on and not t.fails_on)

    @property
    def tightened(self) -> tuple[Trivial, ...]:
        """Answers that pass on the task's own inputs and fail on a hidden family."""
        return tuple(t for t in self.trivial if families.OWN in t.passes_on and t.fails_on)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {"trivial": [t.to_json() for t in self.trivial]}


def audit_task(bench: Bench) -> Audit:
    """Try every trivial answer on a draw of the task's own family, and those that pass it on every other family."""
    tried: dict[str, tuple[list[str], list[str]]] = {}
    for family in bench.families:
        suspects = None if family == families.OWN else [name for name, (passed, _) in tried.items() if passed]
        if suspects == []:
            break
        for name, passes in _passing(bench, family, suspects).items():
            tried.setdefault(name, ([], []))[0 if passes else 1].append(family)
    return Audit(tuple(Trivial(name, tuple(passed), tuple(failed)) for name, (passed, failed) in tried.items()))


def _passing(bench: Bench, family: str, suspects: list[str] | None) -> dict[str, bool]:
    """Which answers pass one draw of a family; all are tried where there are no suspects yet."""
    earlier = bench.oracle.draw(bench.timed, family, want=("expected", "reference"))
    previous = [array.copy() for array in earlier.reference]
    draw = bench.oracle.draw(bench.timed, family, want=("expected", "half"))
    found = {}
    for name, answer in _answers(draw, previous).items():
        outputs = answer() if suspects is None or name in suspects else None
        if outputs is not None:
            found[name] = bench.budget.check(outputs, draw) is None
    return found


def _answers(draw: Draw, previous: Sequence[Array]) -> dict[str, Callable[[], tuple[Array, ...] | None]]:
    specs = draw.layout.outputs
    answers: dict[str, Callable[[], tuple[Array, ...] | None]] = {
        "zeros": lambda: tuple(_full(spec, 0.0) for spec in specs),
        "ones": lambda: tuple(_full(spec, 1.0) for spec in specs),
        "the output's mean everywhere": lambda: tuple(
            _full(spec, float(np.mean(wanted))) for spec, wanted in zip(specs, draw.expected, strict=True)
        ),
        "the output for another input": lambda: tuple(previous),
        "the reference in half precision": lambda: draw.half or None,
    }
    for spec, offset in zip(draw.layout.inputs.specs, draw.layout.inputs.offsets, strict=True):
        answers[f"its input {spec.name}"] = partial(_as_output, draw, spec, offset)
    return answers


def _as_output(draw: Draw, spec: TensorSpec, offset: int) -> tuple[Array, ...] | None:
    only = draw.layout.outputs[0]
    if len(draw.layout.outputs) != 1 or spec.shape != only.shape or spec.dtype is not only.dtype:
        return None
    return (view(draw.inputs, spec, offset),)


def _full(spec: TensorSpec, value: float) -> Array:
    if spec.dtype is DType.BFLOAT16:
        bits = np.float32(value).view(np.uint32) >> 16
        return np.full(spec.shape, bits, dtype=np.uint16)
    return np.full(spec.shape, value).astype(NUMPY_TYPES[spec.dtype])
