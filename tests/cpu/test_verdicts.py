"""The protocol from end to end, in the sandbox: what is right passes, what is wrong is found and says how."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core.config import JudgeConfig
from assay.core.verdicts import Verdict
from assay.referee.judge import Referee
from assay.referee.tiers import Tier

sys.path.insert(0, str(Path(__file__).parent))
from sources import LINEAR, SCALE, SCALE_KERNEL, codes, native, python, task


@pytest.fixture
def chains_of_four(monkeypatch):
    """As if every task were short: how many calls a window holds otherwise depends on how busy the machine is."""
    monkeypatch.setattr("assay.referee.protocol.chain.length", lambda *_: 4)


def test_a_right_kernel_is_right(screening):
    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL))
    assert judgement.right is True
    assert judgement.verdict is not Verdict.ACCEPT, "a screening never accepts"
    assert judgement.correctness.verified_calls > 20
    assert set(judgement.correctness.families) >= {"own", "large", "negated", "rows", "ties"}


def test_a_reference_may_be_a_plain_function(screening):
    function = (
        "import torch\n\ndef f(x):\n    return torch.tanh(x) * 2\n\ndef get_inputs():\n    return [torch.randn(9, 7)]\n"
    )
    judgement = screening.judge(replace(task(function), entry="task.py:f"), native(SCALE_KERNEL))
    assert judgement.right is True


@pytest.mark.parametrize("language", ["native", "python"])
def test_a_chain_of_right_calls_is_right_whoever_rolls_the_inputs(screening, chains_of_four, language):
    module = (
        "import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        return torch.tanh(x) * 2\n"
    )
    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL) if language == "native" else python(module))
    assert judgement.right is True
    assert "chained-calls" in codes(judgement)


def test_a_candidate_that_answers_a_chain_from_the_inputs_as_they_landed_is_wrong(screening, chains_of_four):
    # Skips waiting for the last output: it remembers the first input of a chain and answers every call from it.
    stale = SCALE_KERNEL.replace("for (int64_t", "static const float* first = x;\n  x = first;\n  for (int64_t")
    judgement = screening.judge(task(SCALE), native(stale))
    assert "wrong-result" in codes(judgement)
    assert "chain" in judgement.findings[-1].message


def test_a_kernel_that_is_wrong_only_for_negative_values_is_found_by_a_hidden_family_or_the_own_one(screening):
    wrong = SCALE_KERNEL.replace("std::tanh(x[i]) * 2", "x[i] < -4 ? -1.99f : std::tanh(x[i]) * 2")
    judgement = screening.judge(task(SCALE), native(wrong))
    assert judgement.verdict is Verdict.REJECT
    assert "wrong-result" in codes(judgement)
    finding = next(f for f in judgement.findings if f.code == "wrong-result")
    assert "wanted" in finding.message


def test_a_kernel_that_is_right_only_in_its_first_call_is_found(screening):
    once = SCALE_KERNEL.replace("for (int64_t", "static int calls = 0;\n  if (calls++) return 0;\n  for (int64_t")
    judgement = screening.judge(task(SCALE), native(once))
    assert judgement.right is False


PERMUTED = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 1) * 2

def get_inputs():
    return [torch.randn(4, 12, 40)]
"""


def test_an_output_in_another_memory_order_has_a_budget_as_strict_as_any(screening):
    wrong = python(PERMUTED.replace("class Model(", "class ModelNew(").replace("* 2", "* 2.001"))
    judgement = screening.judge(task(PERMUTED), wrong)
    assert judgement.right is False, [finding.message for finding in judgement.findings]
    assert "wrong-result" in codes(judgement)


DROWNED = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return (x + 1e8) - 1e8

def get_inputs():
    return [torch.randn(64, 65)]
