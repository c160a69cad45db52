"""Ideas, evaluations, budgets, the cascade, the race and stopping rules, each by itself."""

import math

import numpy as np
import pytest

from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.budget import Account, Budget, Spent
from assay.search.comparison import write_choices
from assay.search.halving import CASCADE, Halving, Rung
from assay.search.protocols import Ask, Kind
from assay.search.race import Race
from assay.search.stopping import (
    AnyOf,
    ExpectedGain,
    Improvement,
    NearFloor,
    Plateau,
    Progress,
    TargetReached,
    expected_gain_per_second,
)

FULL, SHORT, SCREEN, BUILD = Fidelity.FULL, Fidelity.SHORT, Fidelity.SCREEN, Fidelity.BUILD


def evaluation(identity, score, fidelity=FULL, error=None):
    return Evaluation(identity, fidelity, score is not None, score, "", 1.0, error=error)


def built(identity):
    return Evaluation(identity, BUILD, True, None, "", 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"passed": False, "score": 0.1},
        {"passed": True, "score": math.nan},
        {"passed": True, "score": math.inf},
        {"passed": True, "score": None},
        {"passed": True, "score": 0.1, "seconds": -1.0},
        {"passed": True, "score": 0.1, "near_limit": -0.1},
    ],
)
def test_an_evaluation_that_contradicts_itself_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=r"score|negative"):
        Evaluation(**{"identity": "a", "fidelity": FULL, "words": "", "seconds": 1.0, **wrong})


def test_ideas_and_evaluations_and_asks_survive_json():
    idea = Idea(write_choices((1, 2)), "me", ("parent",), "because", 12, 0.5)
    answer = Evaluation("a", SHORT, True, 0.25, "right", 2.0, 3, 0.125, 0.5)
    ask = Ask(Kind.CROSS, ("a", "b"), 2)
    assert Idea.from_json(idea.to_json()) == idea
    assert Evaluation.from_json(answer.to_json()) == answer
    assert Ask.from_json(ask.to_json()) == ask


@pytest.mark.parametrize(
    ("kind", "parents"), [(Kind.FRESH, ("a",)), (Kind.REFINE, ()), (Kind.CROSS, ("a", "a")), (Kind.CROSS, ("a",))]
)
def test_an_ask_with_the_wrong_parents_cannot_be_built(kind, parents):
    with pytest.raises(ValueError, match="takes"):
        Ask(kind, parents)


def test_what_is_in_flight_counts_as_spent_until_it_is_settled():
    account = Account(Budget(evaluations=2, seconds=10.0))
    ticket = account.reserve(Spent(evaluations=2))
    assert "2 of 2 evaluations" in account.exhausted()
    assert account.remaining_share() == 0.0
    account.settle(ticket, Spent(seconds=4.0, evaluations=1))
    assert account.exhausted() is None
    assert account.remaining_share() == pytest.approx(0.5)
    with pytest.raises(KeyError):
        account.settle(ticket, Spent())


@pytest.mark.parametrize("name", ["seconds", "evaluations", "tokens", "money"])
def test_every_limit_ends_a_budget_and_none_is_no_limit(name):
    assert name in Budget(**{name: 3}).exhausted(Spent(**{name: 3}))
    assert Budget(**{name: 3}).exhausted(Spent(**{name: 2})) is None
    assert Budget().exhausted(Spent(1e9, 10**9, 10**9, 1e9)) is None
    assert Budget().remaining_share(Spent(5.0)) is None
    with pytest.raises(ValueError, match=name):
        Budget(**{name: -1})


def run_cascade(scores, rungs=CASCADE):
    """Evaluates everything that the cascade asks for; how often each fidelity was used, and the cascade."""
    halving, used = Halving(rungs), dict.fromkeys(Fidelity, 0)
    for identity in scores:
        halving.enter(identity)
        while (job := halving.next()) is not None:
            used[job[1]] += 1
            score = scores[job[0]]
            passed = job[1] is BUILD or score is not None
            halving.record(Evaluation(job[0], job[1], passed, None if job[1] is BUILD else score, "", 1.0))
    return halving, used


def test_everything_is_screened_a_share_is_timed_and_only_full_timings_make_finalists():
    values = np.random.default_rng(5).permutation(90) / 100
    scores = {f"c{number}": float(value) for number, value in enumerate(values)}
    halving, used = run_cascade(scores)
    assert used[BUILD] == used[SCREEN] == 90
    assert 30 <= used[SHORT] <= 45
    assert 10 <= used[FULL] <= 20
    assert halving.finalists(3) == tuple(sorted(scores, key=scores.get, reverse=True)[:3])


