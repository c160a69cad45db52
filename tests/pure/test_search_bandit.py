"""The bandit: who brings more per second gets more, nobody is forgotten, and who has nothing rests."""

from collections import Counter

import numpy as np

from assay.search.bandit import DUPLICATE, NOTHING, Bandit
from assay.search.protocols import Kind

FRESH, REFINE = Kind.FRESH, Kind.REFINE


def play(gain_chance, cost, rounds=600, seed=0):
    """Simulated proposers by name: chance of an improvement and seconds per idea; how often each was chosen."""
    rng, bandit, chosen = np.random.default_rng(seed), Bandit(gain_chance), Counter()
    for number in range(rounds):
        name = bandit.choose(FRESH, gain_chance, np.random.default_rng([seed, number]))
        chosen[name] += 1
        bandit.charge(name, cost[name])
        if rng.random() < gain_chance[name]:
            bandit.credit(name, 0.05)
        bandit.conclude(name, FRESH)
    return chosen


def test_the_proposer_that_improves_more_per_second_gets_most_of_the_budget():
    chosen = play({"good": 0.2, "poor": 0.02}, {"good": 1.0, "poor": 1.0})
    assert chosen["good"] > 2 * chosen["poor"]


def test_an_expensive_proposer_must_earn_its_cost():
    chosen = play({"cheap": 0.1, "dear": 0.1}, {"cheap": 1.0, "dear": 10.0})
    assert chosen["cheap"] > 2 * chosen["dear"]


def test_a_proposer_that_never_brought_anything_is_still_asked():
    chosen = play({"good": 0.5, "hopeless": 0.0}, {"good": 1.0, "hopeless": 1000.0})
    assert chosen["hopeless"] >= 15


def test_the_past_is_forgotten_when_another_proposer_becomes_the_better_one():
    bandit = Bandit(["early", "late"])
    for _ in range(200):
        bandit.charge("early", 1.0)
        bandit.credit("early", 0.05)
        bandit.conclude("early", FRESH)
    late_share = []
    for number in range(400):
        name = bandit.choose(FRESH, ["early", "late"], np.random.default_rng(number))
        bandit.charge(name, 1.0)
        if name == "late":
            bandit.credit(name, 0.05)
        bandit.conclude(name, FRESH)
        late_share.append(name == "late")
    assert np.mean(late_share[-100:]) > 0.7


def test_who_says_none_three_times_rests_for_that_kind_until_there_is_a_new_best():
    bandit, rng = Bandit(["a"]), np.random.default_rng(0)
    for _ in range(2):
        bandit.disappoint("a", FRESH, NOTHING)
    assert bandit.choose(FRESH, ["a"], rng) == "a"
    bandit.disappoint("a", FRESH, NOTHING)
    assert bandit.choose(FRESH, ["a"], rng) is None
    assert bandit.choose(REFINE, ["a"], rng) == "a"
    bandit.credit("a", 0.1)
    assert bandit.choose(FRESH, ["a"], rng) == "a"


def test_repeating_known_ideas_tires_slower_and_a_new_idea_refreshes():
    bandit = Bandit(["a"])
    for _ in range(20):
        bandit.disappoint("a", FRESH, DUPLICATE)
    assert not bandit.is_barren("a", FRESH)
    bandit.conclude("a", FRESH)
    bandit.disappoint("a", FRESH, DUPLICATE)
    assert not bandit.is_barren("a", FRESH)
    for _ in range(20):
        bandit.disappoint("a", FRESH, DUPLICATE)
    assert bandit.is_barren("a", FRESH)


def test_choices_follow_from_the_generator_alone_whatever_the_order_of_names():
    one, two = Bandit(["a", "b", "c"]), Bandit(["c", "b", "a"])
    for number in range(50):
        first = one.choose(FRESH, ["a", "b", "c"], np.random.default_rng(number))
        assert first == two.choose(FRESH, ["c", "a", "b"], np.random.default_rng(number))
