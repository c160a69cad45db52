"""Strategies against each other at equal cost, on landscapes whose best answer is known.

A landscape is a table of choices: each has levels that add to the log speedup, pairs of choices interact, some
combinations do not pass, and a score is the truth plus noise that shrinks with fidelity. A candidate writes its choices
down as Python text, so that fingerprints, knockoffs and the ledger work on it as on a kernel.
Regret is the best possible truth minus the truth of what a search would hand in, not of what it believed.
Limits: real landscapes are not tables; a ranking here is a check of the machinery, no promise for kernels.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assay.core.identity import identity
from assay.core.sources import Candidate, Language, SourceFile
from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.budget import Budget
from assay.search.engine import DEFAULT_SETTINGS, think
from assay.search.events import Result
from assay.search.ledger import MemoryLedger
from assay.search.protocols import Kind, Request, Strategy
from assay.search.state import Settings
from assay.search.stopping import AnyOf, Stop
from assay.search.strategies.registry import make

Choices = tuple[int, ...]

COST_S: Mapping[Fidelity, float] = {
    Fidelity.BUILD: 1.0,
    Fidelity.SCREEN: 1.0,
    Fidelity.SHORT: 5.0,
    Fidelity.FULL: 30.0,
}
"""Seconds, in the proportions of a C++ candidate on two cores: a second to compile, half a minute to time in full."""

NOISE: Mapping[Fidelity, float] = {Fidelity.BUILD: 0.0, Fidelity.SCREEN: 4.0, Fidelity.SHORT: 2.0, Fidelity.FULL: 1.0}
"""Multiples of a landscape's noise."""


@dataclass(frozen=True)
class Landscape:
    """`gains[choice, level]` add up, `interactions[i, j, a, b]` for i < j too; a noise of 0.02 is 2 % of the speedup.

    A candidate fails where `broken` holds its first two levels. `name` and `identity` make it a `Problem`.
    """

    gains: NDArray[np.float64]
    interactions: NDArray[np.float64]
    broken: frozenset[tuple[int, int]]
    noise: float
    seed: int

    @property
    def name(self) -> str:
        """See `Problem`."""
        return f"landscape-{self.seed}"

    @property
    def identity(self) -> str:
        """See `Problem`."""
        tables = {"gains": self.gains.tolist(), "interactions": self.interactions.tolist()}
        return identity({**tables, "broken": sorted(map(list, self.broken)), "noise": self.noise, "seed": self.seed})

    def truth(self, choices: Choices) -> float | None:
        """The true log speedup; None for what does not pass."""
        if choices[:2] in self.broken:
            return None
        count = len(choices)
        total = float(sum(self.gains[range(count), choices]))
        return total + sum(float(self.interactions[i, j, choices[i], choices[j]]) for i, j in _pairs(count))

    @cached_property
    def best(self) -> float:
        """The highest truth, by trying everything."""
        count, levels = self.gains.shape
        every = np.indices((levels,) * count).reshape(count, -1)
        total = sum(self.gains[i, every[i]] for i in range(count))
        total = total + sum(self.interactions[i, j, every[i], every[j]] for i, j in _pairs(count))
        fails = [(every[0] == first) & (every[1] == second) for first, second in self.broken]
        return float(np.max(np.where(np.any([np.zeros(total.shape, bool), *fails], axis=0), -np.inf, total)))


def landscape(seed: int, choices: int = 8, levels: int = 4, rough: float = 0.6, noise: float = 0.02) -> Landscape:
    """A random one: `rough` scales interactions against gains (0: none), one combination in `levels` fails."""
    rng = np.random.default_rng([seed, 77])
    gains = rng.normal(0.0, 0.15, (choices, levels))
    interactions = rng.normal(0.0, 0.15 * rough, (choices, choices, levels, levels)) / np.sqrt(choices / 2)
    every = [(first, second) for first in range(levels) for second in range(levels)]
    broken = frozenset(every[int(i)] for i in rng.choice(len(every), size=levels, replace=False))
    return Landscape(gains, interactions, broken, noise, seed)


