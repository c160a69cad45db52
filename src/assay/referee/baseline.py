"""What the candidate has to beat: the fastest way in which PyTorch itself runs the reference on this machine.

Every variant runs in the same shell and sandbox as a candidate, on the same inputs, interleaved; its outputs must meet
the same error budget. The winner is only chosen here. It is measured again beside the candidate, so that the luck of
the choice helps nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.identity import identity
from assay.errors import InputError, TaskError
from assay.machine.cache_dirs import atomic_write, ensure_folder, find_dirs
from assay.referee.bench import Bench, Landing, Progress
from assay.referee.correctness import families
from assay.referee.protocol.party import Party, Program
from assay.referee.protocol.settling import settle

EAGER = "eager"
VARIANTS = (EAGER, "channels_last", "compile", "compile:max-autotune", "compile:freezing")
DEVICE_VARIANTS = (EAGER, "channels_last", "compile", "compile:cudagraphs", "compile:max-autotune-cudagraphs")
"""The same on a GPU, where torch.compile also records CUDA graphs, which take the host out of small kernels' way."""
_TURNS = 9
_EAGER_MARGIN = 0.01
"""A variant must beat eager by this share: below it the choice is noise, and eager's workers start in milliseconds."""
_FIRST_CALL_SECONDS = 180.0
"""torch.compile took 25 CPU seconds for attention with max-autotune and freezing on two cores."""


