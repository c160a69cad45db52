"""The tuner: schedules drawn from a model of the scores so far, a tree-structured Parzen estimator.

It asks for what is like the better schedules and unlike the others, all choices together (Bergstra et al., Algorithms
for hyper-parameter optimization, NIPS 2011; jointly: Falkner et al., BOHB, ICML 2018, section 3.2). Whatever was
generated counts, whoever proposed it, at the highest fidelity that it has reached. It remembers nothing itself: every
request says all that is known, so a resumed search is tuned on as if it had never been cut.
Pruning: optuna's WilcoxonPruner compares two trials on the same instances, but a score here is a log speedup against
the baseline on inputs and in processes of that run alone, so two candidates share no pairs, and the search's successive
halving of fidelities is the pruning already.
Limits: a noisy screening counts as much as a full evaluation, and one in which nothing could be timed as a failure;
choices have no order, 16 lanes are as far from 32 as from 1024; kernels that were not generated teach nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from assay.core.sources import Candidate
from assay.engineer.codegen.program import Unsupported
from assay.engineer.proposers.generators import CPP, AnySchedule, Generator, text_of
from assay.errors import CandidateError
from assay.search import Idea, Request

if TYPE_CHECKING:
    import optuna

_TRIES = 40
"""Draws until one is new in its text: on a small graph most choices change nothing."""


class Tuner:
    """Proposes schedules; `write` makes candidates of them.

    Every kind of request gets the same, the most promising schedule that is not known. It names no parents, since all
    that was evaluated went into it.
    """

    def __init__(
        self, write: Callable[[AnySchedule], Candidate], generator: Generator = CPP, name: str = "tuner"
    ) -> None:
        self._write, self._generator, self.name = write, generator, name

    def propose(self, request: Request) -> Idea | None:
        """A start that is untried, else the model's draw; None where only what is known was drawn."""
        known = {text_of(each.idea.candidate) for each in request.evaluated}
        generator = self._generator
        tried = {generator.schedule_of(each.idea.candidate) for each in request.evaluated}
        for schedule in chain(generator.starts, _drawn(request, generator)):
            if schedule in tried:
                continue
            try:
                candidate = self._write(schedule)
            except (Unsupported, CandidateError):  # unfused, for example, a plan may have too many launches
                continue
            if text_of(candidate) not in known:
                return Idea(candidate, self.name, (), generator.words(schedule))
        return None


def _drawn(request: Request, generator: Generator) -> Iterator[AnySchedule]:
    """The model's draws. One that is drawn again stays unanswered in the study, which makes it less likely."""
    study, choices = _study(request, generator)
    for _ in range(_TRIES):
        yield generator.make(study.ask(choices).params)


def _study(
    request: Request, generator: Generator
) -> tuple[optuna.Study, dict[str, optuna.distributions.BaseDistribution]]:
    """What is known of schedules, as optuna sees it.

    What failed is told as pruned without a value, which ranks it below all that passed; what is told as failed is left
    out of the model, hence drawn again: on synthetic schedules of which 25 % fail, 20 % of the draws failed, not 13 %.
    """
    import optuna  # Here, since it takes 0.3 s that only a search with a tuner should pay.

    choices: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(values) for name, values in generator.choices.items()
    }
    sampler = optuna.samplers.TPESampler(
        seed=int(request.rng.integers(2**31)),
        n_startup_trials=len(generator.starts),
        multivariate=True,
        constant_liar=True,
    )
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # It announces every study that is made.
    try:
        study = optuna.create_study(direction="maximize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(level)
    for schedule, score in _told(request, generator):
        values: dict[str, Any] = {name: getattr(schedule, name) for name in generator.choices}
        state = optuna.trial.TrialState.PRUNED if score is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(optuna.trial.create_trial(state=state, value=score, params=values, distributions=choices))
    return study, choices


def _told(request: Request, generator: Generator) -> Iterator[tuple[AnySchedule, float | None]]:
    """Schedules with their scores, None for what failed; what was only built so far says nothing yet."""
    for known in request.evaluated:
        schedule, evaluation = generator.schedule_of(known.idea.candidate), known.evaluation
        if schedule is not None and not (evaluation.passed and evaluation.score is None):
            yield schedule, evaluation.score