def test_what_is_nearest_to_a_full_evaluation_comes_first():
    halving = Halving((Rung(SCREEN, 1.0), Rung(SHORT, 1.0), Rung(FULL, 1.0)))
    for identity, fidelity in (("a", SCREEN), ("b", SCREEN), ("a", SHORT)):
        halving.record(evaluation(identity, 0.5, fidelity))
    assert halving.next() == ("a", FULL)


def test_ideas_seen_in_part_only_are_no_finalists():
    halving = Halving()
    halving.enter("a")
    for _ in range(3):
        identity, fidelity = halving.next()
        halving.record(built(identity) if fidelity is BUILD else evaluation(identity, 0.5, fidelity))
    assert halving.next() == ("a", FULL)
    assert halving.finalists(5) == ()


def test_a_false_front_runner_that_fails_in_full_leaves_its_place_to_the_next():
    halving = Halving((Rung(SCREEN, 0.1), Rung(FULL, 1.0)))
    halving.enter("cheat")
    halving.record(evaluation("cheat", 9.0, SCREEN))
    halving.record(evaluation("cheat", None, FULL))
    halving.enter("honest")
    halving.record(evaluation("honest", 0.1, SCREEN))
    assert halving.next() == ("honest", FULL)


@pytest.mark.parametrize("rungs", [(), (Rung(FULL, 1.0), Rung(SCREEN, 1.0)), (Rung(SCREEN, 1.0),)])
def test_rungs_that_do_not_rise_to_full_are_refused(rungs):
    with pytest.raises(ValueError, match="FULL"):
        Halving(rungs)


def test_a_challenger_must_beat_the_leader_and_its_best_knockoff():
    race = Race(knockoff_every=4)
    assert race.record(evaluation("leader", 0.10))
    assert not race.record(evaluation("challenger", 0.12)), "no knockoff has run yet"
    assert race.knockoff_due()
    assert not race.record_knockoff("leader", evaluation("clone", 0.13))
    assert race.leader == "leader"
    assert race.record(evaluation("better", 0.14))
    assert race.leader == "better"


def test_a_challenger_that_waited_takes_over_once_the_knockoff_is_below_it():
    race = Race(knockoff_every=4)
    race.record(evaluation("leader", 0.10))
    race.record(evaluation("challenger", 0.12))
    assert race.record_knockoff("leader", evaluation("clone", 0.11))
    assert race.leader == "challenger"


def test_every_kth_evaluation_at_the_leaders_fidelity_is_a_knockoff():
    race, turns = Race(knockoff_every=4), []
    for number in range(40):
        turns.append(race.knockoff_due())
        if turns[-1]:
            race.record_knockoff(race.leader, evaluation(f"k{number}", -9.0))
        else:
            race.record(evaluation(f"c{number}", -float(number)))
    assert sum(turns) == 10
    assert all(turns[position] for position in range(3, 40, 4))


def test_cheap_evaluations_do_not_call_for_knockoffs_of_a_full_leader():
    race = Race(knockoff_every=2)
    race.record(evaluation("leader", 0.1, FULL))
    race.record_knockoff("leader", evaluation("k", 0.0))
    for number in range(10):
        race.record(evaluation(f"c{number}", 5.0, SCREEN))
    assert not race.knockoff_due()
    assert race.leader == "leader", "a screen never beats a full timing"


def test_a_leader_that_fails_a_closer_look_is_dethroned():
    race = Race(knockoff_every=4)
    race.record(evaluation("cheat", 9.0, SCREEN))
    race.record(evaluation("honest", 0.1, SCREEN))
    assert race.record(evaluation("cheat", None, FULL))
    assert race.leader == "honest"


def test_knockoffs_that_do_not_pass_are_counted_apart_and_do_not_block_the_race():
    race = Race(knockoff_every=4)
    race.record(evaluation("leader", 0.1))
    race.record(evaluation("challenger", 0.2))
    assert race.record_knockoff("leader", evaluation("clone", None))
    wins = race.false_wins
    assert (wins.run, wins.tried, wins.broken, wins.rate) == (1, 0, 1, None)


def test_a_leaders_first_knockoff_cannot_win_and_later_ones_can():
    race = Race(knockoff_every=4)
    race.record(evaluation("leader", 0.1))
    race.record_knockoff("leader", evaluation("k1", 0.2))
    assert race.false_wins.tried == 0
    race.record_knockoff("leader", evaluation("k2", 0.15))
    race.record_knockoff("leader", evaluation("k3", 0.3))
    assert (race.false_wins.tried, race.false_wins.won, race.false_wins.rate) == (2, 1, 0.5)


