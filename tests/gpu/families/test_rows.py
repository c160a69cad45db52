"""Families along rows: reductions, norms, softmax, losses and scans against float64 at awkward sizes."""

import pytest
import torch
import torch.nn.functional as F

from assay.core.dtypes import DType
from assay.engineer.triton.families import losses, norms, reductions, scans, softmax
from assay.engineer.triton.schedule import Schedule
from tests.gpu.families.agreement import agree, drawn, sum_rounds
from tests.gpu.families.interpreter import run

SMALL = Schedule(tile=64, held=128, lanes=32, parts=4)
"""Rows beyond 128 are looped over in tiles of 128."""
SIZES = [(1, 1), (3, 63), (5, 64), (2, 65), (17, 7), (2, 127), (2, 129), (1, 300), (0, 5)]
"""A tile and one more or less, primes, many short rows, looped rows, no row."""
DTYPES = {DType.FLOAT32: torch.float32, DType.FLOAT16: torch.float16, DType.BFLOAT16: torch.bfloat16}
EXACT = {
    "sum": lambda x, d: x.sum(d), "mean": lambda x, d: x.mean(d), "max": lambda x, d: x.amax(d),
    "min": lambda x, d: x.amin(d), "prod": lambda x, d: x.prod(d[0]), "argmax": lambda x, d: x.argmax(d[0]),
    "argmin": lambda x, d: x.argmin(d[0]), "var": lambda x, d: x.var(d), "std": lambda x, d: x.std(d),
    "logsumexp": torch.logsumexp, "norm": lambda x, d: torch.linalg.vector_norm(x, dim=d),
}  # fmt: skip


def size_of(operation, x, dims, exact):
    """How large the numbers were that a reduction's result was made of."""
    count = max(x[0:1].numel(), 1) if x.numel() else 1
    match operation:
        case "sum":
            return x.abs().sum(dims)
        case "mean":
            return x.abs().mean(dims)
        case "logsumexp":
            return exact.abs() + 2 + x.abs().amax(dims) if x.numel() else exact.abs()
        case "prod":
            return exact.abs() * count
    return exact.abs()


def dims_of(where, rank):
    return {"last": (rank - 1,), "first": (0,), "middle": (1,), "all": tuple(range(rank))}[where]


def reduced(operation, dtype, x, dims, schedule=SMALL, **choices):
    exact = EXACT[operation](x.double(), dims)
    out = torch.empty(exact.shape, dtype=torch.int64 if operation.startswith("arg") else x.dtype)
    source = reductions.reduction(operation, dtype, (None,) * x.dim(), dims, schedule, **choices)
    (found,), _ = run(source, [x], [out])
    return found, exact


@pytest.mark.parametrize("operation", list(EXACT))
@pytest.mark.parametrize("where", ["last", "first", "middle", "all"])
def test_reductions_are_exact_to_the_roundings_of_their_sums(operation, where):
    for shape in [(3, 65, 5), (2, 1, 33), (1, 130, 2)] if where == "middle" else SIZES:
        x = drawn(*shape, seed=len(shape) + shape[-1])
        dims = dims_of(where, x.dim())
        empty = 0 in [x.shape[d] for d in dims]
        single = all(x.shape[d] == 1 for d in dims)
        if operation.startswith(("arg", "prod")) and where == "all":
            continue  # several dimensions
        if (empty and operation not in ("sum", "prod", "norm")) or (single and operation in ("var", "std")):
            continue  # PyTorch refuses them, or there is no number
        found, exact = reduced(operation, DType.FLOAT32, x, dims)
        if operation.startswith("arg"):
            assert torch.equal(found, exact)
            continue
        agree(found, exact, size_of(operation, x.double(), dims, exact), sum_rounds(x.numel()))


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_sums_of_halves_are_in_float32_and_rounded_once(dtype):
    x = drawn(4, 129, dtype=DTYPES[dtype])
    for operation in ("sum", "max", "var", "logsumexp"):
        found, exact = reduced(operation, dtype, x, (1,))
        agree(found, exact, size_of(operation, x.double(), (1,), exact), sum_rounds(129))


