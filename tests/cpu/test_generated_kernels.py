"""Generated kernels before the referee: traced, lowered, fused, written, built and judged, on other shapes too."""

import re

import pytest
from sources import SORTED

from assay.core.config import Depth, JudgeConfig
from assay.core.verdicts import Verdict
from assay.engineer.codegen.generate import Schedule, Unsupported, generate
from assay.engineer.tracing import Tracing
from assay.errors import InputError
from assay.referee.judge import Referee
from assay.tasks.load import load_task
from assay.tasks.plain import plain_task


@pytest.fixture(scope="module")
def tracing():
    with Tracing() as tracing:
        yield tracing


@pytest.fixture(scope="module")
def referee():
    with Referee(JudgeConfig(depth=Depth.SCREEN, baseline="eager", budget_s=2.0)) as referee:
        yield referee


def is_right(referee, task, candidate):
    judgement = referee.judge(task, candidate)
    wrong = [f.message for f in judgement.findings if f.weight.name == "FATAL" and f.code != "not-faster"]
    assert not wrong, wrong
    assert judgement.correctness.verified_calls > 10
    return judgement.verdict is not Verdict.ACCEPT  # a screening never accepts


FORMS = {
    "log_softmax": "a reduction over a middle axis, by lanes",
    "group_norm": "axes that are split to fit each other",
    "cross_entropy": "positions that are data",
    "reverse_cumsum": "a scan",
    "rotary_embedding": "parts written to their places",
    "transpose_2d": "tiles",
    "patchify": "axes that are divided",
    "masked_softmax": "truth values",
    "avg_pool2d": "windows over borders",
    "max_pool2d": "windows with steps",
    "mlp_block": "matrix products and what follows them",
    "blend_clamp": "numbers among the arguments",
    "embedding_bag": "rows that are looked up, and asked for before",
    "conv2d_backward": "the gradients of a convolution",
    "expert_gate": "the best of each row",
    "segment_mean": "parts of different lengths",
    "csr_spmm": "a sparse product",
    "gru_cell": "a recurrent cell",
    "max_pool1d": "windows along a line",
}


@pytest.mark.parametrize("name", FORMS, ids=FORMS.values())
def test_a_generated_kernel_is_right(tracing, referee, name):
    task = load_task(name)
    candidate = generate(tracing.trace(task), Schedule(), name)
    assert is_right(referee, task, candidate)


@pytest.mark.parametrize(
    "schedule", [Schedule(keep=False), Schedule(apart=True), Schedule(lanes=16, block=512, wide=False)]
)
def test_every_schedule_gives_a_right_kernel(tracing, referee, schedule):
    task = load_task("log_softmax")
    assert is_right(referee, task, generate(tracing.trace(task), schedule, "scheduled"))


def test_the_loose_error_function_is_right_where_the_reference_is_as_loose(tracing, referee):
    task = load_task("gelu")
    candidate = generate(tracing.trace(task), Schedule(), "loose")
    assert "erf_loose_(x" in candidate.files[0].text
    assert is_right(referee, task, candidate)


def test_fusing_makes_one_loop_nest_of_a_softmax_and_apart_makes_four(tracing):
    graph = tracing.trace(load_task("softmax"))
    one, four = (generate(graph, Schedule(apart=apart, group=False), "s").files[0].text for apart in (False, True))
    assert (one.count("omp parallel"), four.count("omp parallel")) == (1, 4)


def test_rows_of_sums_are_asked_for_before_they_are_needed(tracing):
    text = generate(tracing.trace(load_task("embedding_bag")), Schedule(), "bags").files[0].text
    assert re.search(r"ahead\w* = given_1\[std::min.*\n *prefetch\(&weights_1", text)


def test_an_operator_without_a_generator_is_named(tracing):
    with pytest.raises(Unsupported, match=r"no generator for aten\.sort"):
        generate(tracing.trace(plain_task(SORTED, "sorted.py")), Schedule(), "sorted")


def test_control_flow_on_data_is_refused_with_its_reason(tracing):
    text = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x

def get_inputs():
    return [torch.randn(8)]
"""
    with pytest.raises(InputError, match="no graph") as caught:
        tracing.trace(plain_task(text, "branch.py"))
    assert "data-dependent" in str(caught.value)
