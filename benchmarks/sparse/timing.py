"""Several ways of computing one thing, timed in turns: the CPU time of one thread, and ratios with their intervals."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Call = Callable[[], Any]
ROUNDS = 9
"""The order statistics 2 and 8 of 9 hold a median with 96 %."""
_LEAST_S = 0.004
"""A timed window: calls are repeated up to it, since the clock of a thread costs 0.3 us and ticks count in windows."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a call, [rounds] of each way, in the order of the rounds."""

    seconds: Mapping[str, list[float]]

    def median_ms(self, name: str) -> float:
        """The median of a way's rounds, in milliseconds."""
        return 1e3 * float(np.median(self.seconds[name]))

    def fastest(self, *names: str) -> str:
        """Of these ways the one with the smallest median."""
        return min(names, key=self.median_ms)

    def ratio(self, above: str, below: str) -> tuple[float, float, float]:
        """How many times as long `above` takes: the median over rounds, and its 96 % limits by order statistics."""
        ratios = np.sort(np.asarray(self.seconds[above]) / np.asarray(self.seconds[below]))
        outer = _outer(len(ratios))
        return float(np.median(ratios)), float(ratios[outer]), float(ratios[-1 - outer])


def take_turns(ways: Mapping[str, Call], rounds: int = ROUNDS, seed: int = 0) -> Times:
    """Time every way once a round, in an order drawn for each round, after one round that warms up."""
    repeats = {name: _repeats(call) for name, call in ways.items()}
    order = random.Random(seed)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        names = list(ways)
        order.shuffle(names)
        for name in names:
            seconds[name].append(_window(ways[name], repeats[name]))
    return Times(seconds)


def deviation(found: Tensor, exact: Tensor) -> float:
    """The largest difference, in units of the exact result's largest magnitude."""
    return float((found.double() - exact).abs().max() / exact.abs().max().clamp_min(1e-300)) if exact.numel() else 0.0


class WrongResult(Exception):
    """A way whose result is not the exact one within rounding: it is not timed."""


def check(ways: Mapping[str, Call], exact: Tensor, tolerance: float = 1e-5) -> dict[str, float]:
    """Each way's deviation from the exact result. Raises WrongResult above the tolerance, and for NaN."""
    found = {name: deviation(call(), exact) for name, call in ways.items()}
    for name, error in found.items():
        if not error <= tolerance:
            raise WrongResult(f"{name} is off by {error:g} of the largest magnitude")
    return found


def single_thread() -> None:
    """What every measurement here runs with: on a busy machine of two cores, times of two threads say nothing."""
    torch.set_num_threads(1)


def _repeats(call: Call) -> int:
    call()
    started = time.thread_time_ns()
    call()
    return max(1, math.ceil(_LEAST_S / max(1e-9 * (time.thread_time_ns() - started), 1e-7)))


def _window(call: Call, repeats: int) -> float:
    started = time.thread_time_ns()
    for _ in range(repeats):
        call()
    return 1e-9 * (time.thread_time_ns() - started) / repeats


def _outer(count: int) -> int:
    """The order statistic, counted from 0 and from both ends, whose interval holds a median with 95 % or more."""
    for outer in reversed(range(count // 2)):
        missed = 2 * sum(math.comb(count, each) for each in range(outer + 1)) / 2**count
        if missed <= 0.05:
            return outer
    return 0
