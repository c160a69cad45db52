"""The loop as a whole: budgets, determinism, interruption, knockoffs, duplicates, and who may lead."""

import json

import numpy as np
import pytest
from synthetic_search import NEVER, Counting, PureNoise, Scripted, Table, flat, run, stream

from assay.errors import InputError, InternalError, MachineError
from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.budget import Budget
from assay.search.comparison import COST_S, Simulator, Tinkerer, landscape, write_choices
from assay.search.engine import think
from assay.search.events import EventKind, StopCause
from assay.search.halving import Rung
from assay.search.ledger import MemoryLedger
from assay.search.protocols import Kind
from assay.search.state import Settings
from assay.search.stopping import NearFloor, Plateau, TargetReached
from assay.search.strategies.registry import NAMES, make

FULL_ONLY = (Rung(Fidelity.FULL, 1.0),)


def ideas(count, proposer="scripted"):
    return [Idea(write_choices((number, 0)), proposer) for number in range(count)]


@pytest.mark.parametrize("strategy", NAMES)
def test_the_same_seed_gives_the_same_search_and_another_seed_another(strategy):
    one, two, other = MemoryLedger(), MemoryLedger(), MemoryLedger()
    assert run(strategy, ledger=one) == run(strategy, ledger=two)
    assert one.records == two.records
    run(strategy, seed=1, ledger=other, problem=landscape(0))
    assert one.records != other.records


def test_the_callers_strategy_is_left_as_it_was():
    strategy = make("evolution")
    before = json.dumps(strategy.to_json())
    run(strategy)
    assert json.dumps(strategy.to_json()) == before


def test_records_are_plain_json():
    ledger = MemoryLedger()
    run(ledger=ledger)
    assert json.loads(json.dumps(ledger.records)) == list(ledger.records)


@pytest.mark.parametrize("limit", [1, 2, 7, 33])
def test_evaluations_never_exceed_their_budget(limit):
    verifier = Counting(Simulator(landscape(0)))
    result = run(budget=Budget(evaluations=limit), verifier=verifier)
    assert len(verifier.asked) == result.spent.evaluations == limit
    assert result.cause is StopCause.BUDGET
    assert result.remaining_share == 0.0


@pytest.mark.parametrize("limit", [0.5, 10.0, 100.0, 333.0])
def test_seconds_exceed_their_budget_by_less_than_what_was_in_flight(limit):
    result = run(budget=Budget(seconds=limit))
    assert limit <= result.spent.seconds < limit + max(COST_S.values())


class Paid:
    """A proposer that costs tokens and money."""

    name = "paid"

    def propose(self, request):
        candidate = Tinkerer(8, 4).propose(request).candidate
        return Idea(candidate, self.name, (), "", tokens=100, money=0.25)


def test_tokens_and_money_end_a_search_too_and_duplicates_are_paid_for():
    assert run(budget=Budget(tokens=950, evaluations=200), proposers=[Paid()]).spent.tokens == 1000
    result = run(budget=Budget(money=1.9, evaluations=200), proposers=[Paid()])
    assert result.spent.money == 2.0
    assert "money" in result.words


def test_a_budget_of_nothing_starts_nothing():
    verifier = Counting(Simulator(landscape(0)))
    assert run(budget=Budget(seconds=0.0), verifier=verifier).leader is None
    assert verifier.asked == []