def test_under_pure_noise_knockoffs_win_as_often_as_theory_says():
    """The m-th knockoff of one leader is the highest of m + 1 equals by chance one time in m + 1."""
    m, repeats, won = 4, 3000, 0
    rng = np.random.default_rng(11)
    for _ in range(repeats):
        race = Race(knockoff_every=4)
        race.record(evaluation("leader", rng.normal()))
        for number in range(m):
            race.record_knockoff("leader", evaluation(f"k{number}", rng.normal()))
        won += race.false_wins.won
    chances = [1 / (k + 1) for k in range(2, m + 1)]
    spread = math.sqrt(sum(chance * (1 - chance) for chance in chances) / repeats)
    assert won / repeats == pytest.approx(sum(chances), abs=4 * spread)


def test_where_scores_have_errors_noise_alone_hardly_ever_takes_over():
    """Two errors of one size: 2.58 of their difference's is exceeded one time in two hundred."""
    rng, tried, won = np.random.default_rng(12), 0, 0
    for _ in range(4000):
        race = Race(knockoff_every=4)
        race.record(evaluation("leader", rng.normal(), error=1.0))
        for number in range(4):
            race.record_knockoff("leader", evaluation(f"k{number}", rng.normal(), error=1.0))
        tried, won = tried + race.false_wins.tried, won + race.false_wins.won
    assert tried == 12000
    assert 0 < won / tried < 0.005


def test_a_gain_beyond_the_errors_takes_over_and_one_within_them_does_not():
    race = Race(knockoff_every=4)
    race.record(evaluation("leader", 0.10, error=0.02))
    race.record_knockoff("leader", evaluation("clone", 0.11, error=0.02))
    race.record(evaluation("lucky", 0.17, error=0.02))
    assert race.leader == "leader"
    race.record(evaluation("better", 0.20, error=0.02))
    assert race.leader == "better"
    assert race.record(evaluation("unmeasured", 0.21)) is False, "its own knockoff comes first"
    race.record_knockoff("better", evaluation("clone2", 0.19, error=0.02))
    assert race.leader == "unmeasured", "without an error the bar alone decides"


def progress(score=None, near=None, history=(), seconds=100.0, ideas=50):
    return Progress(score, near, tuple(history), seconds, ideas)


def test_a_target_stops_only_when_it_is_reached():
    rule = TargetReached(math.log(2))
    assert rule.reason(progress()) is None
    assert rule.reason(progress(0.69)) is None
    assert "2.05x of 2x" in rule.reason(progress(math.log(2.05)))


def test_nearness_to_the_floor_stops_and_an_unknown_floor_does_not():
    assert NearFloor(0.8).reason(progress(near=None)) is None
    assert NearFloor(0.8).reason(progress(near=0.79)) is None
    assert "85%" in NearFloor(0.8).reason(progress(near=0.85))


def test_a_plateau_counts_from_the_last_improvement():
    history = [Improvement(0.1, 10.0, 5), Improvement(0.2, 50.0, 30)]
    assert Plateau(21).reason(progress(history=history)) is None
    assert "20 ideas" in Plateau(20).reason(progress(history=history))
    assert Plateau(51).reason(progress()) is None
    assert Plateau(50).reason(progress()) is not None


def test_expected_gain_matches_records_of_exponential_draws():
    """The best of t draws is harmonic(t) on average, so one more draw is worth 1 / (t + 1)."""
    rng, estimates, t = np.random.default_rng(3), [], 400
    for _ in range(400):
        draws = rng.exponential(size=t)
        best, history = 0.0, []
        for second, draw in enumerate(draws, start=1):
            if draw > best:
                best = draw
                history.append(Improvement(float(draw), float(second), second))
        estimates.append(expected_gain_per_second(history, float(t)))
    assert 0.7 / t < np.mean(estimates) < 2.2 / t


def test_a_search_stops_when_little_is_to_be_expected_and_not_before():
    history = [Improvement(0.5, 1.0, 1)]
    rule = ExpectedGain(per_second=1e-3, least_ideas=20)
    assert rule.reason(progress(0.5, history=history, seconds=1e6, ideas=19)) is None
    assert rule.reason(progress(0.5, history=history, seconds=2.0)) is None
    assert "little to expect" in rule.reason(progress(0.5, history=history, seconds=1e6))
    assert rule.reason(progress(seconds=1e6)) is None, "no history, no estimate"


def test_the_first_rule_with_a_reason_speaks():
    assert AnyOf((Plateau(99), NearFloor(0.5))).reason(progress(near=0.9)).startswith("the physical floor")
    assert AnyOf(()).reason(progress()) is None
