"""A whole model before and after: which sides are timed, and how far the outputs lie apart."""

import torch
from torch import nn

from assay.applied.compare import compare
from assay.engineer.places import APPLIED, EAGER


class Shifted(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return {"y": x.sin() + self.by, "count": torch.tensor(3)}


def test_all_sides_are_timed_and_the_largest_difference_is_told(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    found = compare(Shifted(0.0), Shifted(0.5), [torch.ones(64)], seconds=0.2)
    assert abs(found.difference - 0.5) < 1e-6
    assert found.baseline in ("eager", "torch.compile")
    assert found.milliseconds.keys() == {EAGER, APPLIED, "torch.compile"}
    assert min(found.milliseconds.values()) > 0
    ratio, lower, upper = found.speedup
    assert 0 < lower <= ratio <= upper


def test_a_model_that_does_not_compile_is_compared_with_eager_alone(monkeypatch):
    def refuse(_model):
        raise RuntimeError("not this one")

    monkeypatch.setattr(torch, "compile", refuse)
    found = compare(Shifted(1.0), Shifted(1.0), [torch.ones(8)], seconds=0.1)
    assert (found.milliseconds.keys(), found.baseline, found.difference) == ({EAGER, APPLIED}, EAGER, 0.0)
