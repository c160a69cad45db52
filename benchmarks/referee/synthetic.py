"""Kernels whose true cost is known: identical units of work on registers, so that 13 units against 10 are 1.3 to 1.

One unit is a chain of dependent fused multiply-adds, about 100 us; it touches no memory, starts no thread and cannot be
shortened, since each step needs the last. What a call costs besides (the copy of a small tensor, the entry) is the
fixed part, which is measured and not assumed away: the truth is (fixed + 13 u) / (fixed + 10 u).
"""

from __future__ import annotations

from assay.core.sources import Candidate, Language, SourceFile, Task, TaskFormat

STEPS_A_UNIT = 75_000
"""Four cycles each: about 100 us at 3 GHz."""

_TASK = '''"""Twice a small vector; the kernels' work is elsewhere."""

import torch
from torch import nn

TASK = {"family": "elementwise", "axes": {"n": 1024}}


class Model(nn.Module):
    def forward(self, x):
        return x * 2


def get_inputs(n):
    return [torch.randn(n)]
'''

_KERNEL = """#include <assay/kernel.h>

extern "C" int assay_kernel(const assay_call* call) {
  const float* x = assay_in<float>(call, 0);
  float* y = assay_out<float>(call, 0);
  double a = 1.0 + (call->inputs[0].numel & 1);
  asm volatile("" : "+x"(a));
  for (long i = 0; i < %dL * %d; i++) a = __builtin_fma(a, 0.5, 0.5);
  asm volatile("" : : "x"(a));
  for (int64_t i = 0; i < call->inputs[0].numel; i++) y[i] = 2 * x[i];
  return 0;
}
"""


def work_task() -> Task:
    """The task that every kernel of `work_kernel` solves."""
    return Task("known-work", TaskFormat.PLAIN, (SourceFile("known_work.py", _TASK),), "known_work.py:Model")


def work_kernel(units: int, remark: str = "") -> Candidate:
    """A right answer to `work_task` that does `units` of work first; a remark makes the source new to the cache."""
    text = _KERNEL % (STEPS_A_UNIT, units) + (f"// {remark}\n" if remark else "")
    return Candidate(f"work-{units}", Language.CPP, (SourceFile("kernel.cpp", text),), "assay_kernel")


def same_as_reference(task: Task) -> Candidate:
    """The reference under a candidate's name: a Python ModelNew that is the task's own class."""
    file, _, symbol = task.entry.partition(":")
    source = next(f for f in task.files if f.path == file).text
    files = [f for f in task.files if f.path != file]
    own = SourceFile(file, f"{source}\n\nclass ModelNew({symbol}):\n    pass\n")
    return Candidate("reference-again", Language.PYTHON, (own, *files), f"{file}:ModelNew")
