"""Strategies at equal cost on landscapes whose best answer is known."""

import itertools

import numpy as np
import pytest

from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.comparison import Simulator, compare, landscape, read_choices, write_choices
from assay.search.halving import Rung
from assay.search.novelty import knockoff
from assay.search.state import Settings


def test_choices_survive_being_written_and_knocked_off():
    candidate = write_choices((3, 0, 2))
    assert read_choices(candidate) == (3, 0, 2)
    assert read_choices(knockoff(knockoff(candidate, 4), 9)) == (3, 0, 2)


def test_the_truth_adds_gains_and_interactions_by_hand():
    problem = landscape(4, choices=2, levels=2)
    passing = next(c for c in [(0, 0), (0, 1), (1, 0), (1, 1)] if c not in problem.broken)
    a, b = passing
    by_hand = problem.gains[0, a] + problem.gains[1, b] + problem.interactions[0, 1, a, b]
    assert problem.truth(passing) == pytest.approx(by_hand)
    assert all(problem.truth(choices) is None for choices in problem.broken)


def test_the_simulators_noise_is_as_wide_as_it_says_and_shrinks_with_fidelity():
    problem = landscape(2, noise=0.02)
    simulator, spreads = Simulator(problem), {}
    original = next(write_choices((a, 1, 0, 0, 0, 0)) for a in range(4) if (a, 1) not in problem.broken)
    truth = problem.truth(read_choices(original))
    for fidelity in (Fidelity.SCREEN, Fidelity.FULL):
        answers = [simulator.evaluate(Idea(knockoff(original, n), "k"), fidelity) for n in range(400)]
        assert all(isinstance(answer, Evaluation) and answer.passed for answer in answers)
        spreads[fidelity] = np.std([answer.score - truth for answer in answers])
    assert spreads[Fidelity.SCREEN] == pytest.approx(0.08, rel=0.15)
    assert spreads[Fidelity.FULL] == pytest.approx(0.02, rel=0.15)


def test_the_best_truth_is_the_best_of_all_combinations():
    problem = landscape(3, choices=4, levels=3)
    truths = [problem.truth(choices) for choices in itertools.product(range(3), repeat=4)]
    assert problem.best == pytest.approx(max(truth for truth in truths if truth is not None))


def test_best_of_n_and_greedy_always_stand_beside_and_refining_beats_guessing():
    names = ["evolution", "beam", "best_of_n"]
    standings = {each.name: each for each in compare(names, 3600.0, range(8), Settings((Rung(Fidelity.FULL, 1.0),)))}
    assert set(standings) == {"best_of_n", "sequential", "evolution", "beam"}
    assert standings["best_of_n"].against_best_of_n == 0.0
    assert all(each.regret >= 0 for each in standings.values())
    for name in ("sequential", "beam", "evolution"):
        assert standings[name].against_best_of_n + standings[name].against_half_width < 0
