"""Families of maps: activations, broadcasting, pooling, lookups, scatters and gradients against float64."""

import pytest
import torch
import torch.nn.functional as F

from assay.core.dtypes import DType
from assay.engineer.triton.families import backward, lookups, pooling
from assay.engineer.triton.families.pointwise import ACTIVATIONS, SLOPES, pointwise
from assay.engineer.triton.schedule import Schedule
from tests.gpu.families.agreement import agree, drawn, sum_rounds
from tests.gpu.families.interpreter import run

SMALL = Schedule(tile=64, held=128, lanes=32, parts=4)
WIDE = Schedule(tile=512, held=1024, lanes=64)
"""For what has many elements, each of which takes the interpreter its time."""
DTYPES = {DType.FLOAT32: torch.float32, DType.FLOAT16: torch.float16, DType.BFLOAT16: torch.bfloat16}
PYTORCHS = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "silu": F.silu,
    "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "softplus": F.softplus, "mish": F.mish,
    "hardswish": F.hardswish, "elu": F.elu, "square_relu": lambda x: F.relu(x) ** 2,
}  # fmt: skip
HARD = [0.0, -0.0, 1e-30, -1e-30, 1e-5, 0.3, -0.49, 0.51, 3.0, -3.0, 9.5, 14.0, 19.9, 20.1, -21.0, 88.0, -88.0, 1e4,
        -1e4, float("inf"), float("nan")]  # fmt: skip
CANCELS = {"gelu": 4, "gelu_tanh": 40, "mish": 4, "hardswish": 4}
"""Sizes of what cancels, over the element: erf(x) + 1 for negative x, with what is rounded before the tanh."""


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_exact_to_a_few_units(name, dtype):
    x = torch.cat([torch.tensor(HARD), drawn(64 + 13 - len(HARD)) * 4]).to(DTYPES[dtype])
    (found,), _ = run(pointwise(ACTIVATIONS[name], [(None,)], [dtype], dtype, SMALL), [x], [x])
    exact = PYTORCHS[name](x.double())
    size = exact.abs() + (x.double().abs().clamp(max=30) if name in CANCELS else 0)
    size = torch.where(size.isfinite(), size, torch.ones_like(size))
    agree(found, exact, size, CANCELS.get(name, 1) * 8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 65), (17, 2), (0, 4), (2, 129)])
def test_operands_are_broadcast_and_read_where_they_lie(shape):
    a, b, c = drawn(*shape), drawn(1, shape[1], seed=1), drawn(shape[0], 1, seed=2)

    def formula(x, y, z):
        return (x + y) * z - x.larger(y)

    source = pointwise(formula, [(None, None), (1, None), (None, 1)], [DType.FLOAT32] * 3, DType.FLOAT32, SMALL)
    (found,), _ = run(source, [a, b, c], [a])
    x, y, z = a.double(), b.double(), c.double()
    agree(found, (x + y) * z - x.maximum(y), (x.abs() + y.abs()) * (z.abs() + 1), 4)
    wide = torch.empty(shape[0], shape[1] + 3)
    wide[:, 1 : 1 + shape[1]] = a
    view = wide[:, 1 : 1 + shape[1]]
    strided = pointwise(lambda x: x * 2.0, [(None, None)], [DType.FLOAT32], DType.FLOAT32, SMALL, strided=True)
    (found,), _ = run(strided, [view], [a])
    assert torch.equal(found, a * 2)


WINDOWS = [
    pooling.Window((3,), (2,), (1,)), pooling.Window((2, 3), (2, 1), (0, 1)), pooling.Window((3, 3), (1, 2), (1, 1)),
    pooling.Window((2, 2, 2), (2, 2, 2), (0, 1, 0)), pooling.Window((5,), (1,), (2,)),
]  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: "x".join(map(str, w.width)))
def test_pooling_in_one_to_three_dimensions(window):
    dims = len(window.width)
    x = drawn(2, 3, *(7, 11, 5)[:dims], spread=False) - 3
    pools = {1: (F.max_pool1d, F.avg_pool1d), 2: (F.max_pool2d, F.avg_pool2d), 3: (F.max_pool3d, F.avg_pool3d)}[dims]
    numbers = {"kernel_size": window.width, "stride": window.step, "padding": window.pad}
    exact = pools[0](x.double(), **numbers)
    (found,), _ = run(pooling.pool("max", DType.FLOAT32, window, WIDE), [x], [exact.float()])
    assert torch.equal(found.double(), exact)
    for counts in (True, False):
        exact = pools[1](x.double(), **numbers, count_include_pad=counts)
        asked = pooling.Window(window.width, window.step, window.pad, counts_border=counts)
        (found,), _ = run(pooling.pool("mean", DType.FLOAT32, asked, WIDE), [x], [exact.float()])
        agree(found, exact, 5 * torch.ones_like(exact), sum_rounds(9))


