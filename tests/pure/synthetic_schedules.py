"""Schedules with a known truth: choices that add up and interact, pairs of them that fail, noise by fidelity."""

import itertools
import json

import numpy as np

from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.codegen.generate import HEAD
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.proposers.generators import CPP
from assay.search import Evaluation, Fidelity, Idea
from assay.search.comparison import COST_S, NOISE

LEVELS = tuple(len(values) for values in CHOICES.values())
EVERY = [Schedule(**dict(zip(CHOICES, values, strict=True))) for values in itertools.product(*CHOICES.values())]


def place_of(schedule):
    return tuple(values.index(getattr(schedule, name)) for name, values in CHOICES.items())


def write(schedule):
    """A candidate whose text differs for every schedule, as a graph's does on which everything matters."""
    text = (
        f"{HEAD}{json.dumps(schedule.to_json())}\nint chosen() {{ return 1{''.join(map(str, place_of(schedule)))}; }}\n"
    )
    return Candidate("made", Language.CPP, (SourceFile("kernel.cpp", text),), "chosen")


class Hills:
    """A problem and its verifier: of all pairs of lanes and blocks a quarter fails, when built or when screened."""

    name = "hills"

    def __init__(self, seed, noise=0.02):
        rng = np.random.default_rng([seed, 5])
        self.identity, self.seed, self.noise = f"hills-{seed}-{noise}", seed, noise
        places = np.indices(LEVELS)
        self.truth = sum(rng.normal(0, 0.15, count)[place] for count, place in zip(LEVELS, places, strict=True))
        for i, j in itertools.combinations(range(len(LEVELS)), 2):
            self.truth = self.truth + rng.normal(0, 0.04, (LEVELS[i], LEVELS[j]))[places[i], places[j]]
        fails = rng.permutation(24) < 6
        self.fails = fails[4 * places[0] + places[1]]
        self.best = float(self.truth[~self.fails].max())

    def evaluate(self, idea, fidelity):
        """See `Verifier`. The noise is drawn by identity, so a knockoff gets other noise than its original."""
        place = place_of(CPP.schedule_of(idea.candidate))
        at_build = place[0] % 2 == 0
        if self.fails[place] and (at_build or fidelity > Fidelity.BUILD):
            return Evaluation(idea.identity, fidelity, False, None, "wrong", COST_S[fidelity])
        if fidelity is Fidelity.BUILD:
            return Evaluation(idea.identity, fidelity, True, None, "builds", COST_S[fidelity])
        rng = np.random.default_rng([self.seed, int(idea.identity[:15], 16), int(fidelity)])
        score = float(self.truth[place] + NOISE[fidelity] * self.noise * rng.normal())
        return Evaluation(idea.identity, fidelity, True, score, "right", COST_S[fidelity])

    def regret(self, result):
        """The best truth minus that of what the search would hand in, in log speedup."""
        return self.best - self.truth[place_of(CPP.schedule_of(result.leader.idea.candidate))]


class Chance:
    """Any schedule, as likely as any other."""

    name = "chance"

    def propose(self, request):
        return Idea(write(EVERY[int(request.rng.integers(len(EVERY)))]), self.name)
