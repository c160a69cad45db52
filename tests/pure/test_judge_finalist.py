"""A finalist that noise alone keeps undecided is judged once more, longer; nobody else is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from synthetic_judgement import accepted, rejected_as_slow, rejected_as_wrong, undecided

from assay.core.config import JudgeConfig
from assay.core.verdicts import Verdict
from assay.engineer.optimize import finalists_of, judge_finalist
from assay.referee.timing.statistics import Interval


class Scripted:
    """A referee whose judgements are known."""

    def __init__(self, *judgements):
        self.config, self._judgements, self.budgets = JudgeConfig(budget_s=10.0), list(judgements), []

    def judge(self, _task, _candidate, _progress, config=None):
        self.budgets.append((config or self.config).budget_s)
        return self._judgements.pop(0)


def unsure(lower):
    """Undecided about a speedup whose interval begins at `lower`."""
    judgement = undecided()
    interval = Interval(math.log(1.5), math.log(lower), math.log(2.0), 0.95, 8)
    claim = replace(judgement.timing.claim, speedup=interval)
    return replace(judgement, timing=replace(judgement.timing, claim=claim))


def judged(*judgements):
    referee = Scripted(*judgements)
    found = judge_finalist(referee, None, None, lambda *_: None)
    return [each.verdict for each in found], referee.budgets


def test_one_that_looks_faster_through_the_noise_gets_a_longer_look():
    assert judged(unsure(1.2), accepted(1.5)) == ([Verdict.INCONCLUSIVE, Verdict.ACCEPT], [10.0, 30.0])


@pytest.mark.parametrize("first", [accepted, rejected_as_slow, rejected_as_wrong], ids=lambda make: make.__name__)
def test_a_decided_one_is_judged_once(first):
    assert judged(first())[1] == [10.0]


def test_one_that_may_as_well_be_slower_is_judged_once():
    assert judged(unsure(0.9))[1] == [10.0]


def test_the_second_look_is_the_last():
    assert judged(unsure(1.2), unsure(1.2))[1] == [10.0, 30.0]


def known(score):
    return SimpleNamespace(evaluation=SimpleNamespace(score=score))


def test_a_search_too_short_for_full_timings_has_its_best_screened_candidate_judged():
    screened = known(0.3)
    assert finalists_of(SimpleNamespace(finalists=(), best=screened)) == (screened,)
    assert finalists_of(SimpleNamespace(finalists=(known(0.1),), best=screened)) != (screened,)


@pytest.mark.parametrize("best", [None, known(None)], ids=["nothing passed", "one was built only"])
def test_where_nobody_was_timed_nobody_is_judged(best):
    assert finalists_of(SimpleNamespace(finalists=(), best=best)) == ()