def test_integers_are_summed_as_such():
    x = torch.randint(-(2**40), 2**40, (3, 70))
    (found,), _ = run(reductions.reduction("sum", DType.INT64, (None, None), (1,), SMALL), [x], [x.sum(1)])
    assert torch.equal(found, x.sum(1))
    (found,), _ = run(reductions.reduction("max", DType.INT64, (None, None), (1,), SMALL), [-x.abs() - 1], [x.sum(1)])
    assert torch.equal(found, (-x.abs() - 1).amax(1))


def test_extremes_give_nan_where_one_is_and_infinities_count():
    for length in (65, 300):
        x = drawn(4, length)
        x[0, 3], x[1, -1], x[2] = float("nan"), float("inf"), float("-inf")
        for operation in ("max", "min", "logsumexp"):
            found, exact = reduced(operation, DType.FLOAT32, x, (1,))
            agree(found, exact, exact.abs() + 32, sum_rounds(length))


@pytest.mark.parametrize("operation", ["sum", "max", "mean"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 300), (70, 33)])
def test_long_reductions_in_parts_are_the_same_whatever_their_length(operation, shape):
    """At sizes that a sketch does not know, a reduction of everything is split; parts may be empty."""
    x = drawn(*shape)
    found, exact = reduced(operation, DType.FLOAT32, x, (0, 1), Schedule(tile=64, held=128, parts=8))
    agree(found, exact, size_of(operation, x.double(), (0, 1), exact), sum_rounds(x.numel()))
    source = reductions.reduction(operation, DType.FLOAT32, (None, None), (0, 1), Schedule(parts=8))
    assert len({launch.kernel for launch in source.plan.launches}) > 2
    again, _ = run(source, [x], [torch.empty(())])
    assert torch.equal(again[0], run(source, [x], [torch.empty(())])[0][0])


@pytest.mark.parametrize("length", [127, 300])
def test_variances_far_from_zero_keep_their_digits(length):
    """A mean of 1e5 is rounded by up to 4e-3, which the sum of squares about it has to be corrected for."""
    x = drawn(3, length, spread=False) + 1e5
    for operation in ("var", "std"):
        found, exact = reduced(operation, DType.FLOAT32, x, (1,))
        agree(found, exact, exact, sum_rounds(length))


def test_tensors_are_read_where_they_lie_and_calls_that_do_not_fit_launch_nothing():
    from assay.errors import CandidateError

    wide = drawn(5, 200)
    source = reductions.reduction("sum", DType.FLOAT32, (None, None), (1,), SMALL, strided=True)
    (found,), _ = run(source, [wide[:, 3:100]], [wide[:, 0].contiguous()])
    agree(found, wide[:, 3:100].double().sum(1), wide[:, 3:100].double().abs().sum(1), sum_rounds(97))
    dense = reductions.reduction("sum", DType.FLOAT32, (None, None), (1,), SMALL)
    for wrong in (wide[:, 3:100], wide.T):
        with pytest.raises(CandidateError, match="launches nothing"):
            run(dense, [wrong], [wide.new_empty(wrong.shape[0])])


def normalised_by(x, dims, eps):
    mean = x.mean(dims, keepdim=True)
    return (x - mean) / (x.var(dims, correction=0, keepdim=True) + eps).sqrt()