def test_time_on_the_engine_itself_is_counted_apart_from_proposers_verifiers_and_callers():
    now = [0.0]

    class Slow(Tinkerer):
        def propose(self, request):
            now[0] += 3.0
            return super().propose(request)

    class SlowLedger(MemoryLedger):
        def append(self, record):
            now[0] += 0.5
            super().append(record)

    inner = Simulator(landscape(0))

    class SlowVerifier:
        def evaluate(self, idea, fidelity):
            now[0] += 2000.0
            return inner.evaluate(idea, fidelity)

    result, ledger = None, SlowLedger()
    for event in stream(
        "best_of_n",
        proposers=[Slow(8, 4)],
        verifier=SlowVerifier(),
        ledger=ledger,
        budget=Budget(evaluations=4),
        clock=lambda: now[0],
    ):
        now[0] += 10000.0
        result = event.result
    proposals = sum(record["kind"] == "idea" for record in ledger.records)
    assert result.spent.evaluations == 4
    assert result.overhead_s == pytest.approx(0.5 * (1 + proposals + 4 - 1)), "all records but the last"
    assert result.spent.seconds == pytest.approx(8000.0 + 3.0 * proposals + result.overhead_s)
    assert result.overhead_share == pytest.approx(result.overhead_s / result.spent.seconds)


def test_a_known_program_is_not_evaluated_again_however_it_is_written():
    first = write_choices((1, 2))
    text = first.files[0].text.replace("chosen", "c").replace('"""Choices', '"""Other words')
    again = type(first)("again", first.language, (type(first.files[0])("choices.py", text),), first.entry)
    verifier = Counting(Table({}, lambda: 0.1))
    result = run("best_of_n", proposers=[Scripted([Idea(first, "s"), Idea(again, "s")])], verifier=verifier)
    assert result.duplicates == 1
    assert again.identity != first.identity
    assert again.identity not in {identity for identity, _ in verifier.asked}


def test_a_search_ends_when_nobody_has_anything_more():
    result = run("best_of_n", proposers=[Scripted(ideas(3))], verifier=Table({}, lambda: 0.1), budget=Budget())
    assert result.cause is StopCause.EXHAUSTED
    assert result.ideas == 3


def test_a_proposer_that_only_repeats_itself_ends_too_without_any_budget():
    class Parrot:
        name = "parrot"

        def propose(self, request):
            return ideas(1)[0]

    result = run("beam", proposers=[Parrot()], verifier=Table({}, lambda: 0.1), budget=Budget())
    assert result.cause is StopCause.EXHAUSTED
    assert result.ideas == 1


def test_when_nobody_has_anything_for_the_strategys_ask_the_best_are_refined_and_crossed():
    class RefinesOnly(Tinkerer):
        def propose(self, request):
            fresh_left = request.kind is not Kind.FRESH or request.best is None
            return super().propose(request) if fresh_left else None

    ledger = MemoryLedger()
    result = run("best_of_n", proposers=[RefinesOnly(8, 4)], ledger=ledger)
    kinds = {record["ask"]["kind"] for record in ledger.records if record["kind"] == "idea" and record["idea"]}
    assert "refine" in kinds
    assert result.cause is StopCause.BUDGET


def test_proposers_get_their_parents_with_the_verifiers_words_and_the_best_so_far():
    class Writes(Scripted):
        pass

    writes = Writes(ideas(6))
    scores = {idea.identity: 0.1 * number for number, idea in enumerate(writes.ideas)}
    run("sequential", proposers=[writes], verifier=Table(scores, words="the compiler says"))
    refining = [request for request in writes.requests if request.kind is Kind.REFINE]
    assert refining
    for request in refining:
        (parent,) = request.parents
        assert parent.evaluation.words == "the compiler says"
        assert parent.idea.identity == parent.evaluation.identity
        assert request.best is not None


def test_every_request_brings_all_that_was_evaluated_so_far_at_its_latest_and_no_knockoffs():
    class Looks(Tinkerer):
        def propose(self, request):
            told = [r["evaluation"] for r in ledger.records if r.get("knockoff_of", "an idea") is None]
            now = {each["identity"]: each for each in told}
            assert [each.evaluation.to_json() for each in request.evaluated] == list(now.values())
            assert all(each.idea.identity == each.evaluation.identity for each in request.evaluated)
            seen.append(len(now))
            return super().propose(request)

    ledger, seen = MemoryLedger(), []
    run(ledger=ledger, proposers=[Looks(8, 4)], budget=Budget(evaluations=30))
    cut = len(seen)
    run(ledger=ledger, proposers=[Looks(8, 4)], budget=Budget(evaluations=80))
    assert sum(record.get("knockoff_of") is not None for record in ledger.records) > 0
    assert seen[0] == 0
    assert seen[cut] >= seen[cut - 1] > 0, "a resumed search begins with what its journal says"


