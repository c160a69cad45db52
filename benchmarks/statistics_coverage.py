"""Measures the referee's statistics on synthetic data: coverage of four intervals, false claims, power.

Writes docs/data/statistics_coverage.json with every figure and the tables that the docstrings of
assay.referee.timing.statistics and assay.referee.timing.decision quote (a test compares them).
Run: python benchmarks/statistics_coverage.py [--share 0.1 for a tenth of the runs]; about 5 minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "pure"))

from synthetic_noise import SCENARIOS, triples  # noqa: E402  (the tests' generator; tests are not a package)

from assay.referee.timing.decision import Limits, decide, estimate  # noqa: E402
from assay.referee.timing.pairing import Overhead, Refusal  # noqa: E402
from assay.referee.timing.samples import Side  # noqa: E402
from assay.referee.timing.statistics import interval  # noqa: E402
from assay.referee.timing.student import student_quantile  # noqa: E402

OUTPUT = ROOT / "docs" / "data" / "statistics_coverage.json"
NO_OVERHEAD = Overhead.none()
TRUE_SPEEDUP = 1.3
CONFIDENCE = 0.95
RESAMPLES = 999
COVERAGE_SIZES = ((6, 5), (6, 40), (10, 20), (20, 60))
QUOTED_SIZES = ((6, 40), (10, 20))
"""Those that the docstring shows; the JSON has all."""
COVERAGE_SCENARIOS = (
    "quiet",
    "spread processes",
    "drift, autocorrelated",
    "spiky",
    "bimodal processes",
    "bimodal candidate",
    "half loaded",
)
CLAIM_SIZES = ((6, 10), (10, 40), (20, 20))
POWER_SIZES = ((6, 10), (8, 20), (10, 40), (20, 40))
POWER_STEP = 0.0025
METHODS = ("percentile", "studentised", "t", "chosen", "chosen, typical")


def medians(rng: np.random.Generator, rounds: int, turns: int, scenario: str, speedup: float) -> np.ndarray | None:
    """Round medians of one synthetic measurement, or None if too few pairs survived."""
    result = estimate(triples(rng, rounds, turns, SCENARIOS[scenario], speedup), Side.CANDIDATE, NO_OVERHEAD)
    return None if isinstance(result, Refusal) else result.medians


def intervals(rng: np.random.Generator, values: np.ndarray) -> dict[str, tuple[float, float]]:
    """The candidates for the job, on the same round medians."""
    count, tail = values.size, (1 - CONFIDENCE) / 2
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(count)
    resampled = values[rng.integers(0, count, (RESAMPLES, count))]
    means = resampled.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = (means - mean) / (resampled.std(axis=1, ddof=1) / math.sqrt(count))
    pivots = np.where(np.isfinite(pivots), pivots, 1e9 * np.sign(means - mean))
    low, high = np.quantile(pivots, (tail, 1 - tail))
    reach = student_quantile(1 - tail, count - 1) * error
    chosen = interval(values, CONFIDENCE)
    return {
        "percentile": tuple(np.quantile(means, (tail, 1 - tail))),
        "studentised": (mean - high * error, mean - low * error),
        "t": (mean - reach, mean + reach),
        "chosen": (chosen.lower, chosen.upper),
        "chosen, typical": (chosen.lower, chosen.upper),
    }


def coverage(job: tuple[int, str, int, int, int]) -> dict[str, Any]:
    """How often each interval holds its target, and its mean half-width in percent."""
    seed, scenario, rounds, turns, runs = job
    rng = np.random.default_rng(seed)
    population = np.concatenate([medians(rng, 100, turns, scenario, TRUE_SPEEDUP) for _ in range(150)])
    targets = {method: population.mean() for method in METHODS} | {"chosen, typical": np.median(population)}
    held, width, done = Counter(), Counter(), 0
    for _ in range(runs):
        values = medians(rng, rounds, turns, scenario, TRUE_SPEEDUP)
        if values is None:
            continue
        done += 1
        for method, (low, high) in intervals(rng, values).items():
            held[method] += low <= targets[method] <= high
            width[method] += (high - low) / 2
    return {
        "scenario": scenario,
        "rounds": rounds,
        "turns": turns,
        "runs": done,
        "coverage": {method: held[method] / done for method in METHODS},
        "half_width": {method: width[method] / done for method in METHODS},
    }


def claims(job: tuple[int, str, int, int, int, float, float]) -> dict[str, Any]:
    """Outcomes of measurements with a true speedup; `limit` is the resolution limit."""
    seed, scenario, rounds, turns, runs, speedup, limit = job
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(runs):
        claim = decide(triples(rng, rounds, turns, SCENARIOS[scenario], speedup), NO_OVERHEAD, Limits(resolution=limit))
        outcomes[claim.reason.value if claim.reason else claim.outcome.value] += 1
    return {
        "scenario": scenario,
        "rounds": rounds,
        "turns": turns,
        "runs": runs,
        "speedup": speedup,
        "resolution_limit": limit,
        "outcomes": dict(sorted(outcomes.items())),
    }


def power(job: tuple[int, str, int, int, int]) -> dict[str, Any]:
    """The smallest speedup on a grid of `POWER_STEP` that is proved in at least 90 % of the runs."""
    seed, scenario, rounds, turns, runs = job
    for step in range(2, 200):
        speedup = 1 + step * POWER_STEP
        result = claims((seed, scenario, rounds, turns, runs, speedup, 0.10))
        proved = result["outcomes"].get("faster", 0) / runs
        if proved >= 0.9:
            return {
                "scenario": scenario,
                "rounds": rounds,
                "turns": turns,
                "runs": runs,
                "speedup": speedup,
                "power": proved,
            }
        if proved < 0.3:
            continue
    return {"scenario": scenario, "rounds": rounds, "turns": turns, "runs": runs, "speedup": None, "power": None}


def rare_claims(job: tuple[int, int, int]) -> dict[str, Any]:
    """False claims among millions of A/A runs whose round medians are normal, the worst case for Student's t here.

    Student's interval alone is tested first, on arrays; the real one, never narrower, only where that one claims.
    """
    seed, rounds, runs = job
    rng = np.random.default_rng(seed)
    false = 0
    for _ in range(runs // 100_000):
        side = rng.standard_normal((100_000, rounds, 3))
        reach = student_quantile(0.5 + CONFIDENCE / 2, rounds - 1) / math.sqrt(rounds)
        speed, same = side[:, :, 0] - side[:, :, 2], side[:, :, 0] - side[:, :, 1]
        fake = np.abs(same.mean(axis=1)) + reach * same.std(axis=1, ddof=1)
        lower = speed.mean(axis=1) - reach * speed.std(axis=1, ddof=1)
        for run in np.flatnonzero(lower > fake):
            false += interval(speed[run], CONFIDENCE).lower > interval(same[run], CONFIDENCE).fake_log
    return {"rounds": rounds, "runs": runs // 100_000 * 100_000, "false": int(false)}


def statistics_table(rows: list[dict[str, Any]]) -> list[str]:
    """Coverage in percent, and the chosen interval's mean half-width, of the quoted sizes."""
    heads = ("K", "n", "percentile", "studentised", "t", "chosen", "typical", "width")
    places = (2, 2, 10, 11, 5, 6, 7, 6)
    lines = ["  " + " ".join([f"{'noise':22s}"] + [f"{head:>{w}s}" for head, w in zip(heads, places, strict=True)])]
    for row in rows:
        if (row["rounds"], row["turns"]) not in QUOTED_SIZES:
            continue
        held = [100 * row["coverage"][method] for method in METHODS]
        figures = [str(row["rounds"]), str(row["turns"]), *(f"{value:.1f}" for value in held)]
        figures.append(f"{100 * row['half_width']['chosen']:.2f}%")
        cells = [f"{figure:>{w}s}" for figure, w in zip(figures, places, strict=True)]
        lines.append("  " + " ".join([f"{row['scenario']:22s}", *cells]))
    return lines