def test_dilated_and_overhanging_windows():
    x = drawn(2, 2, 9, 8)
    x[0, 0, 4, 4] = float("nan")
    exact = F.max_pool2d(x, 2, 2, 0, 3)
    window = pooling.Window((2, 2), (2, 2), (0, 0), (3, 3))
    (found,), _ = run(pooling.pool("max", DType.FLOAT32, window, SMALL), [x], [exact])
    assert torch.equal(found.nan_to_num(77), exact.nan_to_num(77))
    x = drawn(2, 2, 9, 8, spread=False)
    exact = F.avg_pool2d(x.double(), 3, 2, 1, ceil_mode=True)
    (found,), _ = run(
        pooling.pool("mean", DType.FLOAT32, pooling.Window((3, 3), (2, 2), (1, 1)), SMALL), [x], [exact.float()]
    )
    agree(found, exact, 5 * torch.ones_like(exact), 8)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_lookups_copy_and_bags_sum(dtype):
    for rows, width, n, bag in [(1, 1, 1, 1), (11, 65, 7, 3), (5, 64, 30, 20)]:
        table, ids = drawn(rows, width, dtype=DTYPES[dtype]), torch.randint(rows, (n,))
        (found,), _ = run(lookups.embedding(dtype, (rows, width), WIDE), [ids], [table[ids]], [table])
        assert torch.equal(found, table[ids])
        bags, factors = torch.randint(rows, (n, bag)), drawn(n, bag, dtype=DTYPES[dtype], seed=1)
        terms = table.double()[bags] * factors.double()[:, :, None]
        source = lookups.embedding_bag(dtype, (rows, width), None, WIDE, weighted=True)
        (found,), _ = run(source, [bags, factors], [table[bags[:, 0]]], [table])
        agree(found, terms.sum(1), terms.abs().sum(1), sum_rounds(bag) + 1)
        (found,), _ = run(lookups.embedding_bag(dtype, (rows, width), bag, WIDE, mean=True), [bags], [found], [table])
        agree(found, table.double()[bags].mean(1), table.double().abs()[bags].mean(1), sum_rounds(bag) + 1)


def test_elements_are_gathered_along_either_dimension():
    x = drawn(7, 65)
    for dim in (0, 1):
        places = torch.randint(x.shape[dim], (5, 9))
        (found,), _ = run(lookups.gather(DType.FLOAT32, (None, None), dim, WIDE), [x, places], [x[:5, :9].contiguous()])
        assert torch.equal(found, x.gather(dim, places))


def test_rows_are_added_in_order_and_nothing_but_them():
    for rows, width, n in [(1, 1, 3), (11, 65, 200), (9, 5, 0), (4, 33, 1)]:
        base, index, more = drawn(rows, width), torch.randint(rows, (n,)), drawn(n, width, seed=1, spread=False)
        if n:
            more[0] = float("inf")
        exact = base.double().index_add(0, index, more.double())
        source = lookups.index_add(DType.FLOAT32, (None, None), WIDE)
        first, _ = run(source, [base, index, more], [base])
        size = base.double().abs().index_add(0, index, more.double().abs().nan_to_num(posinf=0))
        agree(first[0], exact, size, sum_rounds(n) + n / 32)
        again, _ = run(source, [base, index, more], [base])
        assert torch.equal(first[0], again[0])