def norm_size(x, dims, eps):
    """A mean's rounding is one of the row's largest, over its deviation."""
    return x.abs().amax(dims, keepdim=True) / (x.var(dims, correction=0, keepdim=True) + eps).sqrt()


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("width", [1, 37, 64, 129, 200])
def test_layer_and_rms_norms(dtype, width):
    x, residual = (drawn(5, width, dtype=DTYPES[dtype], seed=s) for s in (1, 2))
    weight, bias = (drawn(width, dtype=DTYPES[dtype], seed=s) for s in (3, 4))
    rounds = sum_rounds(width) + 8
    source = norms.layer_norm(dtype, (None, width), SMALL, residual=True)
    (found,), _ = run(source, [x, residual], [x], [weight, bias])
    exact = x.double() + residual.double()
    size = norm_size(exact, 1, 1e-5) * weight.double().abs() + bias.double().abs()
    agree(found, normalised_by(exact, 1, 1e-5) * weight.double() + bias.double(), size, rounds)
    (found,), _ = run(norms.layer_norm(dtype, (None, None), SMALL, weight=False, bias=False), [x], [x])
    agree(found, normalised_by(x.double(), 1, 1e-5), norm_size(x.double(), 1, 1e-5), rounds)
    (found,), _ = run(norms.rms_norm(dtype, (None, width), SMALL), [x], [x], [weight])
    exact = x.double() / (x.double().square().mean(1, keepdim=True) + 1e-6).sqrt() * weight.double()
    agree(found, exact, exact.abs(), rounds)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_and_instance_norms(groups):
    x, weight, bias = drawn(2, 6, 5, 7), drawn(6, seed=1), drawn(6, seed=2)
    (found,), _ = run(norms.group_norm(DType.FLOAT32, 6, (None, None), groups, SMALL), [x], [x], [weight, bias])
    split = x.double().reshape(2, groups, -1)
    exact = normalised_by(split, 2, 1e-5).reshape(x.shape) * weight[:, None, None] + bias[:, None, None]
    size = norm_size(split, 2, 1e-5).expand_as(split).reshape(x.shape) * weight.abs()[:, None, None] + 3
    agree(found, exact, size, sum_rounds(split.shape[2]) + 8)
    if groups == 6:
        (found,), _ = run(norms.instance_norm(DType.FLOAT32, 6, (None, None), SMALL), [x], [x])
        agree(found, normalised_by(x.double(), (2, 3), 1e-5), norm_size(x.double(), (2, 3), 1e-5), 20)


def test_batch_norm_by_given_statistics():
    x = drawn(3, 5, 4, 9)
    weight, bias, mean = (drawn(5, seed=s) for s in (1, 2, 3))
    var = drawn(5, seed=4).abs()
    (found,), _ = run(norms.batch_norm(DType.FLOAT32, 5, (None, None)), [x], [x], [weight, bias, mean, var])
    weight, bias, mean, var = (each.double()[:, None, None] for each in (weight, bias, mean, var))
    scale = weight / (var + 1e-5).sqrt()
    agree(found, (x.double() - mean) * scale + bias, (x.double().abs() + mean.abs()) * scale.abs() + bias.abs(), 8)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("log", [False, True])
def test_softmax_and_its_logarithm(dim, log):
    for shape in [*SIZES[:-1], (0, 5)]:
        x = drawn(*shape)
        (found,), _ = run(softmax.softmax(DType.FLOAT32, (None, None), dim, SMALL, log=log), [x], [x])
        exact = (torch.log_softmax if log else torch.softmax)(x.double(), dim)
        if not x.numel():
            continue
        # exp(x - max): a rounding of the difference is relative to the weight.
        away = (x.double() - x.double().amax(dim, keepdim=True)).abs()
        size = away + sum_rounds(x.shape[dim]) if log else exact * (away + sum_rounds(x.shape[dim]))
        agree(found, exact, size, 4)


