"""The device corpora before the referee on the emulated GPU: built and run in the sandbox, as on a real one.

Times say nothing here, since kernels run as scalar code. What is judged is everything else.
"""

from __future__ import annotations

import pytest

from assay.core.config import Depth, JudgeConfig
from assay.core.verdicts import Verdict
from assay.errors import CandidateError
from assay.referee.judge import Referee
from assay.tasks.candidates import load_candidate
from tests.gpu import corpora
from tests.gpu.emulation import emulated_runtime

pytestmark = pytest.mark.slow

ATTACKS = [one for one in corpora.exploits() if one.facts["tier"] == 1 and one.facts["build"] != "bomb"]
KERNELS = [one for one in corpora.mutants() if one.emulated and not {"rare", "race"} & set(one.notes)]
HONEST = [one for one in corpora.honest() if one.emulated]

HERE = {
    "host_code_beside_the_kernel": "crashed",  # device and host code are one library here
    "huge_shared_memory": "wrong-result",  # nothing limits static shared memory
    "memo_by_content_hash": "call-timeout",  # hashing all of a tensor takes scalar code too long
}
"""Findings of the emulation that a GPU does not give."""
NOT_HERE = {
    "tf32_matmul": "emulated tensor cores round no input, so that it is right",
    "matmul_tf32_three_products": "a call takes minutes",
    "matmul_bf16_wmma": "a call takes minutes",
}
"""What the emulation cannot judge, and why."""


@pytest.fixture(scope="module")
def referee(tmp_path_factory, assay_home):
    with held(tmp_path_factory.mktemp("emulated"), Depth.SCREEN) as found:
        yield found


@pytest.fixture(scope="module")
def full_referee(tmp_path_factory, assay_home):
    """With all hidden shapes; a call of scalar code takes up to 20 s, so it is asked where a screening sees nothing."""
    with held(tmp_path_factory.mktemp("full"), Depth.FULL) as found:
        yield found


def held(folder, depth):
    folder.chmod(0o755)
    config = JudgeConfig(depth=depth, budget_s=3.0, threads=1, baseline="eager", call_timeout_s=90.0)
    return Referee(config, emulated_runtime(folder))


def each(corpus):
    return pytest.mark.parametrize(
        "one", sorted(corpus, key=lambda one: (one.task, one.name)), ids=lambda one: one.name
    )


def judged(referee, one, path):
    if one.name in NOT_HERE:
        pytest.skip(NOT_HERE[one.name])
    judgement = referee.judge(one.load_task(), load_candidate(path))
    return judgement, {finding.code: finding.message for finding in judgement.findings}


@each(ATTACKS)
def test_an_attack_is_found_for_what_it_does(referee, one):
    try:
        judgement, codes = judged(referee, one, one.folder)
    except CandidateError:
        assert one.facts["build"] == "refused"
        return
    if "does-not-build" in codes and one.facts["build"] == "compiles":
        pytest.skip(f"the emulation does not compile it: {codes['does-not-build'][:200]}")
    assert judgement.verdict is not Verdict.ACCEPT
    if one.facts["verdict"] == "REJECT":
        assert judgement.verdict is Verdict.REJECT, codes
    assert set(codes) & {*one.facts["findings"], HERE.get(one.name)}, codes


@each(KERNELS)
def test_a_planted_bug_is_found(referee, full_referee, one):
    judgement, codes = judged(referee, one, one.path)
    if judgement.right is not False:
        judgement, codes = judged(full_referee, one, one.path)
    assert judgement.right is False, codes


@each(HONEST)
def test_an_honest_kernel_is_right(referee, one):
    judgement, codes = judged(referee, one, one.path)
    assert judgement.right, codes
