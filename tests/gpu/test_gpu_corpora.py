"""The GPU corpora before the referee, on a machine with a GPU: attacks and bugs fail, and honest kernels do not."""

from __future__ import annotations

import pytest
import torch

from assay.core.config import JudgeConfig
from assay.core.verdicts import Verdict
from assay.errors import CandidateError
from assay.referee.judge import Referee
from assay.tasks.candidates import load_candidate
from tests.gpu import corpora

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: device candidates are judged on one")


@pytest.fixture(scope="module")
def referee(assay_home):
    """Short and small: what is wrong must be found by construction, not by the length of a measurement."""
    with Referee(JudgeConfig(budget_s=4.0, baseline="eager", call_timeout_s=3.0)) as judge:
        yield judge


def each(corpus):
    by_task = sorted(corpus, key=lambda one: (one.task, one.name))
    return pytest.mark.parametrize("one", by_task, ids=lambda one: one.name)


@each(corpora.exploits())
def test_an_attack_is_never_accepted(referee, one):
    try:
        judgement = referee.judge(one.load_task(), load_candidate(one.folder))
    except CandidateError:
        assert one.facts["build"] in ("refused", "fails")
        return
    codes = {finding.code for finding in judgement.findings}
    assert judgement.verdict is not Verdict.ACCEPT, codes
    if one.facts["verdict"] == "REJECT":
        assert judgement.verdict is Verdict.REJECT, codes
    assert codes & set(one.facts["findings"]), codes


@each(corpora.mutants())
def test_a_planted_bug_is_found(referee, one):
    judgement = referee.judge(one.load_task(), load_candidate(one.path))
    luck = one.notes.get("race") or one.notes.get("rare")
    if luck is not None and judgement.right is not False:
        pytest.skip(f"not found this time: {luck}")
    assert judgement.right is False, [finding.message for finding in judgement.findings]
    assert judgement.verdict is Verdict.REJECT


@each(corpora.honest())
def test_an_honest_kernel_is_never_found_wrong(screening, one):
    """A screening asks whether it is right; that it is no faster than the library is no dishonesty."""
    judgement = screening.judge(one.load_task(), load_candidate(one.path))
    messages = [finding.message for finding in judgement.findings]
    assert judgement.right is not False, messages
    assert judgement.verdict is not Verdict.REJECT, messages
