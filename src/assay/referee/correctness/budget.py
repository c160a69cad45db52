"""Is an output right? An error budget per element and per row, against a float64 oracle; no quota of wrong elements.

The budget is a multiple of what rounding does to this very task, in units of eps x scale. The scale is the largest of
the element itself, the root mean square of its row and that of the whole output, because cancellation and ReLU leave
small results of large terms, whose errors are relative to the terms. The largest of three terms is granted:

* a floor of `_FLOOR` units plus `_PER_ROOT` per square root of the number of inputs that an element depends on: a
  reassociated or even a plainly sequential float32 sum of n terms errs by about sqrt(n) units, and by some times that
  where equal terms make the roundings agree (Higham & Mary, SIAM J. Sci. Comput. 41, 2019);
* `_REFERENCE_FACTOR` times the reference's own error on the same family;
* `_NEARBY_FACTOR` (and `_NEARBY_PER_ROOT` per square root of those inputs) times what moving every input by one unit
  in the last place does, which is the task's condition: intermediate roundings are amplified by it as well;

times the task's declared `error_factor`, and never more than `_CAP` of the scale. Where the reference itself is beyond
that cap, the input is so ill-conditioned that it decides nothing: such a family is left out, such a draw is passed.
Single elements that rounding decides are found where a candidate fails (appeal.py).

Families are budgeted apart, so that an ill-conditioned one does not loosen the others. The floor is what saves honest
code on families where the reference happens to be exact (ties, small integers): there, code that folds a scale early,
PyTorch's own channels-last group norm (17x) and a folded batch norm (4.7x by row) exceed any multiple of its error.

Not covered: errors below the budget on every input tried, and inputs not tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.referee.correctness.deviation import LARGEST, Error, measure, measured, scale_of, unit, widen
from assay.referee.protocol.layout import Layout
from assay.referee.protocol.oracle_client import Array, Draw

_FLOOR, _ROW_FLOOR = 64.0, 24.0
_PER_ROOT = 8.0
"""A plain float32 loop over 3072 exponentials of mostly equal numbers erred by 346 units, 6.2 a root."""
_REFERENCE_FACTOR = 4.0
_NEARBY_FACTOR, _NEARBY_PER_ROOT = 8.0, 0.5
_CAP = {DType.FLOAT32: 2.0**-9, DType.FLOAT64: 2.0**-30, DType.FLOAT16: 2.0**-4, DType.BFLOAT16: 2.0**-3}
_OWN_ROUNDING = 2.0
"""Units of the output's type for the final rounding; only float16 and bfloat16 notice it beside the floor."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Why an output is wrong, so that a person can look at one element."""

    output: int
    kind: str
    where: tuple[int, ...]
    got: float
    wanted: float
    error_units: float
    budget_units: float

    def describe(self) -> str:
        """One sentence."""
        place = f"output {self.output} at {list(self.where)}"
        if self.kind in ("nan", "infinity", "integer"):
            return f"{place}: got {self.got!r}, wanted {self.wanted!r}"
        return (
            f"{place}: got {self.got:.9g}, wanted {self.wanted:.9g}; the {self.kind} errs by {self.error_units:.3g} "
            f"units of rounding, {self.budget_units:.3g} are granted"
        )

    @property
    def is_of_rounding(self) -> bool:
        """Whether numbers differ, rather than integers or what is no number."""
        return self.kind in ("element", "row")


@dataclass(frozen=True, slots=True)
class Limits:
    """Granted units for one output of one family."""

    element: float
    row: float