def test_a_proposer_whose_endpoint_is_down_ends_no_search():
    class Down:
        name = "down"

        def propose(self, request):
            raise MachineError("no network", value="sk-verysecret0000")

    ledger = MemoryLedger()
    result = run(proposers=[Down(), Tinkerer(8, 4)], ledger=ledger)
    assert result.cause is StopCause.BUDGET
    words = [record["words"] for record in ledger.records if record["kind"] == "idea" and record["idea"] is None]
    assert words
    assert all("no network" in each and "verysecret" not in each for each in words)


def test_defects_of_assay_and_foreign_exceptions_are_not_swallowed():
    class Broken:
        name = "broken"

        def propose(self, request):
            raise InternalError("a defect")

    with pytest.raises(InternalError):
        run(proposers=[Broken()])
    with pytest.raises(ZeroDivisionError):
        run(verifier=Counting(Simulator(landscape(0)), 3, ZeroDivisionError()))


def test_a_verifier_that_answers_about_something_else_is_found_out():
    class Confused:
        def evaluate(self, idea, fidelity):
            return Evaluation("another", fidelity, False, None, "", 1.0)

    with pytest.raises(InternalError, match="something else"):
        run(verifier=Confused())


@pytest.mark.parametrize("call", [1, 2, 9, 30])
def test_an_interrupt_gives_the_result_so_far_and_the_ledger_goes_on(call):
    ledger = MemoryLedger()
    interrupted = run(ledger=ledger, verifier=Counting(Simulator(landscape(0)), fail_at=call))
    assert interrupted.cause is StopCause.INTERRUPTED
    assert interrupted.spent.evaluations == call - 1
    assert run(ledger=ledger) == run()


def test_a_stream_that_the_caller_leaves_can_be_resumed():
    ledger = MemoryLedger()
    for number, _ in enumerate(stream(ledger=ledger)):
        if number == 40:
            break
    kinds = [event.kind for event in stream(ledger=ledger)]
    assert kinds[0] is EventKind.RESUMED
    assert kinds[-1] is EventKind.FINISHED
    assert run() == run(ledger=ledger)


def test_the_leader_and_the_finalists_have_full_evaluations_only():
    result = run(budget=Budget(evaluations=120))
    assert len(result.finalists) >= 3
    known = [result.leader, *result.finalists]
    assert all(each.evaluation.fidelity is Fidelity.FULL and each.evaluation.passed for each in known)
    scores = [each.evaluation.score for each in result.finalists]
    assert scores == sorted(scores, reverse=True)


def test_a_search_that_ends_before_a_full_evaluation_has_a_best_but_no_leader():
    written = ideas(1)
    result = run(proposers=[Scripted(written)], verifier=Table({}, lambda: 0.3), budget=Budget(evaluations=2))
    assert result.leader is None
    assert result.finalists == ()
    assert result.best.evaluation.fidelity is Fidelity.SCREEN


def test_what_fails_in_full_never_leads_whatever_the_screen_said():
    class Cheats(Simulator):
        def evaluate(self, idea, fidelity):
            answer = super().evaluate(idea, fidelity)
            if idea.candidate.name.startswith("0"):
                passed = fidelity < Fidelity.FULL
                score = 9.0 if passed and fidelity > Fidelity.BUILD else None
                return Evaluation(idea.identity, fidelity, passed, score, "", 1.0)
            return answer

    result = run(verifier=Cheats(landscape(0)), budget=Budget(evaluations=200))
    assert result.leader is not None
    assert not any(each.idea.candidate.name.startswith("0") for each in [result.leader, *result.finalists])


