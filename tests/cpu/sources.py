"""Small tasks and candidates as text, for tests of the whole pipeline."""

from assay.core.sources import Candidate, Language, SourceFile, Task, TaskFormat

SCALE = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return torch.tanh(x) * 2

def get_inputs():
    return [torch.randn(64, 65)]
"""

SORTED = """
import torch
from torch import nn
class Model(nn.Module):
    def forward(self, x):
        return torch.sort(x)[0]
def get_inputs():
    return [torch.randn(8, 16)]
"""
"""An operator without a generator."""

SCALE_KERNEL = """
extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  for (int64_t i = 0; i < call->inputs[0].numel; i++) y[i] = std::tanh(x[i]) * 2;
  return 0;
}
"""

LINEAR = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(24, 16)

    def forward(self, x):
        return self.linear(x)

def get_inputs():
    return [torch.randn(32, 24)]
"""


def task(text, name="test-task", **overrides):
    """A plain task from its program's text."""
    return Task(name, TaskFormat.PLAIN, (SourceFile("task.py", text),), "task.py:Model", overrides=overrides)


def native(text, flags=(), name="test-kernel"):
    """A C++ candidate from one file's text."""
    return Candidate(name, Language.CPP, (SourceFile("kernel.cpp", text),), "assay_kernel", tuple(flags))


def python(text, name="test-module"):
    """A Python candidate from one file's text."""
    return Candidate(name, Language.PYTHON, (SourceFile("candidate.py", text),), "candidate.py:ModelNew")


def codes(judgement):
    """The finding codes of a judgement."""
    return {finding.code for finding in judgement.findings}