@dataclass(frozen=True, slots=True)
class Considered:
    """One variant: its median call in nanoseconds, or why it does not count."""

    variant: str
    median_ns: float | None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {"variant": self.variant, "median_ns": self.median_ns, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Baseline:
    """The chosen variant as a program, and all that were considered."""

    variant: str
    program: Program
    considered: tuple[Considered, ...]
    from_cache: bool


def find_baseline(bench: Bench, machine_identity: str, versions: str, progress: Progress) -> Baseline:
    """The best variant that works, from the cache where this task was seen on this machine with these versions.

    Raises TaskError where not even the eager reference works, InputError for an unknown variant's name.
    """
    wanted = bench.config.baseline
    known = VARIANTS if bench.gpu is None else DEVICE_VARIANTS
    if wanted not in ("best", *known):
        raise InputError("unknown baseline", value=wanted, rule=f"best, {', '.join(known)}")
    folder = find_dirs().cache / "baselines"
    place = [] if bench.gpu is None else [bench.gpu.identity]
    parts = [bench.task.identity, dict(bench.timed.axes), bench.resources.threads, machine_identity, versions, *place]
    key = identity(parts)
    cached = _read(folder, key) if wanted == "best" else None
    if cached is not None:
        return Baseline(cached[0], _program(bench, cached[0], cached[2]), cached[1], from_cache=True)
    trial = _Trial(bench, progress)
    variants = _applicable(bench) if wanted == "best" else tuple(dict.fromkeys((EAGER, wanted)))
    considered = trial.run(variants)
    chosen = _choose(considered) if wanted == "best" else wanted
    if wanted == "best":
        _write(folder, key, chosen, considered, trial.caches.get(chosen, b""))
    return Baseline(chosen, _program(bench, chosen, trial.caches.get(chosen, b"")), considered, from_cache=False)


def _applicable(bench: Bench) -> tuple[str, ...]:
    four_dimensional = any(len(spec.shape) == 4 for spec in bench.timed.inputs.specs)
    foldable = bench.declaration.frozen and bench.declaration.mode == "eval" and bench.declaration.weights
    left_out = set() if four_dimensional and bench.declaration.weights else {"channels_last"}
    known = VARIANTS if bench.gpu is None else DEVICE_VARIANTS
    return tuple(v for v in known if v not in left_out and (foldable or v != "compile:freezing"))


def _choose(considered: tuple[Considered, ...]) -> str:
    working = {c.variant: c.median_ns for c in considered if c.median_ns is not None}
    if EAGER not in working:
        problem = next((c.problem for c in considered if c.variant == EAGER), "")
        raise TaskError("the reference does not work as its own baseline", value=problem)
    best = min(working, key=lambda variant: working[variant])
    return best if working[best] < working[EAGER] * (1 - _EAGER_MARGIN) else EAGER


def _program(bench: Bench, variant: str, cache: bytes) -> Program:
    # The reference's own code may start compilers; a candidate's never may.
    return replace(bench.reference_program(variant), may_create_processes=variant.startswith("compile"), cache=cache)


class _Trial:
    """Times the variants against each other; keeps what torch.compile cached."""

    def __init__(self, bench: Bench, progress: Progress) -> None:
        self._bench, self._progress = bench, progress
        self.caches: dict[str, bytes] = {}
        self._problems: dict[str, str] = {}

    def run(self, variants: tuple[str, ...]) -> tuple[Considered, ...]:
        """One process per variant, warmed up, then interleaved turns."""
        self._bench.fresh_weights()
        parties: dict[str, Party] = {}
        try:
            for index, variant in enumerate(variants):
                self._progress(f"trying the baseline {variant}", index / (len(variants) + 1))
                party = self._warmed_up(variant)
                if party is not None:
                    parties[variant] = party
            times = self._interleave(parties)
        finally:
            for party in parties.values():
                party.close()
        return tuple(
            Considered(v, float(np.median(times[v])) if v in times else None, self._problems.get(v, ""))
            for v in variants
        )

    def _warmed_up(self, variant: str) -> Party | None:
        """A party whose first calls are right, with its compile cache saved; None where it does not work."""
        bench = self._bench
        party = bench.party(_program(bench, variant, b""))
        try:
            if party.problem is None:
                party.lay_out(bench.timed)
            if party.problem is None:
                self._call(party, variant)
            if party.problem is None:
                self._settle(party)
            if party.problem is None and variant not in self._problems and variant.startswith("compile"):
                self.caches[variant] = party.save_cache()
        except BaseException:
            party.close()
            raise
        if party.problem is None and variant not in self._problems:
            return party
        self._problems.setdefault(variant, party.problem.message if party.problem else "")
        party.close()
        return None

    def _settle(self, party: Party) -> None:
        """Eager's results page-fault for a dozen calls; chosen among such, torch.compile won on a 1 ms softmax."""
        landing = self._bench.draw_window()
        self._bench.land(landing)
        for _ in settle(party, landing.run_seed, _FIRST_CALL_SECONDS):
            pass

    def _call(self, party: Party, variant: str) -> float:
        bench = self._bench
        draw = bench.draw(bench.timed, families.OWN)
        bench.land(Landing.of(draw))
        call, outputs = party.call(draw.run_seed, _FIRST_CALL_SECONDS)
        if party.problem is not None:
            self._problems[variant] = party.problem.message
        elif outputs is not None and (witness := bench.judge_outputs(outputs, draw)) is not None:
            self._problems[variant] = f"gives another result: {witness.describe()}"
        return float(call.time_ns)

    def _interleave(self, parties: Mapping[str, Party]) -> dict[str, list[float]]:
        times: dict[str, list[float]] = {variant: [] for variant in parties}
        for _ in range(_TURNS):
            for variant, party in parties.items():
                if variant not in self._problems:
                    times[variant].append(self._call(party, variant))
        return {variant: values for variant, values in times.items() if variant not in self._problems}


def _read(folder: Path, key: str) -> tuple[str, tuple[Considered, ...], bytes] | None:
    """A cached choice; None where there is none or a file of it is missing or damaged."""
    try:
        data = json.loads((folder / f"{key}.json").read_bytes())
        considered = tuple(Considered(**each) for each in data["considered"])
        cache = (folder / f"{key}.tar").read_bytes() if data["has_cache"] else b""
        return str(data["variant"]), considered, cache
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, key: str, variant: str, considered: tuple[Considered, ...], cache: bytes) -> None:
    ensure_folder(folder)
    if cache:
        atomic_write(folder / f"{key}.tar", cache)
    data = {"variant": variant, "considered": [c.to_json() for c in considered], "has_cache": bool(cache)}
    atomic_write(folder / f"{key}.json", json.dumps(data).encode())