"""


def test_a_task_whose_reference_is_beyond_any_budget_is_never_accepted_on(screening):
    judgement = screening.judge(task(DROWNED), python(DROWNED.replace("class Model(", "class ModelNew(")))
    assert judgement.verdict is not Verdict.ACCEPT
    assert "ill-conditioned-task" in codes(judgement)


def test_a_python_module_with_the_references_parameter_names_is_right(screening):
    module = LINEAR.replace("class Model(", "class ModelNew(").replace("def get_inputs", "def unused")
    assert screening.judge(task(LINEAR), python(module)).right is True


def test_a_module_whose_weights_do_not_fit_is_told_which_were_wanted(screening):
    module = LINEAR.replace("class Model(", "class ModelNew(").replace("24, 16", "24, 17")
    judgement = screening.judge(task(LINEAR), python(module))
    assert "weights-mismatch" in codes(judgement)
    assert "linear.weight (16, 24)" in judgement.findings[-1].message


CACHED_WEIGHTS = """
extern "C" int assay_kernel(const assay_call* call) {
  static float w[16 * 24];
  static bool have = false;
  if (!have) { std::memcpy(w, call->weights[0].data, sizeof w); have = true; }
  const float* x = assay_in<float>(call, 0);
  const float* b = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
  for (int r = 0; r < 32; r++)
    for (int o = 0; o < 16; o++) {
      float sum = b[o];
      for (int i = 0; i < 24; i++) sum += x[r * 24 + i] * w[o * 24 + i];
      y[r * 16 + o] = sum;
    }
  return 0;
}
"""


def test_weights_kept_from_the_first_call_are_wrong_where_weights_live_and_right_where_they_are_frozen(screening):
    assert "wrong-result" in codes(screening.judge(task(LINEAR), native(CACHED_WEIGHTS)))
    assert screening.judge(task(LINEAR, weights="frozen"), native(CACHED_WEIGHTS)).right is True


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("y[i] = std::tanh(x[i]) * 2", "((float*)x)[i] = 0"), "crashed"),
        (("call->inputs[0].numel; i++) y[i]", "call->inputs[0].numel + 1; i++) y[i]"), "out-of-bounds"),
        (("return 0;", "return 7;"), "refused"),
        (("return 0;", "std::abort();"), "crashed"),
        (("return 0;", "for (;;) {}"), "call-timeout"),
        (("return 0;", "exit(0);"), "crashed"),
        (("assay_kernel", "other_name"), "load-error"),
    ],
)
def test_a_native_candidate_that_breaks_its_contract_is_rejected_with_the_reason(screening, change, code):
    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL.replace(*change)))
    assert judgement.verdict is Verdict.REJECT
    assert code in codes(judgement)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return x", "returns-shared-memory"),
        ("return torch.tanh(x)", "wrong-result"),
        ("return (torch.tanh(x) * 2).double()", "output-layout"),
        ("return (torch.tanh(x) * 2).t().contiguous().t()", "output-layout"),
        ("return torch.tanh(x) * 2, x", "output-count"),
        ("self.y = getattr(self, 'y', torch.empty_like(x)); return torch.mul(torch.tanh(x), 2, out=self.y)",
         "reuses-output-memory"),
        ("return torch.tanh(x).mul_(2).as_subclass(type('T', (torch.Tensor,), {}))", "output-layout"),
        ("raise SystemExit(0)", "call-error"),
        ("x.zero_(); return x * 2", "crashed"),
        ("import os; os.fork(); return torch.tanh(x) * 2", "call-error"),
        ("return torch.tanh(x) * 2 + 1e-3 * torch.rand(())", "wrong-result"),
    ],
)  # fmt: skip
def test_a_python_candidate_that_breaks_its_contract_is_rejected_with_the_reason(screening, body, code):
    text = f"import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        {body}\n"
    judgement = screening.judge(task(SCALE), python(text))
    assert judgement.verdict is Verdict.REJECT
    assert code in codes(judgement)


def test_this_machine_gives_every_layer_to_root(screening):
    import os

    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL))
    expected = Tier.SEALED if os.geteuid() == 0 else Tier.CONFINED
    assert judgement.isolation.tier is expected, judgement.isolation.missing


def test_the_audit_calls_a_task_that_zeros_pass_degenerate_and_its_verdicts_are_never_accepted(assay_home):
    zeros = SCALE.replace("torch.tanh(x) * 2", "x - x")
    kernel = SCALE_KERNEL.replace("std::tanh(x[i]) * 2", "0")
    with Referee(JudgeConfig(baseline="eager", budget_s=1.0)) as referee:
        judgement = referee.judge(task(zeros), native(kernel))
    assert judgement.audit.degenerate[0].answer == "zeros"
    assert "degenerate-task" in codes(judgement)
    assert judgement.verdict is not Verdict.ACCEPT


def test_a_sound_task_is_called_sound(screening):
    assert screening.audit(task(SCALE)).degenerate == ()


def test_random_numbers_in_forward_are_seeded_alike_on_both_sides_and_reported(screening):
    noisy = SCALE.replace("torch.tanh(x) * 2", "torch.nn.functional.dropout(x, 0.5, True)")
    module = "import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n"
    same = python(module + "        return torch.nn.functional.dropout(x, 0.5, True)\n")
    judgement = screening.judge(task(noisy), same)
    assert judgement.right is True
    assert "random-forward" in codes(judgement)
    assert "needs-torch-generator" in codes(screening.judge(task(noisy), native(SCALE_KERNEL)))


def test_batch_normalisation_in_training_mode_is_reported(screening):
    text = LINEAR.replace("nn.Linear(24, 16)", "nn.BatchNorm1d(24)")
    module = text.replace("class Model(", "class ModelNew(").replace("def get_inputs", "def unused")
    judgement = screening.judge(task(text, mode="train"), python(module))
    assert judgement.right is True
    assert "training-batch-norm" in codes(judgement)
