"""Outputs that jump: how far a run is from deciding otherwise, and tasks that are drawn so that nothing is close."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from assay.core.config import Depth, JudgeConfig
from assay.core.verdicts import Weight
from assay.engineer.codegen.generate import Schedule, generate
from assay.engineer.tracing import Tracing
from assay.engineer.training.gradients import convert_gradients
from assay.referee.judge import Referee
from assay.referee.processes.jumps import distance


def gradient_of(function, x):
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(function(leaf).sum(), leaf)


def scale(x):
    return float(x.double().square().mean().sqrt())


X = torch.linspace(-4.9, 5.0, 100, dtype=torch.float64).reshape(4, 25)


@pytest.mark.parametrize(
    ("function", "points"),
    [
        (torch.relu, [0.0]),
        (lambda x: F.leaky_relu(x, 0.1), [0.0]),
        (lambda x: F.prelu(x, torch.tensor([0.2], dtype=x.dtype)), [0.0]),
        (F.selu, [0.0]),
        (F.hardswish, [-3.0, 3.0]),
        (F.hardsigmoid, [-3.0, 3.0]),
        (F.relu6, [0.0, 6.0]),
        (lambda x: x.clamp(-1.0, 2.5), [-1.0, 2.5]),
        (lambda x: x.clamp(min=0.33), [0.33]),
        (torch.abs, [0.0]),
        (lambda x: F.softshrink(x, 0.55), [-0.55, 0.55]),
        (lambda x: F.threshold(x, 0.77, 20.0), [0.77]),
        (lambda x: torch.where(x > 1.23, x, 2 * x), [1.23]),
    ],
    ids=lambda value: getattr(value, "__name__", "") if callable(value) else str(value),
)
def test_the_distance_is_that_of_the_nearest_element_from_a_kink(function, points):
    nearest = min(float((X - point).abs().min()) for point in points)
    assert distance(lambda: gradient_of(function, X)) == pytest.approx(nearest / scale(X), rel=1e-9)


@pytest.mark.parametrize("function", [torch.sigmoid, torch.exp, F.silu, lambda x: F.layer_norm(x, (25,)), torch.sin])
def test_nothing_is_decided_in_smooth_functions(function):
    assert distance(lambda: gradient_of(function, X)) == math.inf


def test_what_is_equal_exactly_is_equal_in_every_computation():
    x = torch.tensor([0.0, 0.0, 1.0, -2.0])
    assert distance(lambda: gradient_of(torch.relu, x)) == pytest.approx(1.0 / scale(x))
    assert distance(lambda: gradient_of(torch.relu, torch.zeros(3))) == math.inf


def test_the_nearest_of_two_tensors_and_of_the_largest_two():
    torch.manual_seed(0)
    x, y = torch.randn(3, 7), torch.randn(3, 7)
    assert distance(lambda: torch.maximum(x, y)) == pytest.approx(float((x - y).abs().min()) / scale(x), rel=1e-5)
    two = x.sort(dim=1, descending=True).values
    assert distance(lambda: x.max(dim=1)) == pytest.approx(float((two[:, 0] - two[:, 1]).min()) / scale(x), rel=1e-5)
    assert distance(lambda: x.amin((0, 1))) == pytest.approx(
        float(x.flatten().sort().values.diff()[0]) / scale(x), rel=1e-5
    )


@pytest.mark.parametrize("window", [{}, {"stride": 1}, {"padding": 1}, {"dilation": 2, "stride": 1}])
def test_the_nearest_two_of_a_pooling_window(window):
    torch.manual_seed(1)
    x = torch.randn(1, 2, 9, 9)
    padded = F.pad(x, [window.get("padding", 0)] * 4, value=-math.inf)
    step, gap = window.get("stride", 3), window.get("dilation", 1)
    gaps = []
    for plane in padded[0]:
        for i in range(0, padded.shape[-1] - 2 * gap, step):
            for j in range(0, padded.shape[-1] - 2 * gap, step):
                two = plane[i : i + 2 * gap + 1 : gap, j : j + 2 * gap + 1 : gap].flatten().topk(2).values
                gaps.append(float(two[0] - two[1]))
    found = distance(lambda: gradient_of(lambda leaf: F.max_pool2d(leaf, 3, **window), x))
    assert found == pytest.approx(min(gaps) / scale(x), rel=1e-5)


def test_kinks_deep_inside_a_network_are_seen():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(25, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    hidden = net[0](X).detach()
    assert distance(lambda: gradient_of(net, X)) == pytest.approx(float(hidden.abs().min()) / scale(hidden), rel=1e-9)


class Net(nn.Module):
    """Decides 19 thousand times a batch: which activations are positive, and which is the largest of four."""

    def __init__(self, slope):
        super().__init__()
        self.conv, self.head, self.slope = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 64, 5), slope

    def forward(self, x):
        x = nn.functional.leaky_relu(self.conv(x), self.slope) if self.slope else torch.relu(self.conv(x))
        return self.head(nn.functional.max_pool2d(x, 2).flatten(1))


def gradients(slope):
    torch.manual_seed(0)
    batch = torch.randn(8, 1, 16, 16), torch.randint(5, (8,))
    return convert_gradients(Net(slope), lambda net, x, y: F.cross_entropy(net(x), y), batch, "net").converted.task


def test_gradients_that_jump_are_judged_to_rounding():
    task = gradients(0.0)
    with Tracing() as tracing:
        right, wrong = (generate(tracing.trace(gradients(s)), Schedule(), "net") for s in (0.0, 1e-4))
    with Referee(JudgeConfig(depth=Depth.SCREEN, baseline="eager")) as referee:
        found = {name: referee.judge(task, one).findings for name, one in (("right", right), ("wrong", wrong))}
    assert "outputs-jump" in {finding.code for finding in found["right"]}
    assert "ill-conditioned-task" not in {finding.code for finding in found["right"]}
    fatal = {name: [f.code for f in findings if f.weight is Weight.FATAL] for name, findings in found.items()}
    assert fatal == {"right": [], "wrong": ["wrong-result"]}, "a slope of 1e-4 in a ReLU is seen"