@pytest.mark.parametrize(
    ("rule", "words"), [(TargetReached(0.2), "target"), (NearFloor(0.6), "floor"), (Plateau(25), "improvement")]
)
def test_a_stopping_rule_ends_the_search_with_its_reason(rule, words):
    result = run(stop=rule, budget=Budget(evaluations=2000))
    assert result.cause is StopCause.RULE
    assert words in result.words


def test_knockoffs_of_the_leader_run_at_its_fidelity_throughout_the_race():
    settings = Settings(rungs=FULL_ONLY, knockoff_every=5)
    ledger = MemoryLedger()
    run(
        "best_of_n",
        ledger=ledger,
        settings=settings,
        verifier=PureNoise(),
        problem=flat(),
        budget=Budget(evaluations=100),
    )
    evaluations = [record for record in ledger.records if record["kind"] == "evaluation"]
    knockoffs = [record["knockoff_of"] is not None for record in evaluations]
    assert 20 <= sum(knockoffs) <= 35
    assert all(any(knockoffs[start : start + 5]) for start in range(1, 95))
    assert all(record["evaluation"]["fidelity"] == "FULL" for record in evaluations)


def test_on_pure_noise_the_false_win_rate_is_measured_and_takeovers_are_rarer_than_records():
    settings = Settings(rungs=FULL_ONLY, knockoff_every=4)
    rates, takeovers, records = [], 0, 0
    for seed in range(12):
        ledger = MemoryLedger()
        result = run(
            "best_of_n",
            seed,
            Budget(evaluations=120),
            NEVER,
            ledger,
            settings,
            problem=flat(seed),
            verifier=PureNoise(seed),
        )
        rates.append(result.false_wins)
        takeovers += len(result.history) - 1
        answers = [r["evaluation"] for r in ledger.records if r["kind"] == "evaluation" and r["knockoff_of"] is None]
        highest = np.maximum.accumulate([answer["score"] for answer in answers])
        records += int(np.count_nonzero(np.diff(highest)))
    tried, won = sum(each.tried for each in rates), sum(each.won for each in rates)
    assert tried > 300
    assert 0 < won / tried < 0.15, "noise wins sometimes, and the rate says how often"
    assert takeovers < records


def test_a_true_gain_takes_over_in_spite_of_knockoffs():
    written = ideas(40)
    scores = {idea.identity: 0.05 * number for number, idea in enumerate(written)}
    rng = np.random.default_rng(0)
    verifier = Table(scores, clones=lambda: float(rng.normal(0.0, 0.01)))
    result = run("best_of_n", proposers=[Scripted(written)], verifier=verifier, budget=Budget())
    assert result.leader.evaluation.score == max(scores.values())


def test_the_proposer_that_refines_gets_more_of_the_search_than_one_that_guesses():
    class Guesser(Tinkerer):
        """Ignores its parents."""

        def propose(self, request):
            return Idea(write_choices(tuple(int(x) for x in request.rng.integers(4, size=8))), self.name)

    counts = {"tinkerer": 0, "guesser": 0}
    for seed in range(3):
        ledger = MemoryLedger()
        proposers = [Tinkerer(8, 4), Guesser(8, 4, "guesser")]
        run("sequential", seed, Budget(evaluations=200), NEVER, ledger, Settings(FULL_ONLY), proposers=proposers)
        for record in ledger.records:
            if record["kind"] == "idea" and record["ask"]["kind"] == "refine":
                counts[record["proposer"]] += 1
    assert counts["tinkerer"] > 1.3 * counts["guesser"]
    assert counts["guesser"] >= 15, "nobody is forgotten"


def test_proposers_need_different_names_and_there_must_be_one():
    with pytest.raises(InputError, match="different names"):
        run(proposers=[Tinkerer(8, 4), Tinkerer(8, 4)])
    problem = landscape(0)
    with pytest.raises(InputError, match="different names"):
        think(problem, [], Simulator(problem), make("beam"), Budget(), NEVER, MemoryLedger(), 0)
