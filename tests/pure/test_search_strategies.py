"""Every strategy: pure asks, state that survives JSON, and what each of them promises."""

import json

import numpy as np
import pytest

from assay.errors import InputError
from assay.search.protocols import Ask, Kind
from assay.search.strategies.evolution import Evolution
from assay.search.strategies.registry import NAMES, make, restore


def drive(strategy, steps, seed=0, score=None, every_failure=7):
    """Plays against random scores, in which children resemble their parents; every identity with its ask and score."""
    told = {}
    for step in range(steps):
        rng = np.random.default_rng([seed, step])
        ask = strategy.ask(rng)
        assert all(parent in told for parent in ask.parents), "parents are identities that were told"
        identity = f"i{step}"
        base = max((told[parent][1] or 0.0 for parent in ask.parents), default=0.0)
        value = score(ask, step) if score else base + float(rng.normal(0, 0.1))
        value = None if every_failure and step % every_failure == 3 else value
        strategy.tell(ask, identity, value)
        told[identity] = (ask, value)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_json_and_goes_on_the_same(name):
    one = make(name)
    drive(one, 83)
    two = restore(json.loads(json.dumps(one.to_json())))
    assert two.to_json() == one.to_json()
    for step in range(200, 240):
        asks = [each.ask(np.random.default_rng(step)) for each in (one, two)]
        assert asks[0] == asks[1]
        for each in (one, two):
            each.tell(asks[0], f"i{step}", step / 1000)
    assert two.to_json() == one.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_asking_changes_nothing(name):
    strategy = make(name)
    drive(strategy, 40)
    before = json.dumps(strategy.to_json())
    for seed in range(20):
        strategy.ask(np.random.default_rng(seed))
    assert json.dumps(strategy.to_json()) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_lives_with_empty_answers_failures_and_asks_of_others(name):
    strategy = make(name)
    for step in range(60):
        ask = strategy.ask(np.random.default_rng(step))
        strategy.tell(ask, None if step % 2 else f"i{step}", None)
    strategy.tell(Ask(Kind.FRESH), "a", 0.1)
    strategy.tell(Ask(Kind.CROSS, ("a", "i0")), "b", 0.2)
    strategy.tell(Ask(Kind.REFINE, ("b",)), "c", 0.3)
    drive_on = [strategy.ask(np.random.default_rng(step)) for step in range(20)]
    assert all(isinstance(ask, Ask) for ask in drive_on)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "best_of_n"])
def test_a_score_told_again_replaces_the_first_one(name):
    strategy = make(name, **({"migrate_every": 10**6} if name == "evolution" else {}))
    told = drive(strategy, 30, every_failure=0)
    best = max(told, key=lambda identity: told[identity][1])
    length = len(json.dumps(strategy.to_json()))
    strategy.tell(told[best][0], best, None)
    strategy.tell(told[best][0], best, 99.0)
    state = json.dumps(strategy.to_json())
    assert "99.0" in state
    assert abs(len(state) - length) < 40, "no second entry"
    strategy.tell(told[best][0], best, None)
    for step in range(100):
        ask = strategy.ask(np.random.default_rng(step))
        assert name == "mcts" or best not in ask.parents, "what failed a closer look is no parent any more"


@pytest.mark.parametrize("name", NAMES)
def test_telling_the_same_again_changes_nothing(name):
    strategy = make(name)
    told = drive(strategy, 50)
    before = json.dumps(strategy.to_json())
    for identity, (ask, score) in told.items():
        strategy.tell(ask, identity, score)
    assert json.dumps(strategy.to_json()) == before


def test_best_of_n_only_asks_for_fresh_ideas():
    assert {ask.kind for ask, _ in drive(make("best_of_n"), 30).values()} == {Kind.FRESH}


def test_sequential_revision_always_refines_the_best_so_far():
    told = drive(make("sequential"), 60, every_failure=5)
    best = None
    for identity, (ask, score) in told.items():
        if best is not None:
            assert ask == Ask(Kind.REFINE, (best,))
        if score is not None and (best is None or score > told[best][1]):
            best = identity


def test_while_nothing_passes_failures_are_repaired_and_new_ideas_tried_in_turn():
    told = drive(make("sequential"), 10, score=lambda ask, step: None)
    kinds = [ask.kind for ask, _ in told.values()]
    assert kinds.count(Kind.FRESH) == kinds.count(Kind.REFINE) == 5