@dataclass(slots=True)
class Budget:
    """What each output may err by, by family; grows by calibration before any candidate is looked at."""

    error_factor: float = 1.0
    limits: dict[tuple[str, int], Limits] = field(default_factory=dict)

    def calibrate(self, draw: Draw) -> list[Error]:
        """Learn from a draw with "reference" and "nearby"; returns the reference's own errors."""
        errors = []
        for index, spec in enumerate(draw.layout.outputs):
            if not spec.dtype.is_floating:
                continue
            own = measure(draw.reference[index], draw.expected[index], spec)
            nearby = measure(draw.nearby[index], draw.expected[index], spec)
            self.limits[draw.family, index] = self._granted(spec, draw.layout, own, nearby)
            errors.append(own)
        return errors

    def _granted(self, spec: TensorSpec, layout: Layout, own: Error, nearby: Error) -> Limits:
        rounding = _OWN_ROUNDING * spec.dtype.eps / unit(spec.dtype)
        base, amplified = rounding + _PER_ROOT * _root(layout), amplification(layout)

        def grant(floor: float, own_error: float, nearby_error: float) -> float:
            units = max(floor + base, _REFERENCE_FACTOR * own_error, amplified * nearby_error)
            return min(units * self.error_factor, cap_units(spec.dtype))

        element = grant(_FLOOR, own.worst_element, nearby.worst_element)
        return Limits(element, grant(_ROW_FLOOR, own.worst_row, nearby.worst_row))

    def decides(self, draw: Draw) -> bool:
        """Whether the reference itself is within the cap on a draw that carries its outputs."""
        for index, spec in enumerate(draw.layout.outputs):
            if spec.dtype.is_floating:
                own = measure(draw.reference[index], draw.expected[index], spec)
                if not max(own.worst_element, own.worst_row) <= cap_units(spec.dtype):
                    return False
        return True

    def beyond(self, outputs: Sequence[Array], draw: Draw) -> list[NDArray[np.bool_]]:
        """For each output, the elements that are further from what `draw` expects than is granted."""
        found = []
        for index, (got, wanted, spec) in enumerate(zip(outputs, draw.expected, draw.layout.outputs, strict=True)):
            if not spec.dtype.is_floating:
                found.append(np.zeros(wanted.shape, np.bool_))
                continue
            finite = np.isfinite(wanted)
            exact = np.where(finite, wanted, 0.0)
            granted = self._limits(draw, index, spec).element * unit(spec.dtype)
            with np.errstate(invalid="ignore"):
                within = np.abs(widen(got, spec.dtype) - exact) <= granted * scale_of(exact)
            found.append(finite & ~within)
        return found

    def check(self, outputs: Sequence[Array], draw: Draw) -> Witness | None:
        """The worst offence of these outputs against this draw; None where all is within budget.

        A draw that carries "reference" and "nearby" is granted at least its own rounding: that is the appeal of a
        candidate that failed on an unluckily conditioned draw.
        """
        for index, (got, spec) in enumerate(zip(outputs, draw.layout.outputs, strict=True)):
            if spec.numel == 0:
                continue
            witness = self._check_one(got, draw, index, spec)
            if witness is not None:
                return witness
        return None

    def _check_one(self, got: Array, draw: Draw, index: int, spec: TensorSpec) -> Witness | None:
        expected = draw.expected[index]
        if not spec.dtype.is_floating:
            allowed = (expected, *(draw.reference[index : index + 1]))
            return _check_integers(got, allowed, index)
        error, misplaced = measured(got, expected, spec)
        if misplaced and (special := _check_special(got, expected, index, spec)) is not None:
            return special
        limits = self._limits(draw, index, spec)
        if not error.worst_element <= limits.element:
            kind, found, granted = "element", error.worst_element, limits.element
        elif not error.worst_row <= limits.row:
            kind, found, granted = "row", error.worst_row, limits.row
        else:
            return None
        return Witness(index, kind, error.where, error.got, error.wanted, found, granted)

    def _limits(self, draw: Draw, index: int, spec: TensorSpec) -> Limits:
        known = self.limits[draw.family, index]
        if not draw.reference or not draw.nearby:
            return known
        own = measure(draw.reference[index], draw.expected[index], spec)
        nearby = measure(draw.nearby[index], draw.expected[index], spec)
        here = self._granted(spec, draw.layout, own, nearby)
        return Limits(max(known.element, here.element), max(known.row, here.row))


def amplification(layout: Layout) -> float:
    """How many units in the last place of the inputs an honest computation's roundings may be worth."""
    return _NEARBY_FACTOR + _NEARBY_PER_ROOT * _root(layout)


def _root(layout: Layout) -> float:
    return float(np.sqrt(layout.fan_in))


def cap_units(dtype: DType) -> float:
    """The most that is ever granted, in units."""
    return _CAP[dtype] / unit(dtype)


def _check_integers(got: Array, allowed: Sequence[Array], index: int) -> Witness | None:
    """Exact; where the oracle and the reference differ (an index chosen among rounded values), either will do."""
    right = np.zeros(got.shape, dtype=np.bool_)
    for each in allowed:
        right |= got == each
    wrong = np.flatnonzero(~right.reshape(-1))
    if wrong.size == 0:
        return None
    where = tuple(int(i) for i in np.unravel_index(int(wrong[0]), got.shape))
    return Witness(index, "integer", where, float(got[where]), float(allowed[0][where]), float(wrong.size), 0.0)


def _check_special(got: Array, expected: Array, index: int, spec: TensorSpec) -> Witness | None:
    """NaN and infinity must stand exactly where the oracle, rounded to the output's type, has them."""
    largest = LARGEST[spec.dtype]
    values = widen(got, spec.dtype)
    with np.errstate(invalid="ignore"):
        wanted = np.where(np.abs(expected) > largest, np.copysign(np.inf, expected), expected)
    for kind, mine, theirs in (
        ("nan", np.isnan(values), np.isnan(wanted)),
        ("infinity", np.where(np.isinf(values), np.sign(values), 0), np.where(np.isinf(wanted), np.sign(wanted), 0)),
    ):
        wrong = np.flatnonzero(np.asarray(mine != theirs).reshape(-1))
        if wrong.size:
            where = tuple(int(i) for i in np.unravel_index(int(wrong[0]), wanted.shape))
            return Witness(index, kind, where, float(values[where]), float(wanted[where]), float(wrong.size), 0.0)
    return None