def test_gradients_of_norms():
    for rows, n in [(1, 3), (5, 65), (3, 200), (70, 7)]:
        dy, x, weight = drawn(rows, n, seed=1, spread=False), drawn(rows, n), drawn(n, seed=2)
        outs = [x, weight, weight]
        exact, size = norm_gradients(dy.double(), x.double(), weight.double(), 1e-5, centred=True)
        found, _ = run(backward.layer_norm_backward(DType.FLOAT32, (None, None), SMALL), [dy, x], outs, [weight])
        for each, e, s in zip(found, exact, size, strict=True):
            agree(each, e, s, 3 * sum_rounds(rows * n) + 8)
        exact, size = norm_gradients(dy.double(), x.double(), weight.double(), 1e-6, centred=False)
        found, _ = run(backward.rms_norm_backward(DType.FLOAT32, (None, None), SMALL), [dy, x], outs[:2], [weight])
        for each, e, s in zip(found, exact[:2], size[:2], strict=True):
            agree(each, e, s, 3 * sum_rounds(rows * n) + 8)


def norm_gradients(dy, x, weight, eps, *, centred):
    """PyTorch's gradients in float64, and how large the numbers are that they are made of."""
    x, weight, bias = x.requires_grad_(), weight.requires_grad_(), torch.zeros_like(weight).requires_grad_()
    mean = x.mean(1, keepdim=True) if centred else 0
    scale = ((x - mean).square().mean(1, keepdim=True) + eps).rsqrt()
    y = (x - mean) * scale * weight + bias
    exact = torch.autograd.grad(y, [x, weight, bias], dy)
    with torch.no_grad():
        # The mean's rounding, over the deviation, is an error of the normalised row.
        normal = ((x - mean) * scale).abs() + (x.abs().amax(1, keepdim=True) * scale if centred else 0)
        g = (dy * weight).abs()
        whole = (g + g.mean(1, keepdim=True) + normal * (g * normal).mean(1, keepdim=True)) * scale
        return exact, (whole, (dy.abs() * normal).sum(0), dy.abs().sum(0))


@pytest.mark.parametrize("dim", [0, 1])
def test_gradients_of_softmax(dim):
    for rows, n in [(1, 1), (5, 65), (3, 200)]:
        x, dy = drawn(rows, n), drawn(rows, n, seed=1, spread=False)
        for log in (False, True):
            y = (torch.log_softmax if log else torch.softmax)(x, dim)
            exact = dy.double() - y.double().exp() * dy.double().sum(dim, keepdim=True)
            size = dy.double().abs() + y.double().exp() * (1 + y.double().abs()) * dy.double().abs().sum(
                dim, keepdim=True
            )
            if not log:
                exact = y.double() * (dy.double() - (y.double() * dy.double()).sum(dim, keepdim=True))
                size = y.double() * (dy.double().abs() + (y * dy).double().abs().sum(dim, keepdim=True))
            source = backward.softmax_backward(DType.FLOAT32, (None, None), dim, SMALL, log=log)
            (found,), _ = run(source, [dy, y], [y])
            agree(found, exact, size, sum_rounds(x.shape[dim]) + 4)


def test_the_gradient_of_cross_entropy():
    for rows, classes in [(1, 2), (6, 65), (3, 200)]:
        x, dy, target = drawn(rows, classes), drawn(rows, seed=1), torch.randint(classes, (rows,))
        target[rows // 2 : rows // 2 + (rows > 1)] = -100
        logits = x.double().requires_grad_()
        loss = F.cross_entropy(logits, target, reduction="none")
        (exact,) = torch.autograd.grad(loss, logits, dy.double())
        source = backward.cross_entropy_backward(DType.FLOAT32, (None, None), SMALL)
        (found,), _ = run(source, [dy, x, target], [x])
        away = (x.double() - x.double().amax(1, keepdim=True)).abs()
        weight = x.double().softmax(1)
        agree(found, exact, dy.double().abs()[:, None] * (weight * (away + 1) + (exact != 0)), 4 * sum_rounds(classes))


@pytest.mark.parametrize("name", list(SLOPES))
def test_gradients_of_activations(name):
    x = torch.cat([torch.tensor([v for v in HARD if abs(v) < 1e3]), drawn(64)])
    dy = drawn(x.numel(), seed=1)
    exact = torch.autograd.functional.vjp(PYTORCHS[name], x.double(), dy.double())[1]
    (found,), _ = run(backward.activation_backward(name, DType.FLOAT32, (None,), SMALL), [dy, x], [x])
    agree(found, exact, dy.double().abs() * (1 + x.double().abs().clamp(max=30)), 8)
