"""Synthetic timings with a known truth, for the tests and benchmarks of the statistics.

Every figure is a share of the call's time. Sources: A/A runs on a two-core cloud machine, idle and loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.referee.timing.samples import Triples

CALL_NS = 10e6


@dataclass(frozen=True, slots=True)
class Noise:
    """What disturbs a call; see `SCENARIOS` for the combinations."""

    process_sd: float = 0.005
    turn_sd: float = 0.01
    autocorrelation: float = 0.0
    drift_sd: float = 0.0
    """Random walk over the turns, shared by the three sides of a turn."""
    spike_chance: float = 0.02
    spike_size: float = 0.2
    """Scale of a Pareto law with shape 2: infinite variance."""
    spike_reported: float = 0.8
    """Share of the spikes that the scheduler reports as a run-queue delay."""
    slow_process_chance: float = 0.0
    slow_process_by: float = 0.0
    slow_candidate_chance: float = 0.0
    """As `slow_process_chance`, for the candidate's processes alone."""


QUIET = Noise()
SCENARIOS = {
    "quiet": QUIET,
    "spread processes": Noise(process_sd=0.015, turn_sd=0.02),
    "drift, autocorrelated": Noise(process_sd=0.01, turn_sd=0.02, autocorrelation=0.8, drift_sd=0.003),
    "spiky": Noise(process_sd=0.01, turn_sd=0.03, spike_chance=0.2, spike_size=0.3),
    "bimodal processes": Noise(slow_process_chance=0.15, slow_process_by=0.10),
    "bimodal candidate": Noise(slow_candidate_chance=0.2, slow_process_by=0.05),
    "loaded": Noise(process_sd=0.02, turn_sd=0.3, autocorrelation=0.3, drift_sd=0.02, spike_chance=0.3, spike_size=0.5),
    "half loaded": Noise(process_sd=0.01, turn_sd=0.08, autocorrelation=0.5, drift_sd=0.01, spike_chance=0.15),
    "unsteady processes": Noise(process_sd=0.10, turn_sd=0.15),
}


def triples(
    rng: np.random.Generator, rounds: int, turns: int, noise: Noise, speedup: float = 1.0, call_ns: float = CALL_NS
) -> Triples:
    """One measurement of a candidate with a true speedup of `speedup`."""
    shape = (rounds, turns, 3)
    drift = noise.drift_sd * np.cumsum(rng.standard_normal(rounds * turns)).reshape(rounds, turns, 1)
    slow_chance = np.full(3, noise.slow_process_chance)
    slow_chance[2] = max(noise.slow_process_chance, noise.slow_candidate_chance)
    slow = noise.slow_process_by * (rng.random((rounds, 1, 3)) < slow_chance)
    own = noise.process_sd * rng.standard_normal((rounds, 1, 3)) + slow
    log_time = drift + own + noise.turn_sd * _autoregressive(rng, shape, noise.autocorrelation)
    log_time[..., 2] -= np.log(speedup)
    wall = call_ns * np.exp(log_time)
    hit = rng.random(shape) < noise.spike_chance
    spike = hit * wall * noise.spike_size * rng.pareto(2.0, shape)
    reported = np.where(rng.random(shape) < noise.spike_reported, spike, 0.0)
    number = np.repeat(np.arange(rounds), turns)
    return Triples.from_arrays(number, (wall + spike).reshape(-1, 3), wall.reshape(-1, 3), reported.reshape(-1, 3))


def _autoregressive(rng: np.random.Generator, shape: tuple[int, int, int], by: float) -> NDArray[np.float64]:
    noise = rng.standard_normal(shape)
    if by:
        for turn in range(1, shape[1]):
            noise[:, turn] = by * noise[:, turn - 1] + np.sqrt(1 - by * by) * noise[:, turn]
    return noise