def test_softmax_of_rows_without_numbers_is_pytorchs():
    x, mask = drawn(4, 70), torch.zeros(4, 70, dtype=torch.bool)
    x[0, 3], x[1], mask[2], mask[3, ::2] = float("nan"), float("-inf"), True, True
    (found,), _ = run(softmax.softmax(DType.FLOAT32, (None, None), 1, SMALL, mask=True), [x, mask], [x])
    exact = x.double().masked_fill(mask, float("-inf")).softmax(1)
    agree(found, exact, exact.abs(), 100)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_leaves_ignored_rows_out(smoothing, reduction):
    for rows, classes in [(1, 1), (5, 65), (7, 300)]:
        x = drawn(rows, classes)
        target = torch.randint(classes, (rows,))
        target[rows // 2 : rows // 2 + (rows > 1)] = -100
        exact = F.cross_entropy(x.double(), target, label_smoothing=smoothing, reduction=reduction)
        source = softmax.cross_entropy(
            DType.FLOAT32, (None, None), SMALL, smoothing=smoothing, reduction=reduction
        )  # fmt: skip
        (found,), _ = run(source, [x, target], [exact.float()])
        agree(
            found,
            exact,
            exact.abs() + x.abs().amax().double(),
            sum_rounds(classes) * (rows if reduction == "sum" else 1),
        )


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_losses_by_element_row_and_all(name):
    for shape in [(1, 1), (5, 65), (3, 300)]:
        x, y = drawn(*shape, seed=1), drawn(*shape, seed=2)
        if name == "kl_div":
            y = y.abs().softmax(1)
            y[0, 0] = 0.0
        if "hinge" in name:
            y = y.sign()
        exact = exact_loss(name, x.double(), y.double())
        each = (x.double().abs() + y.double().abs() + 1) ** (
            2 if name in ("mse", "squared_hinge", "smooth_l1", "huber") else 1
        )
        each = each * (y.double().abs() + 1) * (1 if name != "squared_hinge" else 4) + exact.abs()
        for reduction, over in (("none", None), ("rows", 1), ("sum", (0, 1)), ("mean", (0, 1))):
            total = exact if over is None else exact.sum(over)
            size = each if over is None else each.sum(over)
            if reduction == "mean":
                total, size = total / exact.numel(), size / exact.numel()
            source = losses.loss(name, DType.FLOAT32, (None, None), SMALL, reduction=reduction)
            (found,), _ = run(source, [x, y], [total.float()])
            agree(found, total, size, sum_rounds(x.numel()))


def exact_loss(name, x, y):
    none = {"reduction": "none"}
    match name:
        case "mse":
            return F.mse_loss(x, y, **none)
        case "l1":
            return F.l1_loss(x, y, **none)
        case "smooth_l1" | "huber":
            return F.smooth_l1_loss(x, y, **none)
        case "kl_div":
            return F.kl_div(x, y, **none)
        case "hinge":
            return (1 - x * y).clamp(min=0)
        case "squared_hinge":
            return (1 - x * y).clamp(min=0) ** 2
    return F.binary_cross_entropy_with_logits(x, y, **none)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", list(scans.SCANS))
def test_scans_either_way_with_and_without_the_element(name, dim):
    for shape in [(1, 1), (3, 63), (2, 129), (70, 3), (1, 300)]:
        x = drawn(*shape, spread=name != "cumprod")
        x = 1 + x / 50 if name == "cumprod" else x
        for reverse in (False, True):
            for exclusive in (False, True) if name in ("cumsum", "cumprod") else (False,):
                source = scans.scan(
                    name, DType.FLOAT32, (None, None), dim, SMALL, reverse=reverse, exclusive=exclusive
                )  # fmt: skip
                (found,), _ = run(source, [x], [x])
                exact, size = exact_scan(name, x.double(), dim, reverse, exclusive)
                agree(found, exact, size, 2 * sum_rounds(x.shape[dim]) + (x.shape[dim] if name == "cumprod" else 0))


def exact_scan(name, x, dim, reverse, exclusive):
    turned = x.flip(dim) if reverse else x
    found = {
        "cumsum": lambda v: v.cumsum(dim), "cumprod": lambda v: v.cumprod(dim),
        "cummax": lambda v: v.cummax(dim).values, "cummin": lambda v: v.cummin(dim).values,
    }[name]  # fmt: skip
    if exclusive:
        first = torch.zeros_like(turned.narrow(dim, 0, 1)) + (name == "cumprod")
        turned = torch.cat([first, turned.narrow(dim, 0, x.shape[dim] - 1)], dim)
    made, size = found(turned), turned.abs().cumsum(dim) if name == "cumsum" else found(turned).abs()
    return (made.flip(dim), size.flip(dim)) if reverse else (made, size)


def test_a_masked_scan_of_halves_carries_float32():
    x, mask = drawn(3, 200, dtype=torch.float16, spread=False), torch.rand(3, 200) < 0.5
    (found,), _ = run(scans.scan("cumsum", DType.FLOAT16, (None, None), 1, SMALL, mask=True), [x, mask], [x])
    kept = x.double() * mask
    agree(found, kept.cumsum(1), kept.abs().cumsum(1), 2 * sum_rounds(200))