def decision_table(data: dict[str, list[dict[str, Any]]]) -> list[str]:
    """False claims and power."""
    lines = []
    for name, rows, wrong in (
        ("FASTER at a true 1.00x", data["same_code"], "faster"),
        ("NOT_FASTER at a true 1.02x", data["at_worthwhile"], "not-faster"),
    ):
        by: dict[str, list[int]] = {}
        for row in rows:
            limit = "" if row["resolution_limit"] < 1 else ", no limit"
            total = by.setdefault(row["scenario"] + limit, [0, 0])
            total[0] += row["outcomes"].get(wrong, 0)
            total[1] += row["runs"]
        lines.append(f"  false {name}: " + f"{sum(t[0] for t in by.values())} of {sum(t[1] for t in by.values())} runs")
        lines += [f"    {scenario:24s} {bad:3d} of {runs}" for scenario, (bad, runs) in by.items()]
    lines.append("  false FASTER where round medians are normal, sides alike")
    for row in data["normal_rounds"]:
        lines.append(f"    K={row['rounds']:2d} {row['false']:20d} of {row['runs']}")
    lines.append("  smallest speedup proved in 90 % of runs")
    for row in data["power"]:
        shown = f"{100 * (row['speedup'] - 1):.2f} %" if row["speedup"] else "more than 50 %"
        lines.append(f"    {row['scenario']:24s} K={row['rounds']:2d} n={row['turns']:2d}  {shown}")
    return lines


