"""The tuner on schedules whose best is known: what it finds, what it avoids, that it is the same under a seed."""

import subprocess
import sys

import numpy as np
import pytest
from synthetic_graphs import softmax
from synthetic_schedules import EVERY, Chance, Hills, place_of, write
from synthetic_search import Counting, run

from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.proposers.generators import CPP, text_of, writer_for
from assay.engineer.proposers.tuner import Tuner
from assay.search import Budget, Evaluation, Fidelity, Idea, Kind, Known, MemoryLedger, Request

PROBLEM = Hills(0)


def search(seed, proposer, evaluations, ledger=None, verifier=None):
    problem = Hills(seed)
    return problem, run(
        "best_of_n", seed, Budget(evaluations=evaluations), ledger=ledger, problem=problem, proposers=[proposer],
        verifier=verifier or problem,
    )  # fmt: skip


def known(schedule, score, fidelity=Fidelity.FULL, passed=True):
    idea = Idea(write(schedule), "anybody")
    return Known(idea, Evaluation(idea.identity, fidelity, passed, score, "", 1.0))


def drawn(evaluated, seeds, made=write):
    """What a tuner proposes to the same knowledge under different seeds."""
    requests = (Request(PROBLEM, Kind.REFINE, (), None, np.random.default_rng(s), tuple(evaluated)) for s in seeds)
    return [CPP.schedule_of(Tuner(made).propose(request).candidate) for request in requests]


def some(count, seed=0):
    """The starts, so that no more of them is due, and schedules drawn by chance."""
    rng = np.random.default_rng(seed)
    return [*CPP.starts, *(EVERY[int(number)] for number in rng.choice(len(EVERY), count, replace=False))]


def test_it_comes_within_a_seventh_of_the_best_where_twice_the_evaluations_leave_chance_further_away():
    tuned = [problem.regret(result) for problem, result in (search(seed, Tuner(write), 200) for seed in range(6))]
    chance = [problem.regret(result) for problem, result in (search(seed, Chance(), 400) for seed in range(6))]
    assert np.mean(tuned) < 0.15
    assert np.mean(chance) > 2 * np.mean(tuned)


@pytest.mark.parametrize("call", [3, 20, 41])
def test_a_search_that_was_cut_goes_on_as_if_it_had_not_been_and_asks_nothing_twice(call):
    whole, ledger = MemoryLedger(), MemoryLedger()
    _, uninterrupted = search(1, Tuner(write), 60, whole)
    first, second = Counting(Hills(1), fail_at=call), Counting(Hills(1))
    search(1, Tuner(write), 60, ledger, first)
    _, resumed = search(1, Tuner(write), 60, ledger, second)
    assert resumed == uninterrupted
    assert ledger.records == whole.records
    assert not set(first.asked[:-1]) & set(second.asked)
    assert resumed.duplicates == 0


def test_the_same_seed_gives_the_same_schedules_and_another_seed_others():
    evaluated = [known(schedule, 0.01 * number) for number, schedule in enumerate(some(20))]
    assert drawn(evaluated, range(8)) == drawn(evaluated, range(8))
    assert len(set(drawn(evaluated, range(8)))) > 4


@pytest.mark.parametrize("fidelity", [Fidelity.BUILD, Fidelity.SCREEN, Fidelity.FULL])
def test_what_failed_is_avoided_at_whatever_fidelity(fidelity):
    evaluated = [
        known(schedule, None, fidelity, passed=False) if schedule.interleave == 4 else known(schedule, 0.1)
        for schedule in some(40)
    ]
    assert np.mean([schedule.interleave == 4 for schedule in drawn(evaluated, range(40))]) < 0.15


def test_in_a_search_it_proposes_fewer_that_fail_than_chance_does():
    shares = []
    for proposer in (Tuner(write), Chance()):
        ledger = MemoryLedger()
        search(2, proposer, 150, ledger)
        told = [record["evaluation"] for record in ledger.records if record.get("knockoff_of", "an idea") is None]
        shares.append(sum(not each["passed"] for each in told) / len({each["identity"] for each in told}))
    assert shares[0] < 0.6 * shares[1]