def test_a_beam_refines_its_members_in_turn_and_keeps_the_best_of_all():
    told = drive(make("beam", width=3, branch=2), 60, every_failure=0)
    identities = list(told)
    assert all(told[identity][0].kind is Kind.FRESH for identity in identities[:6])
    beam = sorted(identities[:6], key=lambda name: -told[name][1])[:3]
    parents = [told[identity][0].parents[0] for identity in identities[6:12]]
    assert sorted(parents) == sorted(beam * 2)
    second = sorted([*beam, *identities[6:12]], key=lambda name: -told[name][1])[:3]
    assert {told[identity][0].parents[0] for identity in identities[12:18]} == set(second)


def test_tree_search_widens_slowly_and_returns_to_good_branches():
    told = drive(make("mcts", widening=1.5), 400, every_failure=0)
    fresh = sum(ask.kind is Kind.FRESH for ask, _ in told.values())
    assert 20 <= fresh <= 45, "about 1.5 * sqrt(400) children of the root"
    depth = {}
    for identity, (ask, _) in told.items():
        depth[identity] = 1 + max((depth[parent] for parent in ask.parents), default=0)
    assert max(depth.values()) >= 5
    roots = {}
    for identity, (ask, _) in told.items():
        roots[identity] = roots[ask.parents[0]] if ask.parents else identity
    shares = sorted(list(roots.values()).count(root) for root in set(roots.values()))
    assert shares[-1] > 3 * shares[len(shares) // 2], "good branches are visited more"


def test_tree_search_leaves_branches_where_nobody_has_anything():
    strategy = make("mcts")
    strategy.tell(Ask(Kind.FRESH), "dead", 1.0)
    strategy.tell(Ask(Kind.FRESH), "alive", 0.5)
    for _ in range(3):
        strategy.tell(Ask(Kind.REFINE, ("dead",)), None, None)
        strategy.tell(Ask(Kind.FRESH), None, None)
    assert strategy.ask(np.random.default_rng(0)) == Ask(Kind.REFINE, ("alive",))


def lineage(told):
    """The fresh ancestors of everything."""
    roots = {}
    for identity, (ask, _) in told.items():
        roots[identity] = frozenset().union(*(roots[parent] for parent in ask.parents)) or frozenset({identity})
    return roots


def test_islands_stay_apart_for_a_long_time_and_all_of_them_work():
    strategy = Evolution(islands=4, population=10, migrate_every=10)
    told = drive(strategy, 800)
    turns = [ask.island for ask, _ in told.values()]
    assert [turns.count(island) for island in range(4)] == [200] * 4
    islands = strategy.islands
    for island, members in enumerate(islands):
        natives = [identity for identity in members if told[identity][0].island == island]
        assert 8 <= len(members) <= 10
        assert len(natives) >= 0.75 * len(members), "immigrants hold a quarter at most"
    for one in range(4):
        for other in range(one):
            shared = islands[one] & islands[other]
            assert len(shared) <= 5, "at most its own immigrants and the other's"
    counts = [sum(identity in members for members in islands) for identity in set().union(*islands)]
    assert max(counts) <= 2, "only natives travel, one island far"


def test_migration_happens_and_reaches_the_neighbour_only():
    strategy = Evolution(islands=3, population=8, fresh=0.0, migrate_every=12)
    told = drive(strategy, 12, every_failure=0)
    home = {identity: ask.island for identity, (ask, _) in told.items()}
    for island, members in enumerate(strategy.islands):
        guests = {identity for identity in members if home[identity] != island}
        assert {home[guest] for guest in guests} == {(island - 1) % 3}
        best = max((i for i in home if home[i] == (island - 1) % 3), key=lambda identity: told[identity][1])
        assert guests == {best}


def test_without_migration_no_island_ever_has_anothers_blood():
    strategy = Evolution(islands=3, population=8, migrate_every=10**6)
    told = drive(strategy, 300)
    roots, island_of = lineage(told), {identity: ask.island for identity, (ask, _) in told.items()}
    for identity in told:
        assert {island_of[root] for root in roots[identity]} == {island_of[identity]}


def test_evolution_crosses_two_of_the_same_island_about_as_often_as_told():
    strategy = Evolution(islands=2, crossover=0.4, fresh=0.1)
    asks = [ask for ask, _ in drive(strategy, 1000).values()]
    kinds = [ask.kind for ask in asks]
    assert 330 <= kinds.count(Kind.CROSS) <= 470
    assert 60 <= kinds.count(Kind.FRESH) <= 150


def test_an_unknown_strategy_lists_the_choices_and_a_wrong_option_is_named():
    with pytest.raises(InputError, match="best_of_n, sequential, beam, evolution, mcts"):
        make("magic")
    with pytest.raises(InputError, match="wings"):
        make("beam", wings=2)
    with pytest.raises(InputError, match="width"):
        make("beam", width=0)