def main() -> None:
    """Run everything on two processes and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    share = parser.parse_args().share

    def runs(full: int) -> int:
        return max(20, int(full * share))

    sized = [(name, k, n) for name in COVERAGE_SCENARIOS for k, n in COVERAGE_SIZES]
    cover_jobs = [(100 + i, name, k, n, runs(4000)) for i, (name, k, n) in enumerate(sized)]
    claim_sized = [(name, k, n) for name in SCENARIOS for k, n in CLAIM_SIZES]
    same_jobs = [(1000 + i, *which, runs(3000), 1.0, 0.10) for i, which in enumerate(claim_sized)]
    same_jobs += [(2000 + i, "loaded", k, n, runs(3000), 1.0, 100.0) for i, (k, n) in enumerate(CLAIM_SIZES)]
    slow_sized = [(name, k, n) for name in ("quiet", "half loaded", "loaded") for k, n in CLAIM_SIZES]
    slow_jobs = [(3000 + i, *which, runs(2000), 1.02, 0.10) for i, which in enumerate(slow_sized)]
    power_sized = [(name, k, n) for name in ("quiet", "spread processes") for k, n in POWER_SIZES]
    power_jobs = [(4000 + i, *which, runs(400)) for i, which in enumerate(power_sized)]
    rare_jobs = [(5000 + i, rounds, max(100_000, runs(2_000_000))) for i, rounds in enumerate((6, 8, 10, 20))]
    parts = {
        "coverage": (coverage, cover_jobs),
        "same_code": (claims, same_jobs),
        "at_worthwhile": (claims, slow_jobs),
        "power": (power, power_jobs),
        "normal_rounds": (rare_claims, rare_jobs),
    }
    data: dict[str, Any] = {"confidence": CONFIDENCE, "true_speedup": TRUE_SPEEDUP}
    started = time.monotonic()
    with Pool(2) as pool:
        for name, (function, jobs) in parts.items():
            data[name] = pool.map(function, jobs, chunksize=1)
            print(f"{time.monotonic() - started:6.0f} s  {name}: {len(jobs)} cells", flush=True)
    data["tables"] = {"statistics": statistics_table(data["coverage"]), "decision": decision_table(data)}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    print("\n".join([*data["tables"]["statistics"], *data["tables"]["decision"]]))


if __name__ == "__main__":
    main()
