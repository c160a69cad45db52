"""Searches on synthetic landscapes for tests: no clock, every answer known."""

from assay.search.attempt import Evaluation, Fidelity
from assay.search.budget import Budget
from assay.search.comparison import Simulator, Tinkerer, landscape
from assay.search.engine import DEFAULT_SETTINGS, think, thinking
from assay.search.ledger import MemoryLedger
from assay.search.stopping import AnyOf
from assay.search.strategies.registry import make

NEVER = AnyOf(())


class PureNoise:
    """Every program passes and is as fast as every other; scores are noise drawn by identity and fidelity."""

    def __init__(self, seed=0):
        self._simulator = Simulator(flat(seed))

    def evaluate(self, idea, fidelity):
        return self._simulator.evaluate(idea, fidelity)


def flat(seed=0, choices=8):
    """A landscape on which nothing is better than anything."""
    problem = landscape(seed, choices=choices, levels=4, rough=0.0, noise=0.02)
    problem.gains[:] = 0.0
    return type(problem)(problem.gains, problem.interactions * 0.0, frozenset(), 0.02, seed)


class Counting:
    """A verifier that remembers what it was asked, and may fail at one call."""

    def __init__(self, inner, fail_at=None, error=KeyboardInterrupt):
        self.inner, self.fail_at, self.error, self.asked = inner, fail_at, error, []

    def evaluate(self, idea, fidelity):
        self.asked.append((idea.identity, fidelity))
        if len(self.asked) == self.fail_at:
            raise self.error
        return self.inner.evaluate(idea, fidelity)


class Scripted:
    """A proposer that offers a fixed list of candidates, whatever it is asked for, then nothing."""

    def __init__(self, ideas, name="scripted"):
        self.name, self.ideas, self.requests = name, list(ideas), []

    def propose(self, request):
        self.requests.append(request)
        return self.ideas.pop(0) if self.ideas else None


class Table:
    """A verifier with the true scores by identity: a number, None for what fails; knockoffs score as `clones` says."""

    def __init__(self, scores, clones=lambda: 0.0, words=""):
        self.scores, self.clones, self.words = scores, clones, words

    def evaluate(self, idea, fidelity):
        score = self.scores[idea.identity] if idea.identity in self.scores else self.clones()
        passed = score is not None
        score = None if fidelity is Fidelity.BUILD else score
        return Evaluation(idea.identity, fidelity, passed, score, self.words, 1.0)


def run(strategy="evolution", seed=0, budget=None, stop=NEVER, ledger=None, settings=DEFAULT_SETTINGS, **roles):
    """A whole search; everything can be replaced."""
    return think(*_arguments(strategy, seed, budget, stop, ledger, settings, **roles))


def stream(strategy="evolution", seed=0, budget=None, stop=NEVER, ledger=None, settings=DEFAULT_SETTINGS, **roles):
    """The same as events."""
    return thinking(*_arguments(strategy, seed, budget, stop, ledger, settings, **roles))


def _arguments(strategy, seed, budget, stop, ledger, settings, problem=None, proposers=None, verifier=None, clock=None):
    problem = problem or landscape(seed)
    return (
        problem,
        proposers or [Tinkerer(8, 4)],
        verifier or Simulator(problem),
        make(strategy) if isinstance(strategy, str) else strategy,
        budget or Budget(evaluations=60),
        stop,
        MemoryLedger() if ledger is None else ledger,
        seed,
        settings,
        clock or (lambda: 0.0),
    )
