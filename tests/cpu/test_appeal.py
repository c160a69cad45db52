"""A second look at failures: elements that rounding decides excuse nobody from being right about the others."""

import pytest
import torch

from assay.core.config import Depth, JudgeConfig
from assay.core.sources import Candidate, Language, SourceFile
from assay.referee.judge import Referee
from assay.referee.processes.oracle import moved
from assay.tasks.plain import plain_task

GATES = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x.sum(-1))

def get_inputs():
    x = torch.randn(64, 1000).double()
    x[0] *= 2**20
    x[0, -1] -= x[0].sum() + 10
    return [x.float()]
"""
"""One gate of 64 is shut, but for a sum's rounding: sums in pairs, as PyTorch's, err by 4, sums in sequence by 30."""


def candidate(expression):
    text = f"""
import torch
from torch import nn

class ModelNew(nn.Module):
    def forward(self, x):
        return {expression}
"""
    return Candidate("gates", Language.PYTHON, (SourceFile("candidate.py", text),), "candidate.py:ModelNew")


@pytest.fixture(scope="module")
def referee():
    with Referee(JudgeConfig(depth=Depth.SCREEN, baseline="eager", budget_s=2.0)) as referee:
        yield referee


def wrong(referee, expression):
    judgement = referee.judge(plain_task(GATES, "gates.py"), candidate(expression))
    return [finding.message for finding in judgement.findings if finding.code == "wrong-result"]


def test_another_order_of_a_sum_is_right_where_rounding_decides_a_gate(referee):
    for _ in range(3):
        assert not wrong(referee, "torch.sigmoid(sum(x.unbind(-1)))")


@pytest.mark.parametrize("expression", ["torch.sigmoid(x[:, 1:].sum(-1))", "torch.sigmoid(-x.sum(-1))"])
def test_other_rows_have_to_be_right_all_the_same(referee, expression):
    assert wrong(referee, expression)


def test_moved_inputs_stay_within_their_units_and_equal_ones_move_alike():
    x = torch.randn(4096)
    x[::2] = -x[0]
    there, back = (moved(torch, x, units, 3) for units in (16.0, -16.0))
    change = (there / x.double() - 1.0) / torch.finfo(torch.float32).eps
    assert 15.0 < change.abs().max() <= 16.0
    assert abs(change[1::2].mean()) < 1.0
    assert torch.equal(change[::2], change[0].expand(2048))
    assert torch.allclose(there - x.double(), x.double() - back, rtol=1e-6)


def test_another_seed_moves_inputs_in_another_way():
    x = torch.randn(4096)
    one, other = ((moved(torch, x, 16.0, seed) / x.double() - 1.0) for seed in (0, 1))
    assert abs(torch.corrcoef(torch.stack((one, other)))[0, 1]) < 0.1
