"""Where a number lies on an axis, and which numbers an axis names."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay.report.units import digits

_MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class LogScale:
    """Equal distances for equal ratios, from `low` at `start` to `high` at `end` pixels.

    Raises ValueError unless 0 < low < high and both are finite.
    """

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high < math.inf) or math.log(self.high / self.low) == 0:
            raise ValueError(f"a logarithmic axis cannot go from {self.low} to {self.high}")

    def __call__(self, value: float) -> float:
        """Pixels, beyond the ends too."""
        share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round numbers within the axis: powers of ten, 1-2-5, or even steps where the axis spans little."""
        for mantissas in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
            found = self._mantissas(mantissas, 1)
            if 3 <= len(found) <= most:
                return found
        if len(self._mantissas((1.0, 2.0, 5.0), 1)) < 3:
            return even_ticks(self.low, self.high, most)
        every = 2
        while len(found := self._mantissas((1.0,), every)) > most:
            every += 1
        return found

    def _mantissas(self, mantissas: tuple[float, ...], every: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [m * 10.0**decade for decade in decades if decade % every == 0 for m in mantissas]
        return [value for value in values if self.low <= value <= self.high]


@dataclass(frozen=True, slots=True)
class LinearScale:
    """Equal distances for equal differences, from `low` at `start` to `high` at `end` pixels.

    Raises ValueError unless low < high and both are finite.
    """

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"an axis cannot go from {self.low} to {self.high}")

    def __call__(self, value: float) -> float:
        """Pixels, beyond the ends too."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round numbers within the axis."""
        return even_ticks(self.low, self.high, most)


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers, at most `most`."""
    exponent = math.floor(math.log10((high - low) / most))
    for step in (m * 10.0**power for power in range(exponent, exponent + 3) for m in (1.0, 2.0, 5.0)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < min(most, _MOST_STEPS):
            return [number * step for number in range(first, last + 1)]
    return []


def tick_text(value: float) -> str:
    """`0.5`, `1.05`, `20`, `1000`; without the zeros that say nothing."""
    text = digits(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