class Simulator:
    """A verifier whose answers follow from the landscape, the idea's bytes and the fidelity alone."""

    def __init__(self, problem: Landscape) -> None:
        self._problem = problem

    def evaluate(self, idea: Idea, fidelity: Fidelity) -> Evaluation:
        """See `Verifier`. The noise is drawn by identity, so a knockoff gets other noise than its original."""
        truth = self._problem.truth(read_choices(idea.candidate))
        if truth is None or fidelity is Fidelity.BUILD:
            words = "built" if truth is not None else "this combination does not build"
            return Evaluation(idea.identity, fidelity, truth is not None, None, words, COST_S[fidelity])
        rng = np.random.default_rng([self._problem.seed, int(idea.identity[:15], 16), int(fidelity)])
        score = truth + NOISE[fidelity] * self._problem.noise * float(rng.normal())
        near = float(np.exp(truth - self._problem.best))
        return Evaluation(idea.identity, fidelity, True, score, "right", COST_S[fidelity], near_limit=near)


@dataclass(frozen=True, slots=True)
class Tinkerer:
    """A proposer for landscapes: random choices, one choice changed, or each choice from either parent."""

    choices: int
    levels: int
    name: str = "tinkerer"

    def propose(self, request: Request) -> Idea | None:
        """See `Proposer`."""
        rng = request.rng
        parents = [read_choices(parent.idea.candidate) for parent in request.parents]
        if request.kind is Kind.FRESH:
            chosen = [int(level) for level in rng.integers(self.levels, size=self.choices)]
        elif request.kind is Kind.REFINE:
            chosen = list(parents[0])
            place = int(rng.integers(self.choices))
            chosen[place] = (chosen[place] + int(rng.integers(1, self.levels))) % self.levels
        else:
            chosen = [pair[int(rng.integers(2))] for pair in zip(*parents, strict=True)]
        return Idea(write_choices(tuple(chosen)), self.name, tuple(known.idea.identity for known in request.parents))


@dataclass(frozen=True, slots=True)
class Standing:
    """A strategy over many landscapes: mean regret in log speedup, and its paired difference to `best_of_n`.

    Half-widths are 1.96 standard errors over landscapes. Below zero, `against_best_of_n` is an advantage.
    """

    name: str
    regret: float
    regret_half_width: float
    against_best_of_n: float
    against_half_width: float


def compare(
    names: Sequence[str],
    seconds: float,
    seeds: Sequence[int],
    settings: Settings = DEFAULT_SETTINGS,
    rough: float = 0.6,
) -> tuple[Standing, ...]:
    """Every strategy, and `best_of_n` and `sequential` in any case, on the same landscapes for the same seconds."""
    names = tuple(dict.fromkeys(("best_of_n", "sequential", *names)))
    problems = [landscape(seed, rough=rough) for seed in seeds]
    regrets = np.array([[regret(make(name), each, seconds, settings) for each in problems] for name in names])
    standings = []
    for name, row in zip(names, regrets, strict=True):
        difference = row - regrets[0]
        standings.append(Standing(name, *_mean_and_half_width(row), *_mean_and_half_width(difference)))
    return tuple(standings)


def regret(strategy: Strategy, problem: Landscape, seconds: float, settings: Settings = DEFAULT_SETTINGS) -> float:
    """The best truth minus the truth of the leader; PyTorch itself (0) is handed in where there is none."""
    result = search(strategy, problem, Budget(seconds=seconds), AnyOf(()), settings)
    truth = problem.truth(read_choices(result.leader.idea.candidate)) if result.leader else None
    return problem.best - (0.0 if truth is None else max(0.0, truth))


def search(
    strategy: Strategy, problem: Landscape, budget: Budget, stop: Stop, settings: Settings = DEFAULT_SETTINGS
) -> Result:
    """One simulated search; time is what the simulator says, the machine's own does not count."""
    tinkerer = Tinkerer(*problem.gains.shape)
    verifier = Simulator(problem)
    ledger = MemoryLedger()
    return think(problem, [tinkerer], verifier, strategy, budget, stop, ledger, problem.seed, settings, lambda: 0.0)


def write_choices(choices: Choices) -> Candidate:
    """A candidate that says its choices."""
    text = f'"""Choices of a synthetic problem."""\n\n\ndef choices():\n    chosen = {choices}\n    return chosen\n'
    file = SourceFile("choices.py", text)
    return Candidate("-".join(map(str, choices)), Language.PYTHON, (file,), "choices.py:choices")


def read_choices(candidate: Candidate) -> Choices:
    """The choices that a candidate says, knockoffs included. Raises ValueError where it says none."""
    for node in ast.walk(ast.parse(candidate.files[0].text)):
        if isinstance(node, ast.Tuple):
            return tuple(int(level) for level in ast.literal_eval(node))
    raise ValueError(f"no choices in {candidate.name}")


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(count), 2))


def _mean_and_half_width(values: NDArray[np.float64]) -> tuple[float, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), 1.96 * spread / float(np.sqrt(len(values)))
