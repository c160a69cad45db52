"""Operators with generators of their own, against eager PyTorch on sizes that are no multiple of a vector."""

import pytest
from test_generated_kernels import is_right, referee, tracing

from assay.engineer.codegen.generate import Schedule, generate
from assay.tasks.plain import plain_task

__all__ = ["referee", "tracing"]

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F

TASK = {
    "axes": {"rows": 13, "columns": 37},
    "limits": {"rows": {"min": 6, "max": 21}, "columns": {"min": 7, "max": 70}},
}

def get_inputs(rows, columns):
    return [torch.randn(rows, columns), torch.randn(rows, 6, columns)]

"""

MODELS = {
    "extrema with their places": """
class Model(nn.Module):
    def forward(self, x, y):
        most, where = y.max(dim=1)
        least, there = torch.min(x, dim=-1, keepdim=True)
        return most, where, least, there, y.max(dim=2).values, y.argmin(), x.argmax(dim=0, keepdim=True)
""",
    "numbers made inside forward": """
class Model(nn.Module):
    def forward(self, x, y):
        return torch.min(x, torch.tensor(0.25)), torch.where(y > 0, y, torch.tensor(-1.0))
""",
    "recurrent cells": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gated, self.long = nn.GRUCell(6, 11), nn.LSTMCell(6, 5)

    def forward(self, x, y):
        steps = y.transpose(1, 2).reshape(-1, 6)
        state = steps.new_zeros(steps.shape[0], 11) + 0.5
        return self.gated(steps, state), *self.long(steps, (state[:, :5], state[:, 5:10]))
""",
    "products with a vector, with factors, and with what is turned twice": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 6))

    def forward(self, x, y):
        wide = torch.addmm(x[0], x, x.T @ x, beta=0.5, alpha=0.25)
        return x @ y[0].T[:, :1], x[:1] @ y[0].T, y @ x[:1].T, wide, y.transpose(1, 2) @ self.weight.T, (y[0] @ x.T).T
""",
    "the best of a row, largest and smallest": """
class Model(nn.Module):
    def forward(self, x, y):
        return torch.topk(x, 3)[0], torch.topk(y, 2, 1, largest=False)[0], x.cummin(1).values, x.cumprod(0)
""",
    "places that are data": """
class Model(nn.Module):
    def forward(self, x, y):
        order = x.argmax(1) % 6
        rows = torch.arange(x.shape[0])
        scattered = torch.zeros_like(x).scatter_add(1, (x > 0).long(), x)
        return (y[rows, order], y[:, order[:5] - 6, 2:], y[rows[:4, None], :, order[None, :3]], scattered,
                torch.zeros_like(x).scatter(0, (x[:1] > 0).long(), x), F.pad(y, (2, 1), mode="reflect"),
                F.unfold(y[None], (2, 3), padding=1), F.pad(y, (3, 2), mode="replicate"))
""",
    "exponentials far from zero": """
class Model(nn.Module):
    def forward(self, x, y):
        far = 20 * x.clamp(-5, 4)
        return torch.exp(far), torch.sigmoid(60 * x), F.softplus(30 * y), F.elu(50 * y), F.selu(x), F.logsigmoid(far)
""",
    "functions of the standard library": """
class Model(nn.Module):
    def forward(self, x, y):
        return torch.hypot(x, 2 * x), torch.lgamma(x.abs() + 0.5), torch.copysign(x, -x)
""",
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_generated_operator_is_right(tracing, referee, model):
    task = plain_task(HEAD + model, "operators.py")
    assert is_right(referee, task, generate(tracing.trace(task), Schedule(), "operators"))