def test_it_goes_where_the_scores_are_high_whoever_proposed_what_has_them():
    evaluated = [known(each, 0.5 if each.stream else -0.5) for each in some(40)]
    assert np.mean([schedule.stream for schedule in drawn(evaluated, range(20))]) > 0.9


def test_what_was_only_built_so_far_counts_for_nothing():
    built = [known(schedule, None, Fidelity.BUILD) for schedule in some(0)]
    timed = [known(schedule, 0.5 if schedule.keep else -0.5) for schedule in some(40)[len(CPP.starts) :]]
    assert np.mean([schedule.keep for schedule in drawn([*built, *timed], range(20))]) > 0.9
    assert drawn([*built, *timed], range(5)) == drawn([*built[::-1], *timed], range(5))


def test_a_kernel_without_a_schedule_teaches_nothing_and_does_no_harm():
    by_hand = Candidate("made", Language.CPP, (SourceFile("kernel.cpp", "// by hand\nint x;\n"),), "x")
    idea = Idea(by_hand, "llm:coder")
    stranger = Known(idea, Evaluation(idea.identity, Fidelity.FULL, True, 3.0, "", 1.0))
    evaluated = [known(schedule, 0.01 * number) for number, schedule in enumerate(some(20))]
    assert drawn([*evaluated, stranger], range(5)) == drawn(evaluated, range(5))


def test_the_starts_come_first_and_those_that_others_proposed_are_left_out():
    assert drawn([], [0]) == [CPP.starts[0]]
    assert drawn([known(CPP.starts[0], 0.1), known(CPP.starts[1], None, passed=False)], [0]) == [CPP.starts[2]]


def test_it_proposes_no_program_that_is_known_and_says_when_it_finds_no_other():
    made, evaluated = writer_for(softmax(), "made"), []
    for seed in range(400):
        request = Request(PROBLEM, Kind.FRESH, (), None, np.random.default_rng(seed), tuple(evaluated))
        if (idea := Tuner(made).propose(request)) is None:
            break
        evaluated.append(Known(idea, Evaluation(idea.identity, Fidelity.FULL, True, 0.1, "", 1.0)))
    texts = [text_of(each.idea.candidate) for each in evaluated]
    assert len(set(texts)) == len(texts) > 20
    assert seed < 399, "a graph of seven operators has fewer programs than that"


def test_a_program_of_few_schedules_is_found_in_full():
    """Lanes alone matter, so there are six programs; that all of them are found says that repeats are drawn less."""

    def made(schedule):
        return Candidate(
            "made", Language.CPP, (SourceFile("k.cpp", f"{head(schedule)}\nint x{schedule.lanes};\n"),), "x"
        )

    def head(schedule):
        return write(schedule).files[0].text.partition("\n")[0]

    evaluated = []
    for seed in range(6):
        request = Request(PROBLEM, Kind.FRESH, (), None, np.random.default_rng(seed), tuple(evaluated))
        idea = Tuner(made).propose(request)
        score = float(place_of(CPP.schedule_of(idea.candidate))[0])
        evaluated.append(Known(idea, Evaluation(idea.identity, Fidelity.FULL, True, score, "", 1.0)))
    assert {CPP.schedule_of(each.idea.candidate).lanes for each in evaluated} == {16, 32, 64, 128, 256, 1024}
    assert (
        Tuner(made).propose(Request(PROBLEM, Kind.FRESH, (), None, np.random.default_rng(6), tuple(evaluated))) is None
    )


def test_values_that_only_equal_a_choice_are_taken_for_it():
    odd = Schedule(lanes=16.0, interleave=True)
    evaluated = [known(schedule, 0.1) for schedule in some(10)]
    assert len(drawn([*evaluated, known(odd, 0.2)], range(3))) == 3


def test_optuna_is_loaded_by_the_first_proposal_and_says_nothing():
    code = """
import sys, numpy as np
from assay.engineer.proposers import making, tuner
assert "optuna" not in sys.modules
from assay.search import Kind, Request
list(tuner._drawn(Request(None, Kind.FRESH, (), None, np.random.default_rng(0)), tuner.CPP))
assert "optuna" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
